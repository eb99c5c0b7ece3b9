import { expect, test } from 'vitest';
import { HarvestProgress, progressLine } from '../../../src/spider/progress.ts';

test('a harvest from its beginning to its end', () => {
  let ms = 1000;
  const progress = new HarvestProgress(() => ms);
  expect(progress.snapshot()).toBeUndefined();
  progress.expect(4);
  for (const key of ['a', 'b', 'c', 'd']) {
    progress.began(key);
    ms += 1000;
  }
  progress.read(900);
  progress.ended('a');
  progress.left(3);
  const snapshot = progress.snapshot()!;
  expect(snapshot).toEqual({
    done: 1,
    total: 4,
    samples: 900,
    samplesPerSecond: 225,
    seconds: 4,
    secondsLeft: 12,
    slowest: [
      { archive: 'b', seconds: 3 },
      { archive: 'c', seconds: 2 },
      { archive: 'd', seconds: 1 },
    ],
  });
  expect(progressLine(snapshot)).toBe(
    'harvest: 1 of 4 archives, 900 samples, 225/s, about 12 s left; longest under way: b for 3 s, c for 2 s, d for 1 s',
  );
  for (const key of ['b', 'c', 'd']) progress.ended(key);
  progress.left(0);
  expect(progress.snapshot()).toBeUndefined();

  // The next one begins anew.
  progress.expect(2);
  ms += 500;
  expect(progress.snapshot()).toMatchObject({ done: 0, total: 2, samples: 0, seconds: 0.5, slowest: [] });
  expect(progress.snapshot()).not.toHaveProperty('secondsLeft');
});

test('a process that only takes jobs knows no total', () => {
  let ms = 0;
  const progress = new HarvestProgress(() => ms);
  progress.began('a');
  ms = 2000;
  progress.read(10);
  expect(progressLine(progress.snapshot()!)).toBe(
    'harvest: 0 archives done, 10 samples, 5/s; longest under way: a for 2 s',
  );
  progress.ended('a');
  expect(progress.snapshot()).toBeUndefined();
});
