/** How far a harvest is. */
export interface HarvestSnapshot {
  /** Archives whose harvest has ended, of all that were to be read; without, in a process that only takes jobs. */
  done: number;
  total?: number;
  /** Read by this process since the harvest began, and each second in the mean. */
  samples: number;
  samplesPerSecond: number;
  seconds: number;
  /** As long as it will take if it goes on as it went. */
  secondsLeft?: number;
  /** What this process has been reading for the longest, that first. */
  slowest: { archive: string; seconds: number }[];
}

const SLOWEST = 3;

/** Keeps count while archives are harvested. One process's own archives and samples; `total` is of all processes. */
export class HarvestProgress {
  readonly #monotonicMs: () => number;
  readonly #underWay = new Map<string, number>();
  #startedMs = 0;
  #samples = 0;
  #ended = 0;
  #total: number | undefined;
  #left = 0;

  constructor(monotonicMs: () => number = () => performance.now()) {
    this.#monotonicMs = monotonicMs;
  }

  get #isIdle(): boolean {
    return this.#left === 0 && this.#underWay.size === 0;
  }

  /** So many archives are to be read from now on, by whichever process. */
  expect(archives: number): void {
    this.#beginUnlessBegun();
    this.#total = (this.#total ?? 0) + archives;
    this.#left += archives;
  }

  /** So many of those that were expected are still to be done. */
  left(archives: number): void {
    this.#left = Math.min(archives, this.#total ?? 0);
  }

  began(archive: string): void {
    this.#beginUnlessBegun();
    this.#underWay.set(archive, this.#monotonicMs());
  }

  ended(archive: string): void {
    if (this.#underWay.delete(archive)) this.#ended += 1;
  }

  read(samples: number): void {
    this.#samples += samples;
  }

  /** Undefined where nothing is under way. */
  snapshot(): HarvestSnapshot | undefined {
    if (this.#isIdle) return undefined;
    const now = this.#monotonicMs();
    const seconds = (now - this.#startedMs) / 1000;
    const total = this.#total;
    const done = total === undefined ? this.#ended : total - this.#left;
    const slowest = [...this.#underWay]
      .map(([archive, sinceMs]) => ({ archive, seconds: (now - sinceMs) / 1000 }))
      .sort((a, b) => b.seconds - a.seconds)
      .slice(0, SLOWEST);
    return {
      done,
      ...(total !== undefined && { total }),
      samples: this.#samples,
      samplesPerSecond: seconds > 0 ? this.#samples / seconds : 0,
      seconds,
      ...(total !== undefined && done > 0 && { secondsLeft: (seconds / done) * (total - done) }),
      slowest,
    };
  }

  #beginUnlessBegun(): void {
    if (!this.#isIdle) return;
    this.#startedMs = this.#monotonicMs();
    this.#samples = 0;
    this.#ended = 0;
    this.#total = undefined;
  }
}

/** One line for people. */
export function progressLine(snapshot: HarvestSnapshot): string {
  const { done, total, samples, samplesPerSecond, secondsLeft, slowest } = snapshot;
  const parts = [
    total === undefined ? `${done} archives done` : `${done} of ${total} archives`,
    `${samples} samples, ${Math.round(samplesPerSecond)}/s`,
  ];
  if (secondsLeft !== undefined) parts.push(`about ${Math.ceil(secondsLeft)} s left`);
  const slow = slowest.map(({ archive, seconds }) => `${archive} for ${Math.round(seconds)} s`);
  return `harvest: ${parts.join(', ')}${slow.length > 0 ? `; longest under way: ${slow.join(', ')}` : ''}`;
}
