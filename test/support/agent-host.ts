import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { finished, startJob, WorkerHost } from './worker-host.ts';

export const MAIN = new URL('../../src/cli/main.ts', import.meta.url).pathname;
export const POLICY = new URL('../../config/worker/policy.ad', import.meta.url).pathname;

type JobOptions = Partial<Omit<Parameters<typeof startJob>[1], 'jobAd' | 'command'>>;

/** A machine of its own on which an agent runs, with stand-ins for HTCondor's starters. */
export class AgentHost {
  readonly host: WorkerHost;
  readonly configFile: string;
  #agent: ChildProcess | undefined;
  readonly #children: ChildProcess[] = [];

  private constructor(host: WorkerHost, configFile: string) {
    this.host = host;
    this.configFile = configFile;
  }

  /** On a machine that is there already, without an agent. */
  static of(host: WorkerHost, configFile: string): AgentHost {
    return new AgentHost(host, configFile);
  }

  /**
   * @param yaml worker.yaml without its policy and state
   * @param policy its text; absent: the one that comes with Lark
   */
  static async start(yaml: string, policy?: string): Promise<AgentHost> {
    const host = await WorkerHost.start();
    const world = new AgentHost(host, join(host.folder, 'worker.yaml'));
    const policyFile = policy === undefined ? POLICY : join(world.host.folder, 'policy.ad');
    if (policy !== undefined) writeFileSync(policyFile, policy);
    writeFileSync(
      world.configFile,
      `policy: ${policyFile}\n${yaml}\nstate: {dataDirectory: ${world.host.folder}/data}\n`,
    );
    try {
      await world.startAgent();
    } catch (error) {
      await world.stop();
      throw error;
    }
    return world;
  }

  async startAgent(): Promise<void> {
    const agent = this.spawn(this.worker('agent'));
    this.#agent = agent;
    await new Promise<void>((resolve, reject) => {
      let text = '';
      agent.stderr!.on('data', (chunk) => {
        text += chunk;
        if (text.includes('agent listens')) resolve();
      });
      agent.once('close', () => reject(new Error(`the agent ended: ${text}`)));
    });
  }

  async endAgent(signal: NodeJS.Signals): Promise<void> {
    const agent = this.#agent!;
    if (agent.exitCode !== null || agent.signalCode !== null) return;
    const ended = new Promise((resolve) => agent.once('close', resolve));
    agent.kill(signal);
    await ended;
  }

  reload(): void {
    this.#agent!.kill('SIGHUP');
  }

  /** The command line of `lark worker …` with this machine's configuration. */
  worker(command: string, ...args: string[]): string[] {
    return [process.execPath, MAIN, 'worker', command, '--config', this.configFile, ...args];
  }

  /** A program on this machine, or outside of it; ended with the world. */
  spawn(command: readonly string[], prefix = this.host.prefix): ChildProcess {
    const [program, ...args] = [...prefix, ...command];
    const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.push(child);
    return child;
  }

  /** A program of JavaScript that says something when it is ready. */
  async serve(script: string, prefix = this.host.prefix): Promise<ChildProcess> {
    const child = this.spawn([process.execPath, '-e', script], prefix);
    await said(child);
    return child;
  }

  /** A job's script, through the wrapper. */
  job(jobAd: string, script: string, more: JobOptions = {}): ChildProcess {
    const child = startJob(this.host, { jobAd, command: ['/bin/bash', '-c', script], ...more });
    this.#children.push(child);
    return child;
  }

  /** A job that speaks with the agent itself: its script in Perl. */
  client(perl: string, jobAd = '', more: JobOptions = {}): ReturnType<typeof finished> {
    const child = startJob(this.host, {
      jobAd,
      wrapper: false,
      command: ['/usr/bin/perl', '-e', perl],
      ...more,
    });
    this.#children.push(child);
    return finished(child);
  }

  /** Nothing is left, at the latest after a sweep. */
  gone(): Promise<void> {
    return expect.poll(() => this.host.leaks(), { timeout: 20_000, interval: 200 }).toEqual([]);
  }

  /** All of it but the machine. */
  async end(): Promise<void> {
    if (this.#agent) await this.endAgent('SIGTERM');
    for (const child of this.#children) child.kill('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.end();
    await this.host.stop();
  }
}

/** What a program says first. */
export function said(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error('the program ended without a word'));
    child.once('close', ended);
    child.stdout!.once('data', (chunk) => {
      child.off('close', ended);
      resolve(String(chunk));
    });
  });
}

/**
 * A client of the agent in Perl: says the lines it is given, sets its name when asked to, prints the answers.
 * @param pid an expression
 */
export const CLIENT = (pid = '$$', { claims = true, unshares = false, stop = 9 } = {}): string => `
use Socket; $| = 1;
socket(my $s, PF_UNIX, SOCK_STREAM, 0); connect($s, sockaddr_un('/run/lark/worker.sock')) or die "no agent\\n";
select((select($s), $| = 1)[0]);
exit if ${stop} == 0;
print $s '{"op":"network","pid":' . (${pid}) . "}\\n"; exit if ${stop} == 1;
my $line = <$s>; my ($secret) = $line =~ /"secret":"(\\w+)"/;
if (${claims ? 1 : 0}) { open(my $c, '>', '/proc/self/comm'); print $c $secret; close $c; }
print $s "{\\"op\\":\\"proved\\"}\\n"; exit if ${stop} == 2;
$line = <$s>; print $line;
if (${unshares ? 1 : 0} && $line =~ /unshare/) {
  print $s "{\\"op\\":\\"unshared\\"}\\n"; exit if ${stop} == 3;
  print scalar <$s>;
}
`;
