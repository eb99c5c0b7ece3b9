/** The stages of the road, in order. */
export const PHASES = ['discover', 'harvest', 'clean', 'locate', 'estimate', 'decide', 'publish'] as const;
export type Phase = (typeof PHASES)[number];

/** Adds up the seconds spent in each phase; a phase may be entered many times, also from within another. */
export class PhaseTimer {
  readonly seconds: Record<Phase, number> = {
    discover: 0,
    harvest: 0,
    clean: 0,
    locate: 0,
    estimate: 0,
    decide: 0,
    publish: 0,
  };
  readonly #monotonicMs: () => number;

  constructor(monotonicMs: () => number = () => performance.now()) {
    this.#monotonicMs = monotonicMs;
  }

  async run<T>(phase: Phase, work: () => Promise<T>): Promise<T> {
    const started = this.#monotonicMs();
    try {
      return await work();
    } finally {
      this.seconds[phase] += (this.#monotonicMs() - started) / 1000;
    }
  }

  /** Counts seconds of one phase, done while another ran, for the one and not for the other. */
  move(from: Phase, to: Phase, seconds: number): void {
    const moved = Math.min(seconds, this.seconds[from]);
    this.seconds[from] -= moved;
    this.seconds[to] += moved;
  }
}
