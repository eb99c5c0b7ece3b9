import type { JudgedRead, JudgedSamples, Judgement, RawSample, Sample, SeriesRead } from './domain.ts';

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
  const { atMs, values, judged } = columns(length);
  let judgements: Judgement[] = [];
  for (let i = 0; i < length; i += 1) {
    const sample = samples[i]!;
    const judgement = judgementOf(sample);
    atMs[i] = sample.at.getTime();
    values[i] = sample.value ?? Number.NaN;
    let place = placeOf(judgement, judgements);
    if (place < 0) {
      place = judgements.length;
      const { verdict, reason } = judgement;
      judgements = [...judgements, reason === undefined ? { verdict } : { verdict, reason }];
    }
    judged[i] = place;
  }
  return { series, samples: { atMs, values, judged, judgements }, checkpoint };
}

/** Both reads of one series as one: the samples of the later after those of the earlier, with its checkpoint if that is later. */
export function joined(earlier: JudgedRead, later: JudgedRead): JudgedRead {
  const [a, b] = [earlier.samples, later.samples];
  const { atMs, values, judged } = columns(a.atMs.length + b.atMs.length);
  atMs.set(a.atMs);
  atMs.set(b.atMs, a.atMs.length);
  values.set(a.values);
  values.set(b.values, a.values.length);
  const judgements = [...a.judgements];
  const places = b.judgements.map((judgement) => {
    const place = placeOf(judgement, judgements);
    return place < 0 ? judgements.push(judgement) - 1 : place;
  });
  judged.set(a.judged);
  for (const [i, place] of b.judged.entries()) judged[a.judged.length + i] = places[place]!;
  const checkpoint = earlier.checkpoint > later.checkpoint ? earlier.checkpoint : later.checkpoint;
  return { series: later.series, samples: { atMs, values, judged, judgements }, checkpoint };
}

/** One piece of memory: there are thousands of reads that wait for the store, and each piece has its price. */
function columns(length: number): Omit<JudgedSamples, 'judgements'> {
  const memory = new ArrayBuffer(length * SAMPLE_BYTES);
  return {
    atMs: new Float64Array(memory, 0, length),
    values: new Float64Array(memory, length * 8, length),
    judged: new Uint16Array(memory, length * 16, length),
  };
}

/** -1 where it is not among them. Hardly ever more than one, never more than a few. */
function placeOf({ verdict, reason }: Judgement, judgements: readonly Judgement[]): number {
  return judgements.findIndex((each) => each.verdict === verdict && each.reason === reason);
}
