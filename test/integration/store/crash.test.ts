import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { openStore } from '../../../src/store/store.ts';
import { startWriter } from './children.ts';
import { describeOnBoth } from './databases.ts';
import { NOON } from './examples.ts';
import { BATCH_MS, batchStart, SAMPLES_PER_BATCH, SERIES_COUNT } from './writer.ts';

const KILLS = 6;

await describeOnBoth('a writer killed at any moment (kill -9)', (newLocation) => {
  it('loses nothing that it had reported, tears no batch, doubles nothing', async () => {
    const location = await newLocation();
    let reported = 0;
    for (let kill = 0; kill < KILLS; kill += 1) {
      const writer = startWriter(location);
      await writer.said('open');
      await sleep(Math.random() * 700);
      await writer.kill();
      const batches = writer.lines().slice(1).map(Number);
      expect(batches).toEqual(batches.map((_, i) => batches[0]! + i));
      reported = Math.max(reported, ...batches.map((b) => b + 1));

      const store = await openStore(location);
      const all = await store.series();
      const [checkpoint] = (await store.checkpoints('a', NOON)).values();
      const committed = checkpoint ? (checkpoint.getTime() - batchStart(0).getTime()) / BATCH_MS : 0;
      // One more than reported: killed between the commit and the word of it.
      expect(committed).toBeGreaterThanOrEqual(reported);
      expect(committed).toBeLessThanOrEqual(reported + 1);
      reported = committed;
      const expected = Array.from({ length: committed * SAMPLES_PER_BATCH }, (_, i) => ({
        at: new Date(batchStart(0).getTime() + i * (BATCH_MS / SAMPLES_PER_BATCH)),
        value: Math.floor(i / SAMPLES_PER_BATCH),
        verdict: 'good',
      }));
      expect(all).toHaveLength(committed === 0 ? 0 : SERIES_COUNT);
      for (const { id, checkpoint: readTo } of all) {
        expect(readTo).toEqual(batchStart(committed));
        expect(await store.sampleRows({ seriesId: id })).toEqual(expected);
      }
      expect((await store.sampleCounts()).total).toBe(committed * SERIES_COUNT * SAMPLES_PER_BATCH);
      await store.close();
    }
    expect(reported).toBeGreaterThan(0);
  });
});
