import { isAlive } from './proc.ts';
import type { ProcessId } from './types.ts';

/** Of the agent's time, for one job: some thousand times what an honest one needs. */
const LIMIT_MS = 5000;
/** What a job is forgiven for each second: a session a minute, for days, costs less. */
const FORGIVEN_MS_PER_SECOND = 1;
/** Questions of one job at once; an honest one has one. */
const MOST_AT_ONCE = 4;

/**
 * What each job cost so far: who asks again and again, with ads that take long to evaluate, or for networks that he
 * makes fail, is at some time not heard any more, and takes nothing from the others.
 */
export class Patience {
  readonly #jobs = new Map<string, { starter: ProcessId; spentMs: number; atMs: number; now: number }>();
  readonly #clockMs: () => number;

  constructor(clockMs = () => performance.now()) {
    this.#clockMs = clockMs;
  }

  /** @returns undefined where the job has had its share */
  async hear<T>(starter: ProcessId, answer: () => Promise<T>): Promise<T | undefined> {
    const job = this.#job(starter);
    if (job.spentMs > LIMIT_MS || job.now >= MOST_AT_ONCE) return undefined;
    job.now++;
    try {
      return await answer();
    } finally {
      job.now--;
    }
  }

  charge(starter: ProcessId, ms: number): void {
    this.#job(starter).spentMs += ms;
  }

  forgetGone(): void {
    for (const [key, { starter }] of this.#jobs) if (!isAlive(starter)) this.#jobs.delete(key);
  }

  #job(starter: ProcessId) {
    const key = keyOf(starter);
    const atMs = this.#clockMs();
    const job = this.#jobs.get(key) ?? { starter, spentMs: 0, atMs, now: 0 };
    job.spentMs = Math.max(0, job.spentMs - ((atMs - job.atMs) / 1000) * FORGIVEN_MS_PER_SECOND);
    job.atMs = atMs;
    this.#jobs.set(key, job);
    return job;
  }
}

export const keyOf = ({ pid, startTicks }: ProcessId): string => `${pid}/${startTicks}`;
