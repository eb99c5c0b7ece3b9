/**
 * A process for crash tests: `writer.ts <location as JSON>`. Says `open`, then writes batch after batch, from where the
 * checkpoints say that it must go on, and says the number of each once it is committed.
 */
import { openStore, type StoreLocation } from '../../../src/store/store.ts';
import { archive, discovery, good, NOON, read, series } from './examples.ts';

export const SERIES_COUNT = 20;
export const SAMPLES_PER_BATCH = 50;
export const BATCH_MS = 600_000;

/** Twenty days back, so that batches soon reach new partitions. */
export function batchStart(batch: number): Date {
  return new Date(NOON.getTime() - 20 * 86_400_000 + batch * BATCH_MS);
}

if (import.meta.main) {
  const store = await openStore(JSON.parse(process.argv[2]!) as StoreLocation);
  await store.announceApi('http://127.0.0.1:1/', 'token');
  console.log('open');
  await store.saveDiscovery(discovery({ archives: [archive('a')] }), NOON);
  const [checkpoint] = (await store.checkpoints('a', NOON)).values();
  let batch = checkpoint ? (checkpoint.getTime() - batchStart(0).getTime()) / BATCH_MS : 0;
  for (; ; batch += 1) {
    const reads = Array.from({ length: SERIES_COUNT }, (_, s) =>
      read(
        series('a', `m${s}`),
        Array.from({ length: SAMPLES_PER_BATCH }, (_, i) =>
          good(new Date(batchStart(batch).getTime() + i * (BATCH_MS / SAMPLES_PER_BATCH)), batch),
        ),
        batchStart(batch + 1),
      ),
    );
    await store.saveReads(reads, NOON);
    console.log(String(batch));
    if (batch % 7 === 0) {
      await store.saveCycle({ startedAt: NOON, finishedAt: NOON, ok: true, phasesSeconds: {}, counts: {} });
    }
  }
}
