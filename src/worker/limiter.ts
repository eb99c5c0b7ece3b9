export interface Limiter {
  /** Runs a task as soon as there is a place; in the order in which they came. */
  run<T>(task: () => Promise<T>): Promise<T>;
  /** Runs a task when no other runs, and lets none begin meanwhile. */
  alone<T>(task: () => Promise<T>): Promise<T>;
}

/** At most `most` tasks at once. */
export function limiter(most: number): Limiter {
  let running = 0;
  const waiting: (() => void)[] = [];
  const take = async (): Promise<void> => {
    if (running < most && waiting.length === 0) running++;
    else await new Promise<void>((resolve) => waiting.push(resolve));
  };
  // The place passes to the next one, so that nobody who comes now is before it.
  const give = (): void => {
    const next = waiting.shift();
    if (next) next();
    else running--;
  };
  let lastAlone: Promise<unknown> = Promise.resolve();
  const withPlaces = async <T>(places: number, task: () => Promise<T>): Promise<T> => {
    for (let i = 0; i < places; i++) await take();
    try {
      return await task();
    } finally {
      for (let i = 0; i < places; i++) give();
    }
  };
  return {
    run: (task) => withPlaces(1, task),
    alone(task) {
      // Two that each held half of the places would wait for ever.
      const result = lastAlone.then(() => withPlaces(most, task));
      lastAlone = result.catch(() => undefined);
      return result;
    },
  };
}
