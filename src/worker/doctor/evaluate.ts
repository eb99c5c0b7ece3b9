import { site } from './evaluate-site.ts';
import { FEATURES, type FeatureName, type HtcondorFacts, type MachineFacts } from './facts.ts';

/** `bad` keeps networks from being made; `costs`: they are made, but something of them is missing. */
export type Level = 'ok' | 'costs' | 'bad' | 'unknown';

export interface Finding {
  level: Level;
  what: string;
  /** What it costs, where it is not ok. */
  cost?: string;
  /** How to get it. */
  cure?: string;
}

interface Need {
  what: string;
  level: 'costs' | 'bad';
  cost: string;
  cure: string;
}

const MODULE = (name: string): string => `load the kernel module ${name}, or take a kernel that has it`;

const FEATURE_NEEDS: Record<FeatureName, Need> = {
  netns: {
    what: 'network namespaces',
    level: 'bad',
    cost: 'no job gets a network',
    cure: 'run as root on a kernel with CONFIG_NET_NS',
  },
  userNamespace: {
    what: 'user namespaces for unprivileged users',
    level: 'bad',
    cost: 'the job wrapper cannot make namespaces (HTCondor 24.7 with NO_JOB_NETWORKING needs none)',
    cure: 'sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0, and kernel.apparmor_restrict_unprivileged_userns=0 where it exists',
  },
  veth: { what: 'veth', level: 'bad', cost: 'no job gets a network', cure: MODULE('veth') },
  bridge: { what: 'bridges', level: 'costs', cost: 'no mode bridge', cure: MODULE('bridge') },
  nft: { what: 'nftables', level: 'bad', cost: 'no NAT, isolation or accounting', cure: MODULE('nf_tables') },
  nftNetdev: {
    what: 'nftables at ingress',
    level: 'bad',
    cost: 'no accounting and no protection against spoofing',
    cure: 'a kernel with CONFIG_NF_TABLES_NETDEV',
  },
  nftEgress: {
    what: 'nftables at egress',
    level: 'bad',
    cost: 'what jobs receive is not accounted',
    cure: 'Linux 5.16 or newer with CONFIG_NETFILTER_EGRESS',
  },
  masquerade: {
    what: 'masquerading',
    level: 'bad',
    cost: 'no mode nat',
    cure: MODULE('nft_masq and nf_nat'),
  },
  connectionCount: {
    what: "counting of a job's connections",
    level: 'costs',
    cost: "isolation.maxConnections is not kept: one job can fill the machine's table of connections, and cut off the others",
    cure: MODULE('nft_connlimit'),
  },
  htb: { what: 'HTB', level: 'costs', cost: 'request_bandwidth is not kept', cure: MODULE('sch_htb') },
  ifb: { what: 'ifb', level: 'costs', cost: 'downloads are not shaped', cure: MODULE('ifb') },
  clsact: { what: 'clsact', level: 'costs', cost: 'downloads are not shaped', cure: MODULE('sch_ingress') },
  mirred: {
    what: 'u32 and mirred',
    level: 'costs',
    cost: 'downloads are not shaped',
    cure: MODULE('cls_u32 and act_mirred'),
  },
  fqCodel: {
    what: 'fq_codel',
    level: 'costs',
    cost: 'flows of one job wait behind each other in a plain queue',
    cure: MODULE('sch_fq_codel'),
  },
  vlan: { what: 'VLANs (802.1Q)', level: 'costs', cost: 'no networks on VLANs', cure: MODULE('8021q') },
};

const TOOLS: Record<string, Need> = {
  ip: { what: 'ip', level: 'bad', cost: 'no job gets a network', cure: 'apt install iproute2' },
  tc: { what: 'tc', level: 'costs', cost: 'request_bandwidth is not kept', cure: 'apt install iproute2' },
  nft: { what: 'nft', level: 'bad', cost: 'no NAT, isolation or accounting', cure: 'apt install nftables' },
  perl: { what: 'perl', level: 'bad', cost: 'the job wrapper does not run', cure: 'apt install perl-base' },
  iperf3: {
    what: 'iperf3',
    level: 'costs',
    cost: 'lark worker inventory cannot measure',
    cure: 'apt install iperf3',
  },
};

/** A judgement on each thing that matters, in the order in which one would mend them. Pure. */
export function evaluate(facts: MachineFacts): Finding[] {
  return [
    ...(facts.isRoot
      ? []
      : [
          {
            level: 'unknown',
            what: 'not root: trials and rules are left out',
            cure: 'run it as root',
          } as const,
        ]),
    ...Object.entries(TOOLS).map(([name, need]) =>
      facts.tools[name] === undefined ? finding(need) : ok(`${name}: ${facts.tools[name]}`),
    ),
    ...FEATURES.map((name): Finding => {
      const need = FEATURE_NEEDS[name];
      const trial = facts.features[name];
      if (trial === undefined) return { level: 'unknown', what: `${need.what}: not tried` };
      return trial.works ? ok(need.what) : finding(need, trial.words);
    }),
    ...sysctls(facts),
    ...site(facts.site),
    ...conflicts(facts),
    ...htcondor(facts.htcondor),
    ...folders(facts),
  ];
}

const ok = (what: string): Finding => ({ level: 'ok', what });
const finding = (need: Need, words?: string): Finding => ({
  level: need.level,
  what: `${need.what} missing${words === undefined || words === '' ? '' : ` (${words})`}`,
  cost: need.cost,
  cure: need.cure,
});

function sysctls({ sysctls: values }: MachineFacts): Finding[] {
  const found: Finding[] = [];
  const forward = values['net/ipv4/ip_forward'];
  // The agent writes it; what writes it back is the administrator's affair.
  if (forward !== undefined)
    found.push(ok(`net.ipv4.ip_forward = ${forward}${forward === '0' ? ' (the agent sets 1)' : ''}`));
  const strict = [values['net/ipv4/conf/all/rp_filter'], values['net/ipv4/conf/default/rp_filter']];
  if (strict.includes('1')) {
    found.push({
      level: 'costs',
      what: 'net.ipv4.conf.*.rp_filter = 1 (strict)',
      cost: 'answers that come back over another interface than the uplink are dropped',
      cure: 'sysctl net.ipv4.conf.all.rp_filter=2 on machines with several uplinks',
    });
  }
  const disabled = ['all', 'default'].filter(
    (which) => values[`net/ipv6/conf/${which}/disable_ipv6`] === '1',
  );
  if (disabled.length > 0) {
    found.push({
      level: 'costs',
      what: 'IPv6 is disabled',
      cost: 'jobs get IPv4 only',
      cure: `sysctl ${disabled.map((which) => `net.ipv6.conf.${which}.disable_ipv6=0`).join(' ')}`,
    });
  }
  if (values['net/bridge/bridge-nf-call-iptables'] === '1') {
    found.push({
      level: 'costs',
      what: 'net.bridge.bridge-nf-call-iptables = 1',
      cost: "what jobs of mode bridge send and get passes the host's forward rules and its connection table too",
      cure: 'sysctl net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0, unless Docker or Kubernetes need it',
    });
  }
  return found;
}

const SERVICES: Record<string, { cost: string; cure: string }> = {
  firewalld: {
    cost: 'it may reject what jobs forward, and a reload keeps it so',
    cure: 'firewall-cmd --permanent --zone=trusted --add-source=<the pools of worker.yaml>, then --reload',
  },
  docker: {
    cost: 'it sets the policy of forwarded packets to drop',
    cure: 'iptables -I DOCKER-USER -i lk+ -j ACCEPT; iptables -I DOCKER-USER -o lk+ -j ACCEPT',
  },
  ufw: {
    cost: 'it drops forwarded packets by default',
    cure: 'ufw route allow in on <uplink>, or DEFAULT_FORWARD_POLICY="ACCEPT"',
  },
  nftables: {
    cost: "its reload flushes all tables, also Lark's: accounting has a gap until the agent's next sweep",
    cure: 'begin /etc/nftables.conf with "destroy table inet filter" instead of "flush ruleset"',
  },
};

function conflicts({ services, forwardDrops }: MachineFacts): Finding[] {
  const found = services.flatMap((name): Finding[] => {
    const known = SERVICES[name];
    return known ? [{ level: 'costs', what: `${name} runs`, ...known }] : [];
  });
  if (forwardDrops === undefined)
    found.push({ level: 'unknown', what: 'policies of forward chains: not read' });
  for (const chain of forwardDrops ?? []) {
    found.push({
      level: 'costs',
      what: `chain ${chain} drops what it does not accept`,
      cost: 'jobs of mode nat reach nothing unless a rule of that chain accepts them',
      cure: `accept interfaces whose name begins with "lk" there, both ways`,
    });
  }
  return found;
}

function htcondor(facts: HtcondorFacts | undefined): Finding[] {
  if (facts === undefined) {
    return [
      {
        level: 'bad',
        what: 'HTCondor: condor_config_val does not answer',
        cost: 'no job ever asks the agent',
        cure: 'install HTCondor',
      },
    ];
  }
  const found: Finding[] = [ok(`HTCondor ${facts.version}`)];
  const { USER_JOB_WRAPPER: wrapper = '', NO_JOB_NETWORKING: empty = '' } = facts.settings;
  if (/lark-job-wrapper$/.test(wrapper)) found.push(ok(`USER_JOB_WRAPPER = ${wrapper}`));
  else {
    found.push({
      level: 'bad',
      what:
        wrapper === '' ? 'USER_JOB_WRAPPER is not set' : `USER_JOB_WRAPPER = ${wrapper}, which is not Lark's`,
      cost: 'jobs run with the network of the host',
      cure: "put config/htcondor/worker-execution-point.conf into the configuration; a wrapper of your own can exec Lark's",
    });
  }
  if (/^true$/i.test(empty)) {
    found.push(
      isAtLeast(facts.version, 24, 7)
        ? ok('NO_JOB_NETWORKING: the starter makes the namespaces')
        : {
            level: 'bad',
            what: 'NO_JOB_NETWORKING needs HTCondor 24.7',
            cost: 'it is ignored',
            cure: 'a newer HTCondor, or leave it out',
          },
    );
  }
  if ((facts.settings.MACHINE_RESOURCE_INVENTORY_BANDWIDTH ?? '') === '') {
    found.push({
      level: 'costs',
      what: 'MACHINE_RESOURCE_INVENTORY_BANDWIDTH is not set',
      cost: 'jobs with request_bandwidth never match this machine',
      cure: 'put config/htcondor/worker-execution-point.conf into the configuration',
    });
  }
  return found;
}

/** Of `23.9.6`. */
function isAtLeast(version: string, major: number, minor: number): boolean {
  const [a = 0, b = 0] = version.split('.').map(Number);
  return a > major || (a === major && b >= minor);
}

function folders({ folders: states, socket }: MachineFacts): Finding[] {
  const found = Object.entries(states).map(([path, state]): Finding => {
    if (state === 'writable') return ok(path);
    if (state === 'missing')
      return {
        level: 'costs',
        what: `${path} is not there`,
        cost: 'none, once the agent has made it',
        cure: 'start the agent',
      };
    if (state === 'on a disk') {
      return {
        level: 'bad',
        what: `${path} is on a disk`,
        cost: 'leases outlive a reboot, and addresses leak',
        cure: 'set state.runDirectory to a folder below /run',
      };
    }
    return {
      level: 'bad',
      what: `${path} cannot be written`,
      cost: 'no job gets a network',
      cure: 'mount it writable, or set state in worker.yaml',
    };
  });
  found.push(
    socket.answers
      ? ok(`the agent listens on ${socket.path}`)
      : {
          level: 'bad',
          what: `the agent does not answer on ${socket.path}${socket.problem ? ` (${socket.problem})` : ''}`,
          cost: 'jobs are held, or what onFailure says',
          cure: 'systemctl start lark-worker',
        },
  );
  return found;
}
