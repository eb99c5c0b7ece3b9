import type { JudgedRead, Judgement, RawSample, Sample, SeriesRead } from './domain.ts';

/** Two numbers of eight, and a place of two. */
const SAMPLE_BYTES = 18;

/** The read as the store takes it. */
export function inColumns(read: SeriesRead<Sample>): JudgedRead {
  return judgedInColumns(read, (sample) => sample);
}

/** The same of samples that are yet to be judged: there are so many that none is made anew with its verdict. */
export function judgedInColumns<S extends RawSample>(
  { series, samples, checkpoint }: SeriesRead<S>,
  judgementOf: (sample: S) => Judgement,
): JudgedRead {
  const { length } = samples;
  // One piece of memory: there are thousands of reads that wait for the store, and each piece has its price.
  const memory = new ArrayBuffer(length * SAMPLE_BYTES);
  const atMs = new Float64Array(memory, 0, length);
  const values = new Float64Array(memory, length * 8, length);
  const judged = new Uint16Array(memory, length * 16, length);
  let judgements: Judgement[] = [];
  for (let i = 0; i < length; i += 1) {
    const sample = samples[i]!;
    const { verdict, reason } = judgementOf(sample);
    atMs[i] = sample.at.getTime();
    values[i] = sample.value ?? Number.NaN;
    // Hardly ever more than one, never more than a few.
    let place = judgements.findIndex((each) => each.verdict === verdict && each.reason === reason);
    if (place < 0) {
      place = judgements.length;
      judgements = [...judgements, reason === undefined ? { verdict } : { verdict, reason }];
    }
    judged[i] = place;
  }
  return { series, samples: { atMs, values, judged, judgements }, checkpoint };
}
