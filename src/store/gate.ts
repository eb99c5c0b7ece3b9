import { StoreError } from './error.ts';

/**
 * Lets calls through until it is closed; closing waits for those that are through. (A `pg` pool that is ended leaves
 * those who wait for one of its connections waiting until their time is out.)
 */
export class Gate {
  readonly #name: string;
  readonly #running = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  /** `name`: what is closed, for the error. */
  constructor(name: string) {
    this.#name = name;
  }

  /** @throws StoreError once closed. */
  async through<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing) {
      throw new StoreError(`${this.#name} is closed.`, { code: 'CLOSED' });
    }
    const running = work();
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  /** `end` runs when nothing is under way any more; a second call waits for the first. */
  close(end: () => Promise<void>): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#running).then(end);
    return this.#closing;
  }
}
