import type { Sample, SeriesRead } from './domain.ts';
import type { Store } from './store/store.ts';

type Save = Store['saveReads'];

/** What one transaction takes; it bounds what PGlite holds for it. */
const MOST_SAMPLES = 50_000;

/**
 * What comes while a transaction is under way is stored together in the next one: many small pieces of many archives
 * cost little more than one. Each caller waits until its own piece is committed.
 * @throws what `save` throws: where a batch fails, each piece is tried by itself, so that only its own caller
 * learns of it
 */
export function savingTogether(
  save: Save,
): (reads: readonly SeriesRead<Sample>[], at: Date) => Promise<void> {
  interface Piece {
    reads: readonly SeriesRead<Sample>[];
    samples: number;
    at: Date;
    done: PromiseWithResolvers<void>;
  }
  const waiting: Piece[] = [];
  let isSaving = false;

  const alone = async ({ reads, at, done }: Piece): Promise<void> => {
    await save(reads, at).then(() => done.resolve(), done.reject);
  };
  const saveAll = async (): Promise<void> => {
    isSaving = true;
    while (waiting.length > 0) {
      const batch: Piece[] = [];
      for (let samples = 0; waiting.length > 0; ) {
        samples += waiting[0]!.samples;
        if (batch.length > 0 && samples > MOST_SAMPLES) break;
        batch.push(waiting.shift()!);
      }
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
    const samples = reads.reduce((sum, read) => sum + read.samples.length, 0);
    const done = Promise.withResolvers<void>();
    waiting.push({ reads, samples, at, done });
    if (!isSaving) void saveAll();
    return done.promise;
  };
}
