import { readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { totals, type UsageRecord } from '../../../src/worker/accounting/record.ts';
import { billed } from '../../../src/worker/accounting/report.ts';
import { UsageStore } from '../../../src/worker/accounting/store.ts';
import { AgentHost, POLICY } from '../../support/agent-host.ts';
import { finished, missing, startJob, WorkerHost } from '../../support/worker-host.ts';
import { IPV4_BYTES, IPV6_BYTES, SEND } from './crash-traffic.ts';

export const MODES = ['nat', 'bridge', 'none'] as const;
export type Mode = (typeof MODES)[number];

export const DRIVER = new URL('crash-driver.ts', import.meta.url).pathname;
const WRAPPER = new URL('../../../config/worker/lark-job-wrapper', import.meta.url).pathname;
export const whyNot = missing('nft', 'tc', 'ip', 'unshare', 'nsenter', 'setpriv', 'perl');

export const SOON = { timeout: 20_000, interval: 100 };
/** Of the bytes that a job sends. */
export const BYTES = IPV4_BYTES + IPV6_BYTES;
export const sentBytes = (record: UsageRecord): number => billed(totals(record)).out.bytes;

/**
 * A machine with IPv4 and IPv6, and addresses to give in all modes. Jobs are shaped and want ports of both protocols, so
 * that their plans have operations of all kinds.
 */
export class CrashWorld {
  readonly host: WorkerHost;
  readonly configFile: string;
  readonly store: UsageStore;

  private constructor(host: WorkerHost) {
    this.host = host;
    this.configFile = join(host.folder, 'worker.yaml');
    this.store = new UsageStore(`${host.folder}/data`);
  }

  /** @param yaml more sections of worker.yaml */
  static async start(yaml = ''): Promise<CrashWorld> {
    const world = new CrashWorld(await WorkerHost.start());
    writeFileSync(
      world.configFile,
      `policy: ${POLICY}
shaping: {uplinkMbps: 100}
bridge:
  ipv4Ranges: [{first: 192.0.2.10, last: 192.0.2.90}]
  ipv6Ranges: [{first: "2001:db8::10", last: "2001:db8::90"}]
hooks: {create: /bin/true, delete: /bin/true}
state: {dataDirectory: ${world.host.folder}/data}
${yaml}`,
    );
    return world;
  }

  stop(): Promise<void> {
    return this.host.stop();
  }

  /** A command that runs a driver on this machine. */
  drive(driver: string, ...args: string[]): string[] {
    return [...this.node, driver, this.configFile, ...args];
  }

  /** What one program compiled another need not. */
  get node(): string[] {
    return [...this.host.prefix, 'env', `NODE_COMPILE_CACHE=${this.host.folder}/compiled`, process.execPath];
  }

  /** Records of jobs that ended. */
  ended(): Promise<UsageRecord[]> {
    return this.store.history(new Date(0));
  }

  /** Nothing is left, at the latest after a sweep. */
  gone(): Promise<void> {
    return expect.poll(() => this.host.leaks(), SOON).toEqual([]);
  }

  /** @param number its ProcId */
  runJob(mode: Mode, number: number, script: string): ReturnType<typeof finished> {
    const jobAd = `LarkNetwork = "${mode}"\nRequestBandwidth = 10\nLarkInboundPorts = "8080, 8080/udp"`;
    return finished(
      startJob(this.host, {
        jobAd: `${jobAd}\nProcId = ${number}`,
        command: ['/bin/bash', '-c', script],
        wrapper: false,
      }),
    );
  }

  /** Machines for agents that kill somebody; they end with the act. */
  async withAgents(
    act: (start: (what: string, step?: string) => Promise<Killer>) => Promise<void>,
  ): Promise<void> {
    const agents = AgentHost.of(this.host, this.configFile);
    let last: Killer | undefined;
    try {
      await act(async (what, step) => {
        await last?.end();
        last = await Killer.start(this, agents, what, step);
        return last;
      });
    } finally {
      await last?.end();
      await agents.end();
    }
  }
}

export const ONCE = `exec ${WRAPPER} /bin/true`;
/** Twice below one starter, as a job that checkpoints itself: its first network is taken down while all of them live. */
export const twice = (mode: Mode): string =>
  `${WRAPPER} /bin/bash -c '${mode === 'none' ? ':' : SEND}' && exec ${WRAPPER} /bin/true`;

export interface NumberedStep {
  number: number;
  /** Its word and how often it was there, as in `nft#1`. */
  step: string;
}

/** An agent that kills somebody at a step of a job's network: see crash-driver.ts. */
export class Killer {
  readonly #world: CrashWorld;
  readonly #child: ReturnType<AgentHost['spawn']>;
  #out = '';

  private constructor(world: CrashWorld, child: ReturnType<AgentHost['spawn']>) {
    this.#world = world;
    this.#child = child;
    child.stdout!.on('data', (chunk) => {
      this.#out += chunk;
    });
    child.stderr!.resume();
  }

  static async start(world: CrashWorld, agents: AgentHost, what: string, step?: string): Promise<Killer> {
    const command = world.drive(DRIVER, what, ...(step ? [step] : []));
    const killer = new Killer(world, agents.spawn(command, []));
    await expect.poll(() => killer.#out, { timeout: 60_000, interval: 20 }).toContain('listens\n');
    return killer;
  }

  async end(): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.kill('SIGTERM');
    await ended;
  }

  /** The steps of a job that nobody disturbs. How far its namespace is gone decides whether its link is: no step of it. */
  async steps(mode: Mode, script: string): Promise<NumberedStep[]> {
    expect(await this.#world.runJob(mode, 0, script)).toMatchObject({ code: 0, err: '' });
    await this.#world.gone();
    const steps = this.#linesOf('step').map((step, i) => ({ number: i + 1, step }));
    return steps.filter(({ step }) => !step.startsWith('down:quiet#'));
  }

  /** Of which jobs somebody was killed, at which step. */
  killed = (): string[] =>
    this.#linesOf('killed').sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));

  /** Has it start its launcher again, which has to have ended. */
  async renewLauncher(): Promise<void> {
    const before = this.#linesOf('renewed').length;
    this.#child.kill('SIGUSR2');
    await expect.poll(() => this.#linesOf('renewed').slice(before), SOON).toEqual(['true']);
  }

  /** Network namespaces that it holds open. */
  namespaces(): string[] {
    const folder = `/proc/${this.#child.pid}/fd`;
    return readdirSync(folder).filter((fd) => {
      try {
        return readlinkSync(`${folder}/${fd}`).startsWith('net:');
      } catch {
        return false;
      }
    });
  }

  #linesOf(word: string): string[] {
    const lines = this.#out.split('\n').filter((line) => line.startsWith(`${word} `));
    return lines.map((line) => line.slice(word.length + 1));
  }
}

export const upTo = (steps: readonly NumberedStep[], last: string): NumberedStep[] =>
  steps.slice(0, steps.findIndex(({ step }) => step === last) + 1);
