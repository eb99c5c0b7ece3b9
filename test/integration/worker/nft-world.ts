import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { execa } from 'execa';
import { parseWorkerConfig, type WorkerConfig } from '../../../src/worker/config.ts';
import { nftPieces } from '../../../src/worker/nft/job.ts';
import { staticRuleset } from '../../../src/worker/nft/ruleset.ts';
import { ifbSetup, type ShapingFacts, shapingPieces, treeSetup } from '../../../src/worker/shaping/htb.ts';
import {
  DEFAULT_BRIDGE,
  JOB_INTERFACE,
  type JobNetwork,
  type Lease,
  NAT_GATEWAY_IPV4,
  NAT_GATEWAY_IPV6,
  type NetworkMode,
} from '../../../src/worker/types.ts';

/** Why these tests cannot run here; undefined where they can. */
export function whyNot(...tools: string[]): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux';
  for (const tool of ['ip', 'tc', 'nft', ...tools]) {
    try {
      execFileSync('sh', ['-c', 'command -v "$1"', 'sh', tool], { stdio: 'ignore' });
    } catch {
      return `${tool} is not installed`;
    }
  }
  return undefined;
}

/** Addresses of the world outside. `campus` and `inner` are classes of the tests, `off` is in none. */
export const OUTSIDE = {
  router4: '192.0.2.1',
  router6: '2001:db8:1::1',
  campus4: '198.18.0.9',
  inner4: '198.18.7.9',
  off4: '203.0.113.9',
  campus6: '2001:db8:c::9',
  off6: '2001:db8:ff::9',
  metadata4: '169.254.169.254',
} as const;
export const HOST4 = '192.0.2.2';
export const HOST6 = '2001:db8:1::2';

export const WORLD_CONFIG = `
accounting:
  classes:
    - {name: Campus, cidrs: [198.18.0.0/15, "2001:db8:c::/48"]}
    - {name: Inner, cidrs: [198.18.7.0/24]}
`;

const EPOCH = 0x1a2b3c4d;
const TIMEOUT_MS = 30_000;

const CONNECT = `
const [address, port] = process.argv.slice(1);
const say = (word) => { console.log(word); process.exit(); };
const socket = require('net').connect(Number(port), address, () => say('open'));
socket.on('error', (error) => say(error.code === 'ECONNREFUSED' ? 'refused' : 'silent'));
setTimeout(() => say('silent'), 1000);`;

/**
 * A worker with its uplink, and the world behind it, in namespaces of their own:
 * job (eth0) – veth – host (up0) – veth – outside (o0, a router that has all other addresses).
 */
export class World {
  readonly config: WorkerConfig;
  readonly host: string;
  readonly outside: string;
  readonly #tag: string;
  readonly #namespaces: string[] = [];
  readonly #servers: ChildProcess[] = [];
  #bridged = false;

  constructor(yaml = WORLD_CONFIG) {
    this.config = parseWorkerConfig(yaml, '/etc/lark/worker.yaml');
    this.#tag = `lkt${process.pid}-${Math.random().toString(36).slice(2, 6)}`;
    this.host = `${this.#tag}-host`;
    this.outside = `${this.#tag}-out`;
  }

  /** @param bridged whether the uplink is a port of Lark's bridge */
  async open({ bridged = false } = {}): Promise<void> {
    this.#bridged = bridged;
    for (const namespace of [this.host, this.outside]) await this.#addNamespace(namespace);
    const front = bridged ? DEFAULT_BRIDGE : 'up0';
    await this.ip(this.outside, [
      'link set lo up',
      `link add o0 type veth peer name up0 netns ${this.host}`,
      'link set o0 up',
      ...['router4', 'router6'].map((key) => {
        const address = OUTSIDE[key as 'router4'];
        return `addr add ${address}/${address.includes(':') ? '64 nodad' : 24} dev o0`;
      }),
      ...Object.entries(OUTSIDE)
        .filter(([key]) => !key.startsWith('router'))
        .map(([, address]) => `addr add ${address}/${address.includes(':') ? '128 nodad' : 32} dev lo`),
    ]);
    this.sysctl(this.host, 'net/ipv4/ip_forward', '1');
    this.sysctl(this.host, 'net/ipv6/conf/all/forwarding', '1');
    await this.ip(this.host, [
      'link set lo up',
      ...(bridged ? [`link add ${front} type bridge forward_delay 0`, `link set up0 master ${front}`] : []),
      'link set up0 up',
      ...(bridged ? [`link set ${front} up`] : []),
      `addr add ${HOST4}/24 dev ${front}`,
      `addr add ${HOST6}/64 dev ${front} nodad`,
      `route add default via ${OUTSIDE.router4}`,
      `route add default via ${OUTSIDE.router6}`,
    ]);
    // The kernel tells a bridge of a new carrier up to a second later.
    while (
      bridged &&
      !(await this.in(this.host, 'ip', ['-d', 'link', 'show', 'up0'])).stdout.includes('state forwarding')
    ) {
      await setTimeout(50);
    }
    await this.nft(this.ruleset(this.config));
  }

  ruleset(config: WorkerConfig): string {
    return staticRuleset(config, {
      host: { ipv4: [HOST4], ipv6: [HOST6], hasConnectionCount: true },
      nameservers: [],
      epoch: EPOCH,
    });
  }

  /** Trees on the uplink and on the ifb. */
  async shape(linkMbps: number): Promise<void> {
    await this.ip(this.host, ifbSetup());
    await this.tc(treeSetup(this.config, this.facts(linkMbps)));
  }

  facts(linkMbps: number): ShapingFacts {
    return { device: 'up0', mtu: 1500, linkMbps, leaf: 'bfifo' };
  }

  network(slotIndex: number, changes: Partial<JobNetwork['request']> & Partial<Lease> = {}): JobNetwork {
    const mode: NetworkMode = this.#bridged ? 'bridge' : 'nat';
    const host = 100 + slotIndex;
    const jobId = `${slotIndex}.0`;
    const starter = { pid: process.pid, startTicks: 1 };
    return {
      request: {
        mode,
        inbound: [],
        isAccounted: true,
        owner: changes.owner ?? 'alice',
        jobId,
        starter,
        ...(changes.bandwidth && { bandwidth: changes.bandwidth }),
      },
      lease: {
        name: `lk${slotIndex.toString(36).padStart(8, '0')}`,
        slotIndex,
        ipv4: this.#bridged ? `192.0.2.${host}` : `10.44.0.${host}`,
        ipv6: this.#bridged ? `2001:db8:1::${host}` : `fd6c:6172:6b00::${host}`,
        mac: `02:6c:6b:00:00:${slotIndex.toString(16).padStart(2, '0')}`,
        forwards: changes.forwards ?? [],
        createdAt: new Date(0),
        jobId,
        bootId: 'test',
      },
    };
  }

  namespaceOf({ lease }: JobNetwork): string {
    return `${this.#tag}-${lease.name}`;
  }

  /** Sets a job's network up; its end comes up last, so that its first packet is counted. */
  async add(network: JobNetwork, linkMbps?: number): Promise<string> {
    const { name, ipv4, ipv6, mac } = network.lease;
    const job = this.namespaceOf(network);
    await this.#addNamespace(job);
    await this.ip(this.host, [
      `link add ${name} type veth peer name ${JOB_INTERFACE} address ${mac} netns ${job}`,
      ...(this.#bridged
        ? [`link set ${name} master ${DEFAULT_BRIDGE}`, `link set ${name} type bridge_slave isolated on`]
        : [
            `addr add ${NAT_GATEWAY_IPV4}/32 dev ${name}`,
            `addr add ${NAT_GATEWAY_IPV6}/64 dev ${name} nodad`,
          ]),
      `link set ${name} up`,
      ...(this.#bridged ? [] : [`route add ${ipv4}/32 dev ${name}`, `route add ${ipv6}/128 dev ${name}`]),
    ]);
    await this.nft(`${nftPieces(network, this.config).nftUp.join('\n')}\n`);
    if (linkMbps !== undefined) {
      await this.tc(shapingPieces(network, this.config, this.facts(linkMbps)).tcUp);
    }
    await this.ip(job, [
      'link set lo up',
      ...(this.#bridged
        ? [`addr add ${ipv4}/24 dev eth0`, `addr add ${ipv6}/64 dev eth0 nodad`]
        : [`addr add ${ipv4}/32 dev eth0`, `addr add ${ipv6}/128 dev eth0 nodad`]),
      'link set eth0 up',
      ...(this.#bridged
        ? [`route add default via ${OUTSIDE.router4}`, `route add default via ${OUTSIDE.router6}`]
        : [
            `route add default via ${NAT_GATEWAY_IPV4} dev eth0 onlink`,
            `route add default via ${NAT_GATEWAY_IPV6} dev eth0`,
          ]),
    ]);
    return job;
  }

  async ip(namespace: string, lines: readonly string[]): Promise<void> {
    await execa('ip', ['-n', namespace, '-batch', '-'], {
      input: `${lines.join('\n')}\n`,
      timeout: TIMEOUT_MS,
    });
  }

  async tc(lines: readonly string[], ...options: string[]): Promise<void> {
    await this.in(this.host, 'tc', [...options, '-batch', '-'], { input: `${lines.join('\n')}\n` });
  }

  async nft(text: string): Promise<void> {
    await this.in(this.host, 'nft', ['-f', '-'], { input: text });
  }

  in(namespace: string, program: string, args: readonly string[], options: { input?: string } = {}) {
    return execa('ip', ['netns', 'exec', namespace, program, ...args], { timeout: TIMEOUT_MS, ...options });
  }

  /** Whether an answer comes to a TCP handshake, be it a refusal; within a second. */
  async reaches(namespace: string, address: string, port = 7): Promise<'open' | 'refused' | 'silent'> {
    const { stdout } = await this.node(namespace, CONNECT, address, port);
    return stdout as 'open' | 'refused' | 'silent';
  }

  /** Runs a program of JavaScript in a namespace; its arguments are process.argv.slice(1). */
  node(namespace: string, script: string, ...args: (string | number)[]) {
    return this.in(namespace, process.execPath, ['-e', script, ...args.map(String)]);
  }

  /** Runs a program that serves until the world closes; returns when it has said that it is ready. */
  async serve(namespace: string, script: string, ...args: string[]): Promise<void> {
    const server = spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', script, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#servers.push(server);
    await Promise.race([
      once(server.stdout, 'data'),
      once(server, 'close').then(() => {
        throw new Error('the server ended before it was ready');
      }),
    ]);
  }

  sysctl(namespace: string, path: string, value: string): void {
    // /proc/sys/net shows the namespace of who opens it.
    execFileSync('ip', ['netns', 'exec', namespace, 'tee', `/proc/sys/${path}`], {
      input: value,
      stdio: ['pipe', 'ignore', 'inherit'],
    });
  }

  async close(): Promise<void> {
    for (const server of this.#servers.splice(0)) {
      if (server.exitCode !== null) continue;
      const closed = once(server, 'close');
      server.kill('SIGKILL');
      await closed;
    }
    for (const namespace of this.#namespaces.splice(0)) {
      await execa('ip', ['netns', 'del', namespace], { timeout: TIMEOUT_MS });
    }
  }

  async #addNamespace(name: string): Promise<void> {
    await execa('ip', ['netns', 'add', name], { timeout: TIMEOUT_MS });
    this.#namespaces.push(name);
  }
}
