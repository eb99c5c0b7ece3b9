import { expect, it } from 'vitest';
import { networksOf } from '../../../src/cli/worker-job.ts';
import type { JournalEntry } from '../../../src/worker/journal.ts';

const entry = (name: string, jobId: string, startedAt: string): JournalEntry => ({
  name,
  request: { jobId } as JournalEntry['request'],
  step: 'up',
  by: { pid: 1, startTicks: 1 },
  startedAt: new Date(startedAt),
});

const ENTRIES = [
  entry('slot1_1', 'ap1#12.0#1', '2026-01-01T00:00:00Z'),
  entry('slot1_2', 'ap1#12.0#1', '2026-01-02T00:00:00Z'),
  entry('slot1_3', 'ap1#7.0#2', '2026-01-03T00:00:00Z'),
  entry('slot1_4', 'ap2#7.0#3', '2026-01-04T00:00:00Z'),
];

it.each([
  ['slot1_1', ['slot1_1']],
  ['ap1#12.0#1', ['slot1_2', 'slot1_1']],
  ['12.0', ['slot1_2', 'slot1_1']],
  ['ap2#7.0#3', ['slot1_4']],
  ['2.0', []],
])('%s means %j, the newest first', (job, names) => {
  expect(networksOf(job, ENTRIES).map(({ name }) => name)).toEqual(names);
});

it('a number of two jobs means neither', () => {
  expect(() => networksOf('7.0', ENTRIES)).toThrow(
    '7.0 is several jobs here: name one of ap1#7.0#2, ap2#7.0#3',
  );
});
