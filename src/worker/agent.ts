import { chmodSync, closeSync, fstatSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import type { ClassAd } from 'classad-parser';
import { messageOf, UserError } from '../errors.ts';
import type { Log } from '../log.ts';
import { apply } from './apply.ts';
import { CommandError, renewLauncher } from './commands.ts';
import type { WorkerConfig } from './config.ts';
import type { WorkerContext } from './context.ts';
import { Conversation, type Desk, type Granted } from './conversation.ts';
import { sweep } from './gc.ts';
import { identityMatters, inboundVariables, jobFolder } from './identity.ts';
import { readEntry, readJournal } from './journal.ts';
import { Judge } from './judge.ts';
import { type Limiter, limiter } from './limiter.ts';
import { journalFolder, setUp, tearDown } from './network.ts';
import { keyOf, Patience } from './patience.ts';
import { interfacesOf, isAlive, namespaceOf } from './proc.ts';
import { type AgentMessage, LONGEST_LINE, lineOf } from './protocol.ts';
import { replaceFile } from './records.ts';
import { renewRules } from './renew.ts';
import { standingOperations } from './standing.ts';
import { hasOwnNetwork, memberOf, scratchOf } from './starter.ts';
import type { JobNetworkRequest, ProcessId } from './types.ts';

export interface AgentOptions extends WorkerContext {
  policy: ClassAd;
  log: Log;
}

/** The file that tells wrappers, while no agent answers, what to do with their jobs. */
export const ON_FAILURE_FILE = 'on-failure';
/** A wrapper that says nothing for so long is given up. */
const PATIENCE_MS = 20_000;
/** How often it is looked whether the jobs of networks are still there. */
const WATCH_MS = 1000;
/** Connections at once: more than any machine starts jobs, fewer than would hurt. */
const MOST_CONNECTIONS = 512;
/** Remembered at once; each is a job that comes back to this machine soon, or never. */
const MOST_REFUSALS = 1000;
/** What a network costs that is given to the same job again: a hundred of them are as many as it gets. */
const RENEWAL_MS = 50;

/** Serves wrappers on a Unix socket, and keeps the kernel in agreement with the journal. */
export class WorkerAgent {
  readonly #options: AgentOptions;
  readonly #server: Server;
  readonly #limit: Limiter;
  /** Names whose set-up or tear-down is under way here. */
  readonly #inHand = new Set<string>();
  /** Networks that stand, by their starter: one network a job. Empty while it is being made. */
  readonly #standing = new Map<string, { name: string; starter: ProcessId }>();
  /** Connections, the oldest first, and whether an answer is being made for them. */
  readonly #connections = new Map<Socket, { isBusy: boolean; conversation: Conversation }>();
  readonly #judge: Judge;
  readonly #patience = new Patience();
  /** Why jobs that are to be held got no network, by job: HTCondor holds a job only before it starts it. */
  readonly #refusals = new Map<string, string>();
  #timers: NodeJS.Timeout[] = [];
  #sweeping: Promise<void> | undefined;
  /** Of networks whose jobs are gone. */
  #ending: Promise<unknown> = Promise.resolve();

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#limit = limiter(options.config.agent.parallel);
    this.#server = createServer((socket) => this.#accept(socket));
    this.#judge = new Judge(options.policy, options.config, this.#patience);
  }

  /**
   * Mends what an earlier agent left, then listens.
   * @throws CommandError when the standing rules cannot be made; UserError where another agent listens
   */
  async start(): Promise<void> {
    const { config, host, parts, log, onStep } = this.#options;
    const { socket } = config.agent;
    if (await answers(socket)) throw new UserError(`an agent listens on ${socket} already`);
    await apply(await standingOperations(config, host, parts), {
      onStep: (step) => onStep?.(`start:${step}`),
    });
    // Totals of jobs that an earlier agent knew: those that are still written down are closed as their network goes.
    const { entries } = readJournal(journalFolder(config));
    const written = new Set(entries.map(({ name }) => name));
    const standing = entries.flatMap(({ step, lease, request }) =>
      step === 'up' && lease && request.isAccounted ? [{ lease, request }] : [],
    );
    onStep?.('start:recover');
    const { unreadable } = await parts.accountant.recover((name) => written.has(name), standing);
    if (unreadable.length > 0) log.warn({ unreadable }, 'records of what jobs moved that cannot be read');
    for (const { name, step, request } of entries) {
      if (step === 'up') this.#standing.set(keyOf(request.starter), { name, starter: request.starter });
    }
    const failed = await renewRules(entries, this.#options);
    if (failed.length > 0) log.warn({ failed }, 'rules of jobs that run could not be loaded again');
    await this.sweep();
    mkdirSync(dirname(socket), { recursive: true });
    rmSync(socket, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject).listen(socket, resolve);
    });
    // Every job may ask; what it is told depends on who it is.
    chmodSync(socket, 0o666);
    replaceFile(join(config.state.runDirectory, ON_FAILURE_FILE), `${config.onFailure}\n`);
    this.#timers = [
      setInterval(() => void this.sweep(), config.agent.sweepSeconds * 1000),
      setInterval(() => {
        this.#ending = Promise.all([this.#ending, this.#endGone()]);
      }, WATCH_MS),
      setInterval(() => void this.#checkpoint(), config.accounting.checkpointSeconds * 1000),
    ];
    if (config.shaping.enabled && host.uplinkMbps === undefined) {
      log.warn(
        { uplink: host.uplink },
        'no job is shaped: set shaping.uplinkMbps, for the kernel tells no rate',
      );
    }
    log.info({ socket, uplink: host.uplink }, 'agent listens');
  }

  /** Networks of jobs stay as they are: the next agent takes them over. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // What is being made is finished and answered; who only waits may ask the next agent.
    for (const [socket, { isBusy }] of this.#connections) if (!isBusy) socket.destroy();
    await closed;
    await this.#judge.close();
    await this.#sweeping;
    await this.#ending;
    await this.#checkpoint();
  }

  /** Compares kernel, journal and living jobs, and mends the difference. Never throws. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweep().finally(() => {
      this.#sweeping = undefined;
    });
    return this.#sweeping;
  }

  async #checkpoint(): Promise<void> {
    await this.#options.parts.accountant.checkpoint().catch((error) => {
      this.#options.log.error({ error: messageOf(error) }, 'totals could not be written');
    });
  }

  async #sweep(): Promise<void> {
    const { log } = this.#options;
    try {
      if (await renewLauncher()) log.warn({}, 'the launcher had ended, and is started again');
      const report = await sweep(this.#options, this.#inHand, this.#limit);
      if (Object.values(report).some((list) => list.length > 0)) {
        log.warn(report, 'sweep: what was left behind');
      }
    } catch (error) {
      log.error({ error: messageOf(error) }, 'sweep failed');
    }
  }

  /** Takes down the networks whose job is gone, soon after it went. */
  async #endGone(): Promise<void> {
    const gone = [...this.#standing].filter(
      ([, { name, starter }]) => name !== '' && !this.#inHand.has(name) && !isAlive(starter),
    );
    await Promise.all(
      gone.map(async ([key, { name }]) => {
        await this.#takeDown(name);
        this.#standing.delete(key);
      }),
    );
    this.#patience.forgetGone();
  }

  async #takeDown(name: string): Promise<void> {
    this.#inHand.add(name);
    try {
      await this.#limit.run(() => tearDown(name, this.#options));
      this.#options.log.info({ name }, 'network gone');
    } catch (error) {
      this.#options.log.warn({ name, error: messageOf(error) }, 'tear-down failed; the sweep tries again');
    } finally {
      this.#inHand.delete(name);
    }
  }

  #accept(socket: Socket): void {
    const { config, parts, log } = this.#options;
    const desk: Desk = {
      onFailure: config.onFailure,
      judge: this.#judge,
      patience: this.#patience,
      hasMode: (mode) => parts.connectors[mode] !== undefined,
      takeRefusal: (jobId) => {
        const reason = this.#refusals.get(jobId);
        this.#refusals.delete(jobId);
        return reason;
      },
      joinNetwork: (self, starter, decision) => this.#joinNetwork(self, starter, decision),
      makeNetwork: (self, starter, decision) => this.#makeNetwork(self, starter, decision),
    };
    const conversation = new Conversation(desk);
    const state = { isBusy: false, conversation };
    this.#makeRoom();
    let text = '';
    let turn = Promise.resolve();
    this.#connections.set(socket, state);
    socket.on('close', () => this.#connections.delete(socket));
    socket.setTimeout(PATIENCE_MS, () => {
      if (!state.isBusy) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        turn = turn.then(async () => {
          if (socket.destroyed) return;
          state.isBusy = true;
          const answer = await conversation.answer(line).catch((error) => {
            log.error({ error: messageOf(error) }, 'a conversation failed');
          });
          state.isBusy = false;
          if (!answer) socket.destroy();
          else if (!socket.destroyed) socket.write(lineOf(answer));
          if (!this.#server.listening) socket.end();
        });
      }
      if (text.length > LONGEST_LINE) socket.destroy();
    });
  }

  /** Who holds many connections makes nobody wait: the oldest goes of those for which no network is being made. */
  #makeRoom(): void {
    if (this.#connections.size < MOST_CONNECTIONS) return;
    for (const [socket, { isBusy, conversation }] of this.#connections) {
      if (isBusy && conversation.isProved) continue;
      this.#connections.delete(socket);
      socket.destroy();
      return;
    }
  }

  #remember(jobId: string, reason: string): void {
    this.#refusals.set(jobId, reason);
    const [oldest] = this.#refusals.keys();
    if (this.#refusals.size > MOST_REFUSALS && oldest !== undefined) this.#refusals.delete(oldest);
  }

  async #joinNetwork(
    self: ProcessId,
    starter: ProcessId,
    { request }: Granted,
  ): Promise<AgentMessage | undefined> {
    const { config, log } = this.#options;
    const key = keyOf(starter);
    const name = this.#standing.get(key)?.name;
    if (!name || this.#inHand.has(name)) return undefined;
    const netns = readEntry(journalFolder(config), name)?.netns;
    // It is there already: there is no second one.
    if (netns === undefined || namespaceOf(self.pid, 'net') === netns) return undefined;
    const member = memberOf(netns, starter);
    if (member === undefined) {
      this.#patience.charge(starter, RENEWAL_MS);
      await this.#takeDown(name);
      this.#standing.delete(key);
      return undefined;
    }
    log.info({ name, jobId: request.jobId, pid: self.pid }, 'a process beside the job');
    // Out of a namespace that the starter made only root could take it.
    if (hasOwnNetwork(self.pid)) return { do: 'enter', door: scratchOf(starter) };
    return { do: 'join', pid: String(member), files: filesOf(request, config, name) };
  }

  async #makeNetwork(self: ProcessId, starter: ProcessId, decision: Granted): Promise<AgentMessage> {
    const { config, host, log } = this.#options;
    const key = keyOf(starter);
    const fail = (message: string): AgentMessage => ({ do: 'fail', action: decision.onFailure, message });
    const held = this.#standing.get(key);
    if (held) return fail(`this job has a network already${held.name && `: ${held.name}`}`);
    this.#standing.set(key, { name: '', starter });
    let fd: number | undefined;
    let name: string | undefined;
    try {
      // From here on the open file is the namespace, whatever the process does: all is asked of the file.
      fd = openSync(`/proc/${self.pid}/ns/net`, 'r');
      const number = fstatSync(fd).ino;
      const interfaces = interfacesOf(self.pid);
      if (number === namespaceOf('self', 'net')) return fail('the job is in the network of the host');
      if (namespaceOf(self.pid, 'net') !== number) return fail('the job changed its network namespace');
      if (!isAlive(self)) return fail('the job ended');
      if (interfaces?.join() !== 'lo') return fail('the network namespace of the job is not empty');
      const begun = performance.now();
      const netns = { path: `/proc/${process.pid}/fd/${fd}`, number };
      const made = await this.#limit.run(() =>
        setUp(decision.request, netns, {
          ...this.#options,
          ads: decision.ads,
          onName: (given) => {
            name = given;
            this.#inHand.add(given);
          },
        }),
      );
      const ms = Math.round(performance.now() - begun);
      const { ipv4, ipv6 } = made.lease;
      this.#standing.set(key, { name: made.lease.name, starter });
      const { jobId, mode } = decision.request;
      log.info({ name, jobId, mode, ipv4, ipv6, ms }, 'network stands');
      return {
        do: 'go',
        name: made.lease.name,
        files: filesOf(decision.request, config, made.lease.name),
        variables: Object.entries(inboundVariables({ request: decision.request, lease: made.lease }, host))
          .map(([variable, value]) => `${variable}=${value}`)
          .join(' '),
        // Into a user namespace of the job's user others of the job go by themselves.
        door: namespaceOf(self.pid, 'user') === namespaceOf('self', 'user') ? scratchOf(starter) : '',
      };
    } catch (error) {
      const { jobId } = decision.request;
      log.error({ jobId, error: messageOf(error) }, 'no network');
      const isKnown = error instanceof UserError || error instanceof CommandError;
      const reason = isKnown ? error.message : 'internal error';
      if (decision.onFailure === 'hold') this.#remember(jobId, reason);
      return fail(reason);
    } finally {
      // What a failed set-up could not take back is the sweep's from now on.
      if (name !== undefined) this.#inHand.delete(name);
      if (this.#standing.get(key)?.name === '') this.#standing.delete(key);
      if (fd !== undefined) closeSync(fd);
    }
  }
}

/** Whether somebody listens there. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (doesAnswer: boolean): void => {
      socket.destroy();
      resolve(doesAnswer);
    };
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
}

/** The folder of files that the job sees in place of the host's. */
function filesOf(request: JobNetworkRequest, config: WorkerConfig, name: string): string {
  return identityMatters(request) ? jobFolder(config, name) : '';
}
