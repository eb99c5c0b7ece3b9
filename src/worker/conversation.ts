import { setTimeout } from 'node:timers/promises';
import { UserError } from '../errors.ts';
import type { WorkerConfig } from './config.ts';
import type { Judge } from './judge.ts';
import { limiter } from './limiter.ts';
import type { Patience } from './patience.ts';
import { bearerOf, bears, newSecret } from './peer.ts';
import type { OnFailure } from './policy.ts';
import { processId } from './proc.ts';
import { type AgentMessage, type WrapperMessage, wrapperMessage } from './protocol.ts';
import type { Decision } from './request.ts';
import { hasAds, hasOwnNetwork, loopbackPortOf, readJobFacts, starterOf } from './starter.ts';
import type { NetworkMode, ProcessId } from './types.ts';

export type Granted = Decision & { kind: 'network' };

/** What conversations need of the agent. */
export interface Desk {
  onFailure: WorkerConfig['onFailure'];
  judge: Judge;
  patience: Patience;
  hasMode(mode: NetworkMode): boolean;
  /** Why this job got no network when it was here before, for it to be held now; told once. */
  takeRefusal(jobId: string): string | undefined;
  /**
   * For a job that begins more than once below one starter: the sshd of condor_ssh_to_job beside it, or the job again after
   * a checkpoint of its own. As long as anything of it is in its network, that is where it goes; a network that nothing is
   * in any more is taken away.
   * @returns undefined where the job has no network (any more)
   */
  joinNetwork(self: ProcessId, starter: ProcessId, decision: Granted): Promise<AgentMessage | undefined>;
  /** @param self the process in whose network namespace it is made */
  makeNetwork(self: ProcessId, starter: ProcessId, decision: Granted): Promise<AgentMessage>;
}

/** What a set-up that fails is taken to cost, with what takes it back. */
const FAILED_SETUP_MS = 250;
/** And what it costs to look for the job's other processes. */
const JOIN_MS = 10;

/** One connection: who it is, what is decided for it, and how far it has come. */
export class Conversation {
  readonly #desk: Desk;
  readonly #secret = newSecret();
  #claimed: (WrapperMessage & { op: 'network' | 'check' }) | undefined;
  #isProved = false;
  #waiting: { self: ProcessId; starter: ProcessId; decision: Granted } | undefined;

  constructor(desk: Desk) {
    this.#desk = desk;
  }

  /** Whether it is known to come from a job. */
  get isProved(): boolean {
    return this.#isProved;
  }

  /** Undefined: the line made no sense at this place. */
  async answer(line: string): Promise<AgentMessage | undefined> {
    let message: WrapperMessage;
    try {
      message = wrapperMessage.parse(JSON.parse(line));
    } catch {
      return undefined;
    }
    if ('pid' in message) {
      if (this.#claimed) return undefined;
      this.#claimed = message;
      return { do: 'prove', secret: this.#secret };
    }
    if (message.op === 'proved' && this.#claimed && !this.#isProved) return this.#prove(this.#claimed);
    if (message.op === 'unshared' && this.#waiting) {
      const { self, starter, decision } = this.#waiting;
      this.#waiting = undefined;
      return this.#heard(starter, () => this.#make(self, starter, decision));
    }
    return undefined;
  }

  async #prove(claimed: { op: 'network' | 'check'; pid: number }): Promise<AgentMessage> {
    const pid = bears(claimed.pid, this.#secret) ? claimed.pid : await searched(this.#secret);
    const self = pid === undefined ? undefined : processId(pid);
    if (!self) return this.#fail('the caller did not prove which process it is');
    const starter = starterOf(self.pid);
    if (!starter) return this.#fail('the caller is not below a condor_starter');
    this.#isProved = true;
    return this.#heard(starter, () => this.#decide(claimed.op, self, starter));
  }

  async #decide(op: 'network' | 'check', self: ProcessId, starter: ProcessId): Promise<AgentMessage> {
    const { judge, patience, hasMode, joinNetwork } = this.#desk;
    try {
      // A hook may run before the starter has written the ads: then it is too early to tell.
      if (op === 'check' && !hasAds(starter)) return { do: 'exec' };
      const decision = await judge.decide(readJobFacts(self.pid, starter));
      if (decision.kind === 'untouched') return { do: 'exec' };
      if (decision.kind === 'refused') return this.#fail(decision.reason, 'hold');
      if (!hasMode(decision.request.mode)) {
        return this.#fail(`mode ${decision.request.mode} is not set up on this machine`, decision.onFailure);
      }
      if (op === 'check') {
        const refusal = this.#desk.takeRefusal(decision.request.jobId);
        return refusal === undefined ? { do: 'exec' } : this.#fail(refusal, 'hold');
      }
      const joined = await joinNetwork(self, starter, decision);
      if (joined) {
        patience.charge(starter, JOIN_MS);
        return joined;
      }
      if (hasOwnNetwork(self.pid)) return await this.#make(self, starter, decision);
      this.#waiting = { self, starter, decision };
      return { do: 'unshare', chirp: String(loopbackPortOf(starter) ?? '') };
    } catch (error) {
      // What is wrong is in the job's ad or in the policy: another machine would say the same.
      if (error instanceof UserError) return this.#fail(error.message);
      throw error;
    }
  }

  async #make(self: ProcessId, starter: ProcessId, decision: Granted): Promise<AgentMessage> {
    const answer = await this.#desk.makeNetwork(self, starter, decision);
    if (answer.do !== 'go') this.#desk.patience.charge(starter, FAILED_SETUP_MS);
    return answer;
  }

  async #heard(starter: ProcessId, run: () => Promise<AgentMessage>): Promise<AgentMessage> {
    return (
      (await this.#desk.patience.hear(starter, run)) ?? this.#fail('this job asked too often for a network')
    );
  }

  #fail(message: string, action: OnFailure = this.#desk.onFailure): AgentMessage {
    return { do: 'fail', action, message };
  }
}

const searches = limiter(1);
const MOST_SEARCHES = 100;
let searching = 0;

/** A search among all processes takes as long as a hundred answers: half of the time is for others. */
async function searched(secret: string): Promise<number | undefined> {
  if (searching >= MOST_SEARCHES) return undefined;
  searching++;
  try {
    return await searches.run(async () => {
      const begun = performance.now();
      const pid = bearerOf(secret);
      await setTimeout(performance.now() - begun);
      return pid;
    });
  } finally {
    searching--;
  }
}
