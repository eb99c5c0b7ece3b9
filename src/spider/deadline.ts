/** Time is up. The message says whose. */
export class OutOfTime extends Error {}

/** A time limit that can be stopped and goes on later: `signal` aborts when it is used up, or when `parent` does. */
export class Deadline {
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal;
  readonly #onParentAbort: () => void;
  readonly #limitSeconds: number;
  #leftMs: number;
  #runningSince: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pauses = 0;

  constructor(limitSeconds: number, parent: AbortSignal) {
    this.signal = this.#controller.signal;
    this.#parent = parent;
    this.#limitSeconds = limitSeconds;
    this.#leftMs = limitSeconds * 1000;
    this.#onParentAbort = () => this.#controller.abort(parent.reason);
    if (parent.aborted) this.#onParentAbort();
    parent.addEventListener('abort', this.#onParentAbort, { once: true });
    this.#start();
  }

  /** Stops the time until as many `resume` calls have followed. */
  pause(): void {
    this.#pauses += 1;
    if (this.#runningSince === undefined) return;
    clearTimeout(this.#timer);
    this.#leftMs -= performance.now() - this.#runningSince;
    this.#runningSince = undefined;
  }

  resume(): void {
    this.#pauses -= 1;
    if (this.#pauses === 0) this.#start();
  }

  /** The work is done: nothing will abort any more. */
  clear(): void {
    this.pause();
    this.#parent.removeEventListener('abort', this.#onParentAbort);
  }

  #start(): void {
    this.#runningSince = performance.now();
    this.#timer = setTimeout(
      () => this.#controller.abort(new OutOfTime(`was not done within ${this.#limitSeconds} s`)),
      this.#leftMs,
    );
  }
}
