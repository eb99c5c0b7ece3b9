/** HTCondor's configuration of the pool's hosts, as text. */

export type Role = 'cm' | 'ap' | 'ep';

export interface HostSettings {
  role: Role;
  /** IPv4 address of this host. */
  address: string;
  /** IPv4 address of the central manager. */
  centralManagerAddress: string;
  /** Advertised as `LarkSite` by the schedd or the startd. */
  site?: string;
  /** Appended, so it wins over what stands here. */
  extra?: string;
}

/** The domain of the pool's hosts; `.test` never exists outside (RFC 6761). */
export const poolDomain = 'lark.test';

const daemons: Record<Role, string> = {
  cm: 'MASTER, COLLECTOR, NEGOTIATOR',
  ap: 'MASTER, SCHEDD',
  ep: 'MASTER, STARTD',
};

/**
 * Authentication: FILESYSTEM proves who we are within a host, CLAIMTOBE between hosts, where nobody but the
 * pool itself can reach the daemons. Intervals are short so that tests and demonstrations need not wait.
 * Slots have a fixed size, so a pool looks the same on every machine.
 */
export function hostConfig(settings: HostSettings): string {
  const { role, address, centralManagerAddress, site, extra } = settings;
  const lines = [
    `CONDOR_HOST = ${centralManagerAddress}`,
    'COLLECTOR_HOST = $(CONDOR_HOST):9618',
    `NETWORK_INTERFACE = ${address}`,
    `DEFAULT_DOMAIN_NAME = ${poolDomain}`,
    `UID_DOMAIN = ${poolDomain}`,
    'TRUST_UID_DOMAIN = True',
    'FILESYSTEM_DOMAIN = $(FULL_HOSTNAME)',
    `DAEMON_LIST = ${daemons[role]}`,

    'SEC_DEFAULT_AUTHENTICATION_METHODS = FS, CLAIMTOBE',
    'SEC_CLIENT_AUTHENTICATION_METHODS = FS, CLAIMTOBE',
    'SEC_DEFAULT_ENCRYPTION = OPTIONAL',
    'SEC_DEFAULT_INTEGRITY = OPTIONAL',
    'ALLOW_READ = *',
    'ALLOW_WRITE = *',
    'ALLOW_DAEMON = *',
    'ALLOW_NEGOTIATOR = *',
    'ALLOW_ADMINISTRATOR = *',

    'UPDATE_INTERVAL = 5',
    'MASTER_UPDATE_INTERVAL = 5',
  ];
  if (role === 'cm') {
    lines.push('NEGOTIATOR_INTERVAL = 2', 'NEGOTIATOR_MIN_INTERVAL = 1', 'NEGOTIATOR_CYCLE_DELAY = 1');
  }
  if (role === 'ap') {
    lines.push('SCHEDD_INTERVAL = 5', 'SCHEDD_MIN_INTERVAL = 1');
    // Before their first session, a schedd asking for a cycle and a negotiator beginning one wait for each
    // other until authentication times out after 20 s. The negotiator comes round every 2 s unasked.
    lines.push('SCHEDD_SEND_RESCHEDULE = False');
  }
  if (role === 'ep') {
    lines.push('NUM_CPUS = 2', 'MEMORY = 2048', 'RUNBENCHMARKS = False', 'START = True', 'BASE_CGROUP =');
  }
  if (site !== undefined && role !== 'cm') {
    const attributes = role === 'ap' ? 'SCHEDD_ATTRS' : 'STARTD_ATTRS';
    lines.push(`LarkSite = "${site}"`, `${attributes} = $(${attributes}) LarkSite`);
  }
  if (extra !== undefined) lines.push(extra);
  return `${lines.join('\n')}\n`;
}

/** `/etc/hosts` for every host of a pool. */
export function hostsFile(hosts: readonly { name: string; address: string }[]): string {
  const lines = hosts.map(({ name, address }) => `${address} ${name}.${poolDomain} ${name}`);
  return `127.0.0.1 localhost\n${lines.join('\n')}\n`;
}
