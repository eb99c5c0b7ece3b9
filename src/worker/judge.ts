import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type ClassAd, unparseAd } from 'classad-parser';
import { UserError } from '../errors.ts';
import type { WorkerConfig } from './config.ts';
import { limiter } from './limiter.ts';
import type { Patience } from './patience.ts';
import type { Decision } from './request.ts';
import type { JobFacts } from './starter.ts';

/** A thousand times what an honest ad takes. */
const LIMIT_MS = 3000;
const LIMIT_MB = 256;
const THREAD = new URL('judge-thread.ts', import.meta.url);

/** What the thread is started with. */
export interface JudgeData {
  /** In the new ClassAd language. */
  policy: string;
  config: Pick<WorkerConfig, 'onFailure' | 'shaping'>;
  /** Whether the site's hooks are to have the ads. */
  givesAds: boolean;
}
/** Its first word is `ready`; then there is an answer for each job. */
export type JudgeAnswer = 'ready' | { decision: Decision } | { problem: string };

/**
 * Decides what jobs get, in a thread of its own: an ad is a program that a user wrote, and one that computes without end
 * must not keep the agent from serving the others.
 */
export class Judge {
  readonly #data: JudgeData;
  readonly #turn = limiter(1);
  #thread: Promise<Worker>;

  readonly #patience: Patience;

  constructor(
    policy: ClassAd,
    { onFailure, shaping, hooks }: Pick<WorkerConfig, 'onFailure' | 'shaping' | 'hooks'>,
    patience: Patience,
  ) {
    this.#patience = patience;
    const givesAds = hooks.create !== undefined || hooks.delete !== undefined;
    this.#data = { policy: unparseAd(policy), config: { onFailure, shaping }, givesAds };
    this.#thread = this.#start();
    // Heard of by whoever asks first.
    this.#thread.catch(() => {});
  }

  /** @throws UserError that names what of the ad or of the policy cannot be used, or takes too long */
  decide(facts: JobFacts): Promise<Decision> {
    return this.#turn.run(async () => {
      const thread = await this.#thread;
      const begun = performance.now();
      thread.postMessage(facts);
      let answer: JudgeAnswer;
      try {
        [answer] = await once(thread, 'message', { signal: AbortSignal.timeout(LIMIT_MS) });
      } catch {
        await thread.terminate();
        this.#thread = this.#start();
        throw new UserError("the job's ad takes too long to evaluate, or too much memory");
      } finally {
        this.#patience.charge(facts.starter, performance.now() - begun);
      }
      if (answer === 'ready') throw new Error('the thread that decides began anew');
      if ('problem' in answer) throw new UserError(answer.problem);
      return answer.decision;
    });
  }

  async close(): Promise<void> {
    await (await this.#thread).terminate();
  }

  async #start(): Promise<Worker> {
    const thread = new Worker(THREAD, {
      workerData: this.#data,
      resourceLimits: { maxOldGenerationSizeMb: LIMIT_MB },
    });
    thread.unref();
    // Whoever waits for an answer hears of it; without a listener it would end the agent.
    thread.on('error', () => {});
    await once(thread, 'message');
    return thread;
  }
}
