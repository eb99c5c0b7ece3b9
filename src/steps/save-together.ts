import { setTimeout as sleep } from 'node:timers/promises';

/** What one transaction takes; it bounds what PGlite holds for it. */
const MOST_ITEMS = 30_000;
/**
 * With this many a transaction begins at once; with fewer, it waits this long for more. A transaction has its price
 * however little it brings: while dozens of archives are read at once, fewer and larger ones halve what storing takes.
 */
const ENOUGH_ITEMS = 15_000;
const LINGER_MS = 100;

/**
 * What comes while a transaction is under way, or a moment before it, is stored together: many small pieces of many
 * archives cost little more than one. Each caller waits until its own piece is committed.
 * @param itemsOf how large a read is: samples, or runs
 * @throws what `save` throws: where a batch fails, each piece is tried by itself, so that only its own caller
 * learns of it
 */
export function savingTogether<Read>(
  save: (reads: readonly Read[], at: Date) => Promise<unknown>,
  itemsOf: (read: Read) => number,
): (reads: readonly Read[], at: Date) => Promise<void> {
  interface Piece {
    reads: readonly Read[];
    items: number;
    at: Date;
    done: PromiseWithResolvers<void>;
  }
  const waiting: Piece[] = [];
  let waitingItems = 0;
  let isSaving = false;
  let enough: AbortController | undefined;

  const alone = async ({ reads, at, done }: Piece): Promise<void> => {
    await save(reads, at).then(() => done.resolve(), done.reject);
  };
  const linger = async (): Promise<void> => {
    if (waitingItems >= ENOUGH_ITEMS) return;
    enough = new AbortController();
    await sleep(LINGER_MS, undefined, { signal: enough.signal }).catch(() => {});
    enough = undefined;
  };
  const saveAll = async (): Promise<void> => {
    isSaving = true;
    while (waiting.length > 0) {
      await linger();
      const batch: Piece[] = [];
      for (let items = 0; waiting.length > 0; ) {
        items += waiting[0]!.items;
        if (batch.length > 0 && items > MOST_ITEMS) break;
        batch.push(waiting.shift()!);
      }
      waitingItems -= batch.reduce((sum, { items }) => sum + items, 0);
      if (batch.length === 1) {
        await alone(batch[0]!);
        continue;
      }
      try {
        const { at } = batch.at(-1)!;
        await save(
          batch.flatMap(({ reads }) => reads),
          at,
        );
        for (const { done } of batch) done.resolve();
      } catch {
        for (const piece of batch) await alone(piece);
      }
    }
    isSaving = false;
  };

  return (reads, at) => {
    const items = reads.reduce((sum, read) => sum + itemsOf(read), 0);
    const done = Promise.withResolvers<void>();
    waiting.push({ reads, items, at, done });
    waitingItems += items;
    if (waitingItems >= ENOUGH_ITEMS) enough?.abort();
    if (!isSaving) void saveAll();
    return done.promise;
  };
}
