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
/** A hundred times what a thread takes to begin. */
const START_MS = 20_000;
/** For one job; the next job tries again. */
const MOST_STARTS = 2;
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
  readonly #patience: Patience;
  readonly #file: URL;
  readonly #startMs: number;
  #thread: Promise<Worker>;
  readonly #ended = new WeakSet<Worker>();

  /** @param file and startMs others than usual, for tests */
  constructor(
    policy: ClassAd,
    { onFailure, shaping, hooks }: Pick<WorkerConfig, 'onFailure' | 'shaping' | 'hooks'>,
    patience: Patience,
    { file = THREAD, startMs = START_MS } = {},
  ) {
    this.#patience = patience;
    const givesAds = hooks.create !== undefined || hooks.delete !== undefined;
    this.#data = { policy: unparseAd(policy), config: { onFailure, shaping }, givesAds };
    this.#file = file;
    this.#startMs = startMs;
    this.#thread = this.#start();
  }

  /**
   * @throws UserError that names what of the ad or of the policy cannot be used, or takes too long
   * @throws Error where no thread can be started
   */
  decide(facts: JobFacts): Promise<Decision> {
    return this.#turn.run(async () => {
      const thread = await this.#running();
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
    await this.#thread.then((thread) => thread.terminate()).catch(() => {});
  }

  /** The thread, or another one where it ended, or never began, as on a machine without memory to spare. */
  async #running(): Promise<Worker> {
    for (let starts = 0; ; starts++) {
      try {
        const thread = await this.#thread;
        if (!this.#ended.has(thread)) return thread;
      } catch (error) {
        if (starts >= MOST_STARTS) throw error;
      }
      this.#thread = this.#start();
    }
  }

  /** What goes wrong is heard of by whoever asks first. */
  #start(): Promise<Worker> {
    const thread = this.#begun();
    thread.catch(() => {});
    return thread;
  }

  async #begun(): Promise<Worker> {
    const thread = new Worker(this.#file, {
      workerData: this.#data,
      resourceLimits: { maxOldGenerationSizeMb: LIMIT_MB },
    });
    thread.unref();
    let reason: unknown = new Error('the thread that decides ended as it began');
    // Whoever waits for an answer hears of it; without a listener it would end the agent. Its end may come at the same moment.
    thread.on('error', (error) => {
      reason = error;
    });
    const ended = new Promise<never>((_, reject) => {
      thread.once('exit', () => {
        this.#ended.add(thread);
        reject(reason);
      });
    });
    try {
      await Promise.race([ended, once(thread, 'message', { signal: AbortSignal.timeout(this.#startMs) })]);
    } catch (error) {
      await thread.terminate();
      throw error;
    }
    return thread;
  }
}
