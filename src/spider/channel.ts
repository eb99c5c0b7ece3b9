/**
 * A bounded queue between producers and one consumer: `push` waits while the queue is full, so that a slow consumer
 * slows the producers down instead of filling the memory.
 */
export class Channel<T> {
  readonly #capacity: number;
  readonly #items: T[] = [];
  readonly #blocked: (() => void)[] = [];
  #wakeConsumer: (() => void) | undefined;
  #ended = false;
  #failure: { error: unknown } | undefined;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** After the end, what is pushed is dropped. */
  async push(item: T): Promise<void> {
    while (this.#items.length >= this.#capacity && !this.#ended)
      await new Promise<void>((resolve) => this.#blocked.push(resolve));
    if (this.#ended) return;
    this.#items.push(item);
    this.#wakeConsumer?.();
  }

  /** No more will come. With an error, the consumer gets it thrown after what was pushed before. */
  end(failure?: { error: unknown }): void {
    this.#ended = true;
    this.#failure ??= failure;
    for (const resume of this.#blocked.splice(0)) resume();
    this.#wakeConsumer?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) {
        this.#blocked.shift()?.();
        yield item;
      } else if (this.#ended) {
        if (this.#failure) throw this.#failure.error;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wakeConsumer = resolve;
        });
        this.#wakeConsumer = undefined;
      }
    }
  }
}
