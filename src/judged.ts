import type { JudgedRead, Judgement, Sample, SeriesRead } from './domain.ts';

/** The read as the store takes it. */
export function inColumns({ series, samples, checkpoint }: SeriesRead<Sample>): JudgedRead {
  const { length } = samples;
  const atMs = new Float64Array(length);
  const values = new Float64Array(length);
  const judged = new Uint16Array(length);
  const judgements: Judgement[] = [];
  for (let i = 0; i < length; i += 1) {
    const { at, value, verdict, reason } = samples[i]!;
    atMs[i] = at.getTime();
    values[i] = value ?? Number.NaN;
    // Hardly ever more than one, never more than a few.
    let place = judgements.findIndex((each) => each.verdict === verdict && each.reason === reason);
    if (place < 0) place = judgements.push(reason === undefined ? { verdict } : { verdict, reason }) - 1;
    judged[i] = place;
  }
  return { series, samples: { atMs, values, judged, judgements }, checkpoint };
}
