import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { connect } from 'node:net';
import { execa } from 'execa';
import type { WorkerConfig } from '../config.ts';
import {
  FEATURES,
  type FeatureName,
  type FolderState,
  type HtcondorFacts,
  type MachineFacts,
  type Trial,
} from './facts.ts';
import { gatherSite } from './site.ts';

const LIMIT_MS = 5000;
const PATH = '/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin';

/** Asks the machine, each question with a time limit. Trials are done in namespaces of their own and leave nothing. */
export async function gatherFacts(config: WorkerConfig): Promise<MachineFacts> {
  const isRoot = process.getuid?.() === 0;
  const [kernel, features, tools, forwardDrops, services, htcondor, runState, dataState, socket, site] =
    await Promise.all([
      words('uname', ['-r']),
      isRoot ? tryFeatures() : {},
      toolVersions(),
      isRoot ? findForwardDrops() : undefined,
      runningServices(),
      askHtcondor(),
      folderState(config.state.runDirectory, true),
      folderState(config.state.dataDirectory, false),
      askSocket(config.agent.socket),
      gatherSite(config),
    ]);
  const { runDirectory, dataDirectory } = config.state;
  return {
    isRoot,
    kernel: kernel ?? 'unknown',
    features,
    tools,
    sysctls: Object.fromEntries(SYSCTLS.map((path) => [path, sysctl(path)])),
    forwardDrops,
    services,
    htcondor,
    folders: { [runDirectory]: runState, [dataDirectory]: dataState },
    site,
    socket,
  };
}

const SYSCTLS = [
  'net/ipv4/ip_forward',
  'net/ipv4/conf/all/rp_filter',
  'net/ipv4/conf/default/rp_filter',
  'net/ipv6/conf/all/disable_ipv6',
  'net/ipv6/conf/default/disable_ipv6',
  'net/bridge/bridge-nf-call-iptables',
];

function sysctl(path: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${path}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

const run = (command: string, args: readonly string[], input?: string) =>
  execa(command, args, {
    reject: false,
    timeout: LIMIT_MS,
    env: { PATH, LC_ALL: 'C' },
    ...(input === undefined ? { stdin: 'ignore' as const } : { input }),
  });

/** The first line that a command prints; undefined where it cannot be run. */
async function words(command: string, args: readonly string[]): Promise<string | undefined> {
  const { failed, exitCode, stdout, stderr } = await run(command, args);
  if (failed && exitCode === undefined) return undefined;
  return (
    (stdout || stderr)
      .split('\n')
      .find((line) => line.trim() !== '')
      ?.trim() ?? ''
  );
}

async function toolVersions(): Promise<Record<string, string | undefined>> {
  const asked: [name: string, args: string[]][] = [
    ['ip', ['-V']],
    ['tc', ['-V']],
    ['nft', ['--version']],
    ['perl', ['-e', 'print "perl $^V"']],
    ['iperf3', ['--version']],
  ];
  return Object.fromEntries(
    await Promise.all(asked.map(async ([name, args]) => [name, await words(name, args)])),
  );
}

const TABLE = 'add table netdev t\nadd table inet t\n';
/** Shell lines that run in a network namespace with a veth pair v0, v1 where that is possible. */
const TRIALS: Record<Exclude<FeatureName, 'userNamespace'>, string> = {
  netns: 'true',
  veth: 'ip link show v0',
  bridge: 'ip link add bridge0 type bridge',
  nft: `nft -f - <<E\n${TABLE}E`,
  nftNetdev: `nft -f - <<E\n${TABLE}add chain netdev t i { type filter hook ingress device "v0" priority filter; }\nE`,
  nftEgress: `nft -f - <<E\n${TABLE}add chain netdev t e { type filter hook egress device "v0" priority filter; }\nE`,
  masquerade: `nft -f - <<E\n${TABLE}add chain inet t p { type nat hook postrouting priority srcnat; }\nadd rule inet t p masquerade\nE`,
  connectionCount: `nft -f - <<E\n${TABLE}add set inet t s { type ifname; flags dynamic; }\nadd chain inet t c\nadd rule inet t c add @s { iifname ct count over 9 } drop\nE`,
  htb: 'tc qdisc add dev v0 root handle 1: htb && tc class add dev v0 parent 1: classid 1:1 htb rate 1mbit',
  ifb: 'ip link add ifb9 type ifb',
  clsact: 'tc qdisc add dev v0 clsact',
  mirred:
    'tc qdisc add dev v0 clsact && tc filter add dev v0 egress protocol all u32 match u32 0 0 action mirred egress redirect dev v1',
  fqCodel: 'tc qdisc add dev v0 root fq_codel',
  vlan: 'ip link add link v0 name v0.7 type vlan id 7',
};

async function tryFeatures(): Promise<MachineFacts['features']> {
  const found: MachineFacts['features'] = {};
  // One after another: they take some ms each, and some load modules.
  for (const name of FEATURES) {
    found[name] = name === 'userNamespace' ? await tryUserNamespace() : await tryInNamespace(TRIALS[name]);
  }
  return found;
}

async function tryInNamespace(script: string): Promise<Trial> {
  const set = 'ip link add v0 type veth peer name v1 2>/dev/null; ip link set v0 up 2>/dev/null;';
  return trialOf(await run('unshare', ['--net', '--kill-child', '--fork', 'sh', '-c', `${set} ${script}`]));
}

/** As nobody, who has no right to anything. */
async function tryUserNamespace(): Promise<Trial> {
  const nobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
  return trialOf(
    await run('setpriv', [...nobody, 'unshare', '--user', '--map-current-user', '--net', 'true']),
  );
}

function trialOf({ exitCode, stderr }: { exitCode?: number | undefined; stderr: string }): Trial {
  const first = stderr.split('\n').find((line) => line.trim() !== '');
  return exitCode === 0
    ? { works: true }
    : { works: false, ...(first !== undefined && { words: first.trim() }) };
}

/** `FAMILY TABLE CHAIN` of base chains at the forward hook whose policy is drop. Of `nft -j list chains`. */
export function forwardDropsOf(json: string): string[] {
  const { nftables = [] } = JSON.parse(json) as { nftables?: { chain?: Record<string, unknown> }[] };
  return nftables.flatMap(({ chain }) =>
    chain?.hook === 'forward' && chain.policy === 'drop'
      ? [`${chain.family} ${chain.table} ${chain.name}`]
      : [],
  );
}

async function findForwardDrops(): Promise<string[] | undefined> {
  const { exitCode, stdout } = await run('nft', ['-j', 'list', 'chains']);
  try {
    return exitCode === 0 ? [...forwardDropsOf(stdout), ...(await legacyDrops())] : undefined;
  } catch {
    return undefined;
  }
}

/** Of the older iptables, which nft does not see; only asked where it is in use, as asking makes its tables. */
async function legacyDrops(): Promise<string[]> {
  const found: string[] = [];
  for (const [family, command, list] of [
    ['ip', 'iptables-legacy', '/proc/net/ip_tables_names'],
    ['ip6', 'ip6tables-legacy', '/proc/net/ip6_tables_names'],
  ] as const) {
    if (!(existsSync(list) && /^filter$/m.test(readFileSync(list, 'utf8')))) continue;
    const { stdout } = await run(command, ['-S', 'FORWARD']);
    if (/^-P FORWARD DROP$/m.test(stdout)) found.push(`${family} filter FORWARD (${command})`);
  }
  return found;
}

async function runningServices(): Promise<string[]> {
  const names = ['firewalld', 'docker', 'ufw', 'nftables'];
  const { stdout } = await run('systemctl', ['is-active', ...names]);
  const states = stdout.split('\n');
  return names.filter((_, index) => states[index] === 'active');
}

const SETTINGS = ['USER_JOB_WRAPPER', 'NO_JOB_NETWORKING', 'MACHINE_RESOURCE_INVENTORY_BANDWIDTH'];

async function askHtcondor(): Promise<HtcondorFacts | undefined> {
  const line = await words('condor_version', []);
  const version = /CondorVersion: (\d+\.\d+\.\d+)/.exec(line ?? '')?.[1];
  if (version === undefined) return undefined;
  const values = await Promise.all(
    SETTINGS.map(async (name) => {
      const { exitCode, stdout } = await run('condor_config_val', ['-subsystem', 'STARTD', name]);
      return [name, exitCode === 0 ? stdout.trim() : ''];
    }),
  );
  return { version, settings: Object.fromEntries(values) };
}

/** f_type of tmpfs, statfs(2). */
const TMPFS = 0x0102_1994;

async function folderState(path: string, mustBeShortLived: boolean): Promise<FolderState> {
  if (!existsSync(path)) return 'missing';
  try {
    accessSync(path, constants.W_OK);
  } catch {
    return 'not writable';
  }
  return mustBeShortLived && (await statfs(path)).type !== TMPFS ? 'on a disk' : 'writable';
}

function askSocket(path: string): Promise<MachineFacts['socket']> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (answers: boolean, problem?: string): void => {
      socket.destroy();
      resolve({ path, answers, ...(problem !== undefined && { problem }) });
    };
    socket.setTimeout(LIMIT_MS, () => end(false, 'it is silent'));
    socket.once('connect', () => end(true));
    socket.once('error', (error: NodeJS.ErrnoException) => end(false, error.code ?? error.message));
  });
}
