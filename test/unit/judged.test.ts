import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Sample, Series } from '../../src/domain.ts';
import { inColumns, joined } from '../../src/judged.ts';

const series: Series = {
  ...{ archiveKey: 'archive', metadataKey: 'test', metric: 'rttMs', tool: 'ping' },
  ...{ source: 'a.example', destination: 'b.example', eventType: 'rtt' },
};
const sample: fc.Arbitrary<Sample> = fc
  .record({
    atMs: fc.integer({ min: 0, max: 1e12 }),
    value: fc.option(fc.double({ noNaN: true })),
    reason: fc.constantFrom(undefined, 'negative', 'impossible'),
  })
  .map(({ atMs, value, reason }) => ({
    at: new Date(atMs),
    value,
    ...(reason ? { verdict: 'bad', reason } : { verdict: 'good' }),
  }));

/** The samples as they are told apart: in columns, the same may have another judgement's place. */
const told = ({ samples: { atMs, values, judged, judgements } }: ReturnType<typeof inColumns>) =>
  [...atMs].map((at, i) => [at, values[i], judgements[judged[i]!]]);

test('two reads that are joined are the read of all their samples, with the later checkpoint', () => {
  const samples = fc.array(sample, { maxLength: 20 });
  fc.assert(
    fc.property(
      samples,
      samples,
      fc.date({ noInvalidDate: true }),
      fc.date({ noInvalidDate: true }),
      (a, b, x, y) => {
        const one = joined(
          inColumns({ series, samples: a, checkpoint: x }),
          inColumns({ series, samples: b, checkpoint: y }),
        );
        expect(told(one)).toEqual(told(inColumns({ series, samples: [...a, ...b], checkpoint: x })));
        expect(one.checkpoint).toEqual(x > y ? x : y);
      },
    ),
  );
});
