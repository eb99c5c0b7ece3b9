import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Pool, startPool } from '../../../testbed/pool/pool.ts';

const ROOT = resolve(import.meta.dirname, '../../..');

/** Of config/htcondor, as it is shipped. */
export const SHIPPED = readFileSync(join(ROOT, 'config/htcondor/worker-execution-point.conf'), 'utf8');

/** And short intervals so that a test need not wait. */
const SLOTS = `NUM_CPUS = 8
MEMORY = 4096
STARTER_UPDATE_INTERVAL = 3
STARTER_INITIAL_UPDATE_INTERVAL = 2
`;
const LARK_SETTINGS = `STARTD_CRON_LARK_PERIOD = 3s
LARK_MONITOR_SLOTS = 4
`;
/** Sections of worker.yaml, as text. */
const WORKER: Record<string, string> = {
  policy: '/opt/lark/config/worker/policy.ad',
  host: '{uplink: eth0}',
  nat: '{ipv4Pool: 10.144.0.0/16}',
  shaping: '{uplinkMbps: 100}',
  accounting: '{checkpointSeconds: 2}',
};
const yaml = (sections: Record<string, string>): string =>
  Object.entries(sections)
    .map(([key, value]) => `${key}: ${value}\n`)
    .join('');
const LARK = '#!/bin/sh\nexec /usr/local/bin/node /opt/lark/src/cli/main.ts "$@"\n';

/** A stock pool with Lark's worker on its execution points, and an iperf3 server outside of them. */
export interface WorkerPool {
  pool: Pool;
  /** Of the access point, where iperf3 listens on ports 5201 to 5203. */
  server: string;
  /** A script of the shell as the user who submits, in the home folder. */
  asUser(script: string, input?: string): Promise<string>;
  /**
   * A job that runs a script of the shell; its log, output and error are NAME.log, .out and .err.
   * @param more lines of the submit file; `queue` unless among them
   */
  submit(name: string, script: string, ...more: string[]): Promise<void>;
  /** Until the job has ended. */
  ended(name: string): Promise<void>;
  /** Until the job has said this, while it runs. */
  said(name: string, host: string, text: RegExp): Promise<string>;
  /** What condor_history says of the job, attribute by attribute. */
  history(name: string, ...attributes: string[]): Promise<string[]>;
  /** Starts the agent; resolves when it listens. @param sections of worker.yaml that are others than usual */
  startAgent(host: string, sections?: Record<string, string>): Promise<void>;
  /** kill -9 */
  killAgent(host: string): Promise<void>;
  stop(): Promise<void>;
}

/** HTCondor configuration before and after Lark's, and whether that is there at all. */
export interface WorkerMachine {
  before?: string;
  after?: string;
  isWithoutLark?: boolean;
}

export async function startWorkerPool(machines: Record<string, WorkerMachine>): Promise<WorkerPool> {
  const folder = mkdtempSync(join(tmpdir(), 'lark-worker-pool-'));
  const file = (name: string, text: string, mode: number): string => {
    writeFileSync(join(folder, name), text, { mode });
    return join(folder, name);
  };
  const pool = await startPool({
    executionPoints: Object.keys(machines).map((name) => ({ name, site: 'UCSD' })),
    extraConfig: Object.fromEntries(
      Object.entries(machines).map(([name, { before = '', after = '', isWithoutLark = false }]) => [
        name,
        isWithoutLark ? SLOTS : [before, SHIPPED, SLOTS, LARK_SETTINGS, after].join('\n'),
      ]),
    ),
    mounts: {
      '/opt/lark': ROOT,
      '/usr/local/bin/node': process.execPath,
      '/usr/bin/lark': file('lark', LARK, 0o755),
      '/etc/lark/worker.yaml': file('worker.yaml', yaml(WORKER), 0o644),
      '/usr/libexec/lark/lark-job-wrapper': join(ROOT, 'config/worker/lark-job-wrapper'),
    },
  });
  // The pool's hosts have no /sys of their own, real machines do.
  for (const host of Object.keys(machines)) await pool.run(host, ['mount', '-t', 'sysfs', 'sysfs', '/sys']);
  for (const port of ['5201', '5202', '5203']) await pool.run('ap', ['iperf3', '-s', '-D', '-J', '-p', port]);

  const asUser = (script: string, input?: string) =>
    pool.run('ap', ['runuser', '-u', 'lark', '--', 'sh', '-ec', `cd; ${script}`], {
      timeoutMs: 150_000,
      ...(input !== undefined && { input }),
    });
  const agentPids = async (host: string) =>
    (await pool.exec(host, ['pgrep', '-f', '[m]ain.ts worker agent'])).stdout
      .trim()
      .split('\n')
      .filter(Boolean);
  return {
    pool,
    server: pool.hosts.find(({ name }) => name === 'ap')!.address,
    asUser,
    async submit(name, script, ...more) {
      await asUser(`rm -f ${name}.*; cat >${name}.sh`, script);
      const lines = [
        'executable = /bin/sh',
        'transfer_executable = false',
        `arguments = ${name}.sh`,
        `transfer_input_files = ${name}.sh`,
        'should_transfer_files = yes',
        ...['log', 'output', 'error'].map((kind) => `${kind} = ${name}.${kind.slice(0, 3)}`),
        'request_memory = 32MB',
        'request_disk = 20MB',
        ...more,
        ...(more.some((line) => line.startsWith('queue')) ? [] : ['queue']),
      ];
      await asUser('condor_submit -', `${lines.join('\n')}\n`);
    },
    async ended(name) {
      await asUser(`condor_wait -wait 120 ${name}.log`);
    },
    async said(name, host, text) {
      // HTCondor 25 has the job's files one folder deeper.
      const ads = '/var/lib/condor/execute/dir_*/.job.ad /var/lib/condor/execute/dir_*/scratch/.job.ad';
      const script = `for ad in $(grep -l ${name}.sh ${ads} 2>/dev/null); do cat "\${ad%.job.ad}_condor_stdout"; done`;
      return until(async () => {
        const { stdout } = await pool.exec(host, ['sh', '-c', script]);
        return text.test(stdout) ? stdout : undefined;
      }, `${name} to say ${text}`);
    },
    async history(name, ...attributes) {
      const constraint = `RegExp("(^|/)${name}.log$", UserLog)`;
      const argv = ['condor_history', '-limit', '1', '-constraint', constraint, '-af', ...attributes];
      return (await pool.run('ap', argv)).trim().split(' ');
    },
    async startAgent(host, sections = {}) {
      await pool.writeFile(host, '/etc/lark-agent.yaml', yaml({ ...WORKER, ...sections }));
      const command =
        'setsid lark worker agent --config /etc/lark-agent.yaml </dev/null >/var/log/agent.log 2>&1 &';
      await pool.run(host, ['sh', '-c', command]);
      await until(async () => {
        const log = await pool.run(host, ['cat', '/var/log/agent.log']);
        return log.includes('agent listens') || undefined;
      }, 'the agent');
    },
    async killAgent(host) {
      for (const pid of await agentPids(host)) await pool.run(host, ['kill', '-9', pid]);
      await until(async () => (await agentPids(host)).length === 0 || undefined, 'the end of the agent');
    },
    async stop() {
      await pool.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What the check gives as soon as it gives something; also outside of tests, where expect.poll refuses. */
async function until<T>(check: () => Promise<T | undefined>, what: string): Promise<T> {
  const deadline = performance.now() + 60_000;
  while (performance.now() < deadline) {
    const found = await check();
    if (found !== undefined) return found;
    await sleep(200);
  }
  throw new Error(`waited a minute for ${what}`);
}
