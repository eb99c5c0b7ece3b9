import { StoreError } from './error.ts';

/**
 * Lets so many calls through at once, in their order, until it is closed; closing waits for all that had come before.
 *
 * A `pg` pool does neither: who waits ten seconds for one of its connections fails as if the server did not answer, and
 * who still waits when the pool is ended waits those ten seconds.
 */
export class Gate {
  readonly #name: string;
  #free: number;
  readonly #waiting: (() => void)[] = [];
  readonly #calls = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  /** `name`: what is closed, for the error. */
  constructor(name: string, limit: number) {
    this.#name = name;
    this.#free = limit;
  }

  /** @throws StoreError once closed. */
  async through<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing) {
      throw new StoreError(`${this.#name} is closed.`, { code: 'CLOSED' });
    }
    const call = this.#inTurn(work);
    this.#calls.add(call);
    try {
      return await call;
    } finally {
      this.#calls.delete(call);
    }
  }

  /** `end` runs when nothing is under way any more; a second call waits for the first. */
  close(end: () => Promise<void>): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#calls).then(end);
    return this.#closing;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) {
      this.#free -= 1;
    } else {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) {
        next();
      } else {
        this.#free += 1;
      }
    }
  }
}
