/** Reading the samples of paths as the review wants them. */
import type { Config } from '../config.ts';
import type { Judgement, SeriesMetric } from '../domain.ts';
import type { PathSeries } from '../paths/pairs.ts';
import type { ReviewInput, ReviewSeries } from '../paths/review/types.ts';
import type { JudgedColumns, Store } from '../store/store.ts';

/** The samples of each path within the windows of their metrics; series without any are left out. */
export async function readSamples(
  store: Store,
  paths: readonly PathSeries[],
  windows: Config['estimate'],
  now: Date,
): Promise<ReviewInput[]> {
  const all = new Map(paths.flatMap((path) => path.series.map((series) => [series.id, series])));
  const kinds = kindsOf(await store.judgements());
  const read = new Map<number, ReviewSeries>();
  for (const [hours, series] of Map.groupBy(all.values(), ({ metric }) => windowHours(metric, windows))) {
    const since = new Date(now.getTime() - hours * 3_600_000);
    for await (const part of store.judgedSamplesInParts(
      series.map(({ id }) => id),
      since,
    ))
      for (const [id, columns] of part) read.set(id, { ...all.get(id)!, ...byVerdict(columns, kinds) });
  }
  return paths.map(({ srcSite, dstSite, series }) => ({
    srcSite,
    dstSite,
    series: series.flatMap(({ id }) => read.get(id) ?? []),
  }));
}

/** Throughput is tested a few times a day, loss and delay every minute: their windows differ. */
export const windowHours = (metric: SeriesMetric, windows: Config['estimate']): number =>
  metric === 'throughputMbps' || metric === 'retransmits' ? windows.windowHours : windows.latencyWindowHours;

/** Only one-way delays get these: they tell how far two clocks are apart. */
const CLOCK_REASONS: ReadonlySet<string | undefined> = new Set(['negative-delay', 'clock-error']);

const OTHER = 0;
const GOOD = 1;
const CLOCK = 2;

/** What to do with a sample, by the id of its verdict; one that is newer than the list is left out. */
export function kindsOf(judgements: ReadonlyMap<number, Judgement>): Uint8Array {
  const kinds = new Uint8Array(0x10000);
  for (const [id, { verdict, reason }] of judgements)
    kinds[id] = verdict === 'good' ? GOOD : CLOCK_REASONS.has(reason) ? CLOCK : OTHER;
  return kinds;
}

export function byVerdict(
  { atMs, values, verdictIds }: JudgedColumns,
  kinds: Uint8Array,
): Pick<ReviewSeries, 'atMs' | 'values' | 'impossible' | 'leftOutCount'> {
  const counts = [0, 0, 0];
  for (let i = 0; i < values.length; i++) counts[kinds[verdictIds[i]!]!]! += 1;
  if (counts[GOOD] === values.length) return { atMs, values };
  const columns = (kind: number) => {
    const isOfKind = (_: number, index: number): boolean => kinds[verdictIds[index]!] === kind;
    return { atMs: atMs.filter(isOfKind), values: values.filter(isOfKind) };
  };
  return {
    ...columns(GOOD),
    leftOutCount: values.length - counts[GOOD]!,
    ...(counts[CLOCK]! > 0 && { impossible: columns(CLOCK) }),
  };
}
