import { spawn } from 'node:child_process';
import { type Ended, Launcher, LONGEST_INPUT } from './launcher.ts';

/** A program that failed, or took too long. */
export class CommandError extends Error {
  override name = 'CommandError';
  readonly stderr: string;

  constructor(message: string, stderr: string) {
    super(message);
    this.stderr = stderr;
  }
}

const SECONDS = 1000;
/** Far more than any of these ever takes; a kernel that hangs must not hang the agent. */
const TIME_LIMIT_MS = 10 * SECONDS;
/** Interpreted by nobody: the host's own programs, whatever PATH the agent was started with. */
const ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };

let launcher: Launcher | undefined;

/** From here on programs are started by a launcher, where that can be: for who starts many. */
export async function useLauncher(): Promise<void> {
  if (!launcher?.isReady) launcher = await Launcher.start();
}

/** Starts another one where it ended, by whomever. @returns whether it had */
export async function renewLauncher(): Promise<boolean> {
  if (!launcher || launcher.isReady) return false;
  launcher = await Launcher.start();
  return true;
}

/**
 * Runs a program without a shell and gives what it printed. Not execa, which costs a millisecond a process: a set-up is
 * four processes long.
 * @param isRepeatable that it may be run twice: where the launcher ends meanwhile, nobody knows whether it ran
 * @throws CommandError with the first line of what it wrote to standard error
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  {
    input = '',
    timeLimitMs = TIME_LIMIT_MS,
    env = ENVIRONMENT as NodeJS.ProcessEnv,
    isRepeatable = false,
  } = {},
): Promise<string> {
  const isLaunched = launcher?.isReady && Buffer.byteLength(input) <= LONGEST_INPUT;
  const run = isLaunched ? launcher!.run([command, ...args], input, env) : spawned(command, args, input, env);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    run.kill();
  }, timeLimitMs);
  let ended: Ended;
  try {
    ended = await run.ended;
  } catch (error) {
    if (isLaunched && isRepeatable) return runCommand(command, args, { input, timeLimitMs, env });
    throw new CommandError(`cannot run ${command}: ${(error as Error).message}`, '');
  } finally {
    clearTimeout(timer);
  }
  const { code, out, err } = ended;
  if (code === 0) return out;
  const why = isLate ? `took longer than ${timeLimitMs / SECONDS} s` : (err.trim().split('\n')[0] ?? '');
  throw new CommandError(
    `${[command, ...args].join(' ')}: ${why || (code === undefined ? 'killed' : `exit ${code}`)}`,
    err,
  );
}

function spawned(
  command: string,
  args: readonly string[],
  input: string,
  env: NodeJS.ProcessEnv,
): ReturnType<Launcher['run']> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  // A program that ends before it read everything says why on standard error.
  child.stdin.on('error', () => {});
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) =>
      resolve({
        ...(code !== null && { code }),
        out: Buffer.concat(out).toString(),
        err: Buffer.concat(err).toString(),
      }),
    );
  });
  child.stdin.end(input);
  return { ended, kill: () => void child.kill('SIGKILL') };
}
