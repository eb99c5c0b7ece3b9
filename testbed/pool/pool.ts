import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { hostConfig, hostsFile } from './config.ts';
import { conditions, ensureRootTree } from './root-tree.ts';
import {
  identify,
  type PoolHost,
  type PoolState,
  poolDir,
  readStartTicks,
  readStates,
  writeState,
} from './state.ts';
import { chooseSubnet, routeDestinations } from './subnet.ts';

export type { Role } from './config.ts';
export type { PoolHost } from './state.ts';

export interface ExecutionPoint {
  name: string;
  site: string;
}

export interface AccessPoint {
  name: string;
  site: string;
}

export interface PoolOptions {
  /** A tree from `ensureRootTree`; default: LARK_CONDOR_ROOT, else the one at the default cache place, built when missing. */
  rootTree?: string;
  /** Default: `ep1` at UCSD and `ep2` at FNAL. */
  executionPoints?: readonly ExecutionPoint[];
  /** Site of the access point `ap`; default UNL. */
  accessPointSite?: string;
  /** Instead of the one access point `ap`. */
  accessPoints?: readonly AccessPoint[];
  /** HTCondor configuration appended on every host of a role, or on the host of a name. */
  extraConfig?: Record<string, string>;
  /** Files and folders of this machine that every host sees, read-only: path in the host → path here. */
  mounts?: Record<string, string>;
  /** Gets one line of text, without line break, for each step. */
  progress?: (line: string) => void;
  signal?: AbortSignal;
}

export interface ExecOptions {
  /** Standard input; without it the command reads nothing. */
  input?: string;
  /** Default 30 s; then the command is killed within the host as well. */
  timeoutMs?: number;
}

export interface ExecResult {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** A pool that stands, started by this process or by another one. */
export interface AttachedPool {
  readonly id: string;
  readonly hosts: readonly PoolHost[];
  /** `ADDRESS:PORT` of the collector. The pool's network is reachable from inside the pool only. */
  readonly collectorAddress: string;
  /**
   * An argv prefix that runs a command inside a host (`cm`, `ap`, `ep1`, …): put a command and its arguments
   * after it. The command sees the host's files, not this machine's, so hand it data on stdin:
   * `condor_advertise -tcp -multiple UPDATE_AD_GENERIC -` reads its ads there. The name `switch` stands for the
   * pool's network: `ip` and `tc` see the bridge `pool0` there and one link per host, named as the host.
   *
   * @throws when the pool has no such host
   */
  commandPrefix(host: string): string[];
  /**
   * Runs a command as root inside a host, whatever its exit code.
   *
   * @throws when the pool has no such host or the command outlives its time limit
   */
  exec(host: string, argv: readonly string[], options?: ExecOptions): Promise<ExecResult>;
  /** Like `exec`, but returns stdout, and throws with the command's own words when it exits with another code than 0. */
  run(host: string, argv: readonly string[], options?: ExecOptions): Promise<string>;
  /** Writes a file inside a host: beside it first, then renamed. Folders on the way are made. */
  writeFile(host: string, path: string, text: string): Promise<void>;
  /** Writes `/etc/condor/config.d/NAME.conf` on a host and has its daemons read their configuration again. */
  configure(host: string, name: string, text: string): Promise<void>;
  /** The version of the pool's HTCondor, such as `23.9.6`. */
  condorVersion(): Promise<string>;
}

export interface Pool extends AttachedPool {
  /** Ends the pool and everything of it; may be called again. The pool ends with this process in any case. */
  stop(): Promise<void>;
}

const namespacesScript = fileURLToPath(new URL('namespaces.sh', import.meta.url));
const collectorPort = 9618;
const hostsUpTimeoutMs = 30_000;
const poolUpTimeoutMs = 60_000;
const stopTimeoutMs = 15_000;
const defaultExecTimeoutMs = 30_000;
const defaultExecutionPoints: readonly ExecutionPoint[] = [
  { name: 'ep1', site: 'UCSD' },
  { name: 'ep2', site: 'FNAL' },
];

/**
 * Starts a pool: a central manager `cm`, an access point `ap` (or several) and execution points, each a host of its own in
 * namespaces, on a network that only the pool sees. Resolves when the collector shows the schedd and every
 * startd. Nothing of the pool outlives this process, even if it is killed.
 *
 * @throws when the options are wrong, the machine cannot stand a pool, or the pool does not come up in time
 */
export async function startPool(options: PoolOptions = {}): Promise<Pool> {
  const { progress = () => {}, signal } = options;
  const plan = planHosts(options);
  const able = conditions();
  if (!able.ok) throw new Error(`The pool cannot be started: ${able.why}`);
  const rootTree =
    options.rootTree ||
    process.env.LARK_CONDOR_ROOT ||
    (await ensureRootTree({ progress, ...(signal && { signal }) }));
  signal?.throwIfAborted();

  const taken = readStates(Date.now()).map((pool) => `${pool.subnet}.0/24`);
  const routes = await execa('chroot', [rootTree, 'ip', '-json', '-4', 'route', 'show', 'table', 'all'], {
    timeout: 10_000,
  });
  const subnet = chooseSubnet([...routeDestinations(routes.stdout), ...taken], Math.random);
  const id = `${process.pid}-${randomBytes(3).toString('hex')}`;
  const addressed = plan.map((host, index) => ({ ...host, address: `${subnet}.${index + 2}` }));
  const state: PoolState = { id, owner: identify(process.pid), subnet, rootTree, hosts: [] };
  layOut(state, addressed, options);

  progress(`starting the pool ${id}: ${addressed.map((host) => host.name).join(', ')} on ${subnet}.0/24`);
  const supervisor = startSupervisor(poolDir(id), rootTree);
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= stopSupervisor(supervisor, state);
    return stopping;
  };
  try {
    const pids = await readPids(supervisor, addressed.length, signal);
    state.switch = identify(pids.switch);
    state.hosts = addressed.map((host) => ({ ...host, initPid: pids.hosts.get(host.name)! }));
    writeState(state);
    const pool = attach(state);
    await waitUntilUp(pool, signal);
    progress(`the pool ${id} stands`);
    return { ...pool, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The pools standing on this machine, whoever started them. */
export function runningPools(): AttachedPool[] {
  return readStates(Date.now())
    .filter((state) => state.hosts.length > 0)
    .map(attach);
}

/**
 * A pool that stands, by its id; without an id, the only one.
 *
 * @throws when there is no such pool, or several to choose from
 */
export function attachPool(id?: string): AttachedPool {
  const pools = runningPools();
  const names = pools.map((pool) => pool.id).join(', ');
  if (id === undefined) {
    const [only, ...others] = pools;
    if (only === undefined) throw new Error('No pool is running; start one, for example with "lark demo"');
    if (others.length > 0) throw new Error(`Several pools are running, name one of them: ${names}`);
    return only;
  }
  const found = pools.find((pool) => pool.id === id);
  if (found === undefined) throw new Error(`No pool "${id}" is running; running: ${names || 'none'}`);
  return found;
}

type PlannedHost = Omit<PoolHost, 'initPid' | 'address'>;

function planHosts(options: PoolOptions): PlannedHost[] {
  const executionPoints = options.executionPoints ?? defaultExecutionPoints;
  const accessPoints = options.accessPoints ?? [{ name: 'ap', site: options.accessPointSite ?? 'UNL' }];
  const hosts: PlannedHost[] = [
    { name: 'cm', role: 'cm' },
    ...accessPoints.map(({ name, site }) => ({ name, role: 'ap' as const, site })),
    ...executionPoints.map(({ name, site }) => ({ name, role: 'ep' as const, site })),
  ];
  const seen = new Set(['lo', 'pool0', 'switch']);
  for (const { name, site } of hosts) {
    // A host's name is also the name of its link at the switch, which Linux limits to 15 bytes.
    if (!/^[a-z][a-z0-9-]{0,14}$/.test(name)) {
      throw new Error(
        `Host name "${name}": use up to 15 lower-case letters, digits and dashes, a letter first`,
      );
    }
    if (seen.has(name)) throw new Error(`Host name "${name}" is taken; give each execution point its own`);
    seen.add(name);
    if (site !== undefined && !/^[\w.-]+$/.test(site)) {
      throw new Error(`Site "${site}" of host "${name}": use letters, digits, dots, dashes and underscores`);
    }
  }
  if (hosts.length > 250)
    throw new Error(`A pool has room for 248 execution points, not ${hosts.length - 2}`);
  return hosts;
}

/** Writes what namespaces.sh reads: the list of hosts and, per host, the files that lie over the tree. */
function layOut(
  state: PoolState,
  hosts: readonly Omit<PoolHost, 'initPid'>[],
  { extraConfig = {}, mounts = {} }: PoolOptions,
) {
  const dir = poolDir(state.id);
  mkdirSync(join(dir, 'mnt'), { recursive: true });
  writeState(state);
  const centralManagerAddress = hosts[0]!.address;
  for (const { name, role, site, address } of hosts) {
    const extra = [extraConfig[role], name === role ? undefined : extraConfig[name]]
      .filter((text) => text !== undefined)
      .join('\n');
    const config = hostConfig({
      role,
      address,
      centralManagerAddress,
      ...(site !== undefined && { site }),
      ...(extra !== '' && { extra }),
    });
    const put = (path: string, text: string) => {
      const file = join(dir, 'layers', name, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
    };
    put('etc/condor/config.d/90-pool.conf', config);
    put('etc/hosts', hostsFile(hosts));
    put('etc/hostname', `${name}\n`);
  }
  const mountLines = Object.entries(mounts).map(([target, source]) => `${source}\t${target}\n`);
  writeFileSync(join(dir, 'mounts'), mountLines.join(''));
  writeFileSync(join(dir, 'hosts'), hosts.map(({ name, address }) => `${name} ${address}\n`).join(''));
}

type Supervisor = ReturnType<typeof startSupervisor>;

/** In a session of its own: Ctrl-C at the terminal is for us, and we end the pool when we are ready. */
function startSupervisor(dir: string, rootTree: string) {
  return execa('sh', [namespacesScript, 'supervise', dir, rootTree], {
    stdin: 'pipe',
    detached: true,
    cleanup: false,
    reject: false,
  });
}

/** Closing its stdin ends the pool; killing the switch does the same should that be stuck. */
async function stopSupervisor(supervisor: Supervisor, state: PoolState): Promise<void> {
  supervisor.stdin.end();
  const ended = await Promise.race([
    supervisor.then(() => true),
    sleep(stopTimeoutMs, false, { ref: false }),
  ]);
  if (!ended && state.switch && readStartTicks(state.switch.pid) === state.switch.startTicks) {
    process.kill(state.switch.pid, 'SIGKILL');
    await supervisor;
  }
  rmSync(poolDir(state.id), { recursive: true, force: true });
}

interface Pids {
  switch: number;
  hosts: Map<string, number>;
}

/** Waits until the switch and every host have said their process ids. */
async function readPids(supervisor: Supervisor, hostCount: number, signal?: AbortSignal): Promise<Pids> {
  const limit = AbortSignal.timeout(hostsUpTimeoutMs);
  const abort = AbortSignal.any(signal ? [limit, signal] : [limit]);
  const lines = createInterface({ input: supervisor.stdout });
  const pids = await new Promise<Pids | undefined>((resolve) => {
    let switchPid = 0;
    const hosts = new Map<string, number>();
    lines.on('line', (line) => {
      const [kind, ...words] = line.split(' ');
      if (kind === 'switch') switchPid = Number(words[0]);
      if (kind === 'host') hosts.set(words[0]!, Number(words[1]));
      if (hosts.size === hostCount) resolve({ switch: switchPid, hosts });
    });
    lines.once('close', () => resolve(undefined));
    abort.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  if (pids !== undefined) return pids;
  signal?.throwIfAborted();
  supervisor.stdin.end();
  const { stderr } = await supervisor;
  throw new Error(
    `The pool's hosts did not start: ${stderr.trim().split('\n').at(-1) || `silent for ${hostsUpTimeoutMs / 1000} s`}`,
  );
}

/** Until the collector shows the schedd and all startds. */
async function waitUntilUp(pool: AttachedPool, signal?: AbortSignal): Promise<void> {
  const expected = pool.hosts.filter((host) => host.role !== 'cm');
  const deadline = performance.now() + poolUpTimeoutMs;
  for (;;) {
    signal?.throwIfAborted();
    const constraint = 'MyType == "Scheduler" || MyType == "Machine"';
    const shown = await pool.exec('cm', [
      'condor_status',
      '-any',
      '-constraint',
      constraint,
      '-af',
      'Machine',
    ]);
    const names = new Set(shown.stdout.split('\n').map((machine) => machine.split('.')[0]));
    const missing = expected.filter((host) => !names.has(host.name));
    if (missing.length === 0) return;
    if (performance.now() > deadline) {
      const silent = missing[0]!.name;
      const log = await pool.exec(silent, ['tail', '-n', '5', '/var/log/condor/MasterLog']);
      throw new Error(
        `The pool did not come up within ${poolUpTimeoutMs / 1000} s: the collector does not show ` +
          `${missing.map((host) => host.name).join(', ')}; last lines of ${silent}'s MasterLog:\n${log.stdout}`,
      );
    }
    await sleep(100);
  }
}

function attach(state: PoolState): AttachedPool {
  const { id, hosts } = state;
  const centralManager = hosts.find((host) => host.role === 'cm')!;

  const commandPrefix = (name: string): string[] => {
    if (name === 'switch') {
      return ['nsenter', '-t', String(state.switch!.pid), '-n', '--', 'chroot', state.rootTree];
    }
    const host = hosts.find((candidate) => candidate.name === name);
    if (host === undefined) {
      throw new Error(
        `The pool has no host "${name}"; it has ${hosts.map((known) => known.name).join(', ')}`,
      );
    }
    return ['nsenter', '-t', String(host.initPid), '-a', '--'];
  };

  const exec = async (
    host: string,
    argv: readonly string[],
    options: ExecOptions = {},
  ): Promise<ExecResult> => {
    const { input, timeoutMs = defaultExecTimeoutMs } = options;
    // The limit is kept inside as well: killing nsenter alone would leave the command running in the host.
    const limited = ['timeout', '--kill-after=2', String(timeoutMs / 1000), ...argv];
    const [command, ...args] = [...commandPrefix(host), ...limited] as [string, ...string[]];
    const result = await execa(command, args, {
      ...(input === undefined ? { stdin: 'ignore' as const } : { input }),
      reject: false,
      stripFinalNewline: false,
      timeout: timeoutMs + 5_000,
    });
    if (result.exitCode === undefined || result.exitCode === 124) {
      throw new Error(
        `${argv[0]} on host ${host} of pool ${id} did not end within ${timeoutMs / 1000} s or could not be run`,
      );
    }
    return { exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr };
  };

  const run = async (host: string, argv: readonly string[], options?: ExecOptions): Promise<string> => {
    const result = await exec(host, argv, options);
    if (result.exitCode !== 0) {
      throw new Error(
        `"${argv.join(' ')}" on host ${host} of pool ${id} exited with ${result.exitCode}: ` +
          (result.stderr.trim() || result.stdout.trim()),
      );
    }
    return result.stdout;
  };

  const writeFile = async (host: string, path: string, text: string): Promise<void> => {
    const script = 'mkdir -p "$(dirname "$1")" && cat >"$1.new" && mv "$1.new" "$1"';
    await run(host, ['sh', '-c', script, 'sh', path], { input: text });
  };

  return {
    id,
    hosts,
    collectorAddress: `${centralManager.address}:${collectorPort}`,
    commandPrefix,
    exec,
    run,
    writeFile,
    async configure(host, name, text) {
      await writeFile(host, `/etc/condor/config.d/${name}.conf`, text);
      await run(host, ['condor_reconfig']);
    },
    async condorVersion() {
      const text = await run(centralManager.name, ['condor_version']);
      const version = /CondorVersion: (\d+\.\d+\.\d+)/.exec(text)?.[1];
      if (version === undefined) throw new Error(`condor_version answered something unknown: ${text.trim()}`);
      return version;
    },
  };
}
