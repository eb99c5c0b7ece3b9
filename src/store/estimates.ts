/** The current estimate of each path. */
import type { EstimateSource, Metric, MetricEstimate, PathEstimate, QualityFactors } from '../domain.ts';
import type { Database } from './database.ts';
import { byKey, dateFromMs, epochMs, inParts, numberArray, queryTuples, textArray } from './values.ts';

export interface PathFilter {
  srcSite?: string;
  dstSite?: string;
}

/** How a MetricEstimate stands in the metrics column; see sql/011-estimates.sql. */
type MetricTuple = [
  centre: number,
  p10: number,
  p90: number,
  sampleCount: number,
  seriesCount: number,
  lastMeasuredMs: number | null,
  method?: string | null,
  factors?: FactorTuple | null,
  sources?: EstimateSource[] | null,
];
type FactorTuple = [
  freshness: number,
  evidence: number,
  agreement: number,
  verdicts: number,
  predictability: number,
];

/** Adds or replaces `estimates`, and removes the paths in `gone`. */
export async function saveEstimates(
  db: Database,
  estimates: readonly PathEstimate[],
  gone: readonly { srcSite: string; dstSite: string }[],
): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.query(
      `delete from estimates using unnest($1::text[], $2::text[]) as gone(src_site, dst_site)
       where estimates.src_site = gone.src_site and estimates.dst_site = gone.dst_site`,
      [textArray(gone.map((p) => p.srcSite)), textArray(gone.map((p) => p.dstSite))],
    );
    for (const part of inParts(estimates))
      await tx.query(
        `insert into estimates (
         src_site, dst_site, metrics, quality, sample_count, last_measured, measured, estimated_at)
       select
         src_site, dst_site, metrics::json, quality, sample_count, to_timestamp(last_measured_ms / 1000), measured,
         to_timestamp(estimated_at_ms / 1000)
       from unnest($1::text[], $2::text[], $3::text[], $4::float8[], $5::integer[], $6::float8[], $7::boolean[],
         $8::float8[])
         as e(src_site, dst_site, metrics, quality, sample_count, last_measured_ms, measured, estimated_at_ms)
       order by src_site, dst_site
       on conflict (src_site, dst_site) do update set
         metrics = excluded.metrics, quality = excluded.quality, sample_count = excluded.sample_count,
         last_measured = excluded.last_measured, measured = excluded.measured, estimated_at = excluded.estimated_at`,
        [
          textArray(part.map((e) => e.srcSite)),
          textArray(part.map((e) => e.dstSite)),
          textArray(part.map((e) => packedMetrics(e.metrics))),
          numberArray(part.map((e) => e.quality)),
          numberArray(part.map((e) => e.sampleCount)),
          numberArray(part.map((e) => e.lastMeasured?.getTime())),
          `{${part.map((e) => e.measured).join(',')}}`,
          numberArray(part.map((e) => e.estimatedAt.getTime())),
        ],
      );
  });
}

/** By source, then destination. */
export async function estimates(db: Database, filter: PathFilter = {}): Promise<PathEstimate[]> {
  type Row = [string, string, Record<string, MetricTuple>, number, number, number | null, boolean, number];
  return byKey(
    ['src_site', 'dst_site'],
    (condition, after) =>
      queryTuples<Row>(
        db,
        `src_site, dst_site, metrics, quality, sample_count, ${epochMs('last_measured')}, measured,
         ${epochMs('estimated_at')}`,
        `(select * from estimates
          where ($3::text is null or src_site = $3) and ($4::text is null or dst_site = $4) and ${condition}) as e`,
        [...after, filter.srcSite ?? null, filter.dstSite ?? null],
      ),
    ([srcSite, dstSite, metrics, quality, sampleCount, lastMeasured, measured, estimatedAt]) => ({
      srcSite,
      dstSite,
      metrics: unpackedMetrics(metrics),
      quality,
      sampleCount,
      ...(lastMeasured !== null && { lastMeasured: dateFromMs(lastMeasured) }),
      measured,
      estimatedAt: dateFromMs(estimatedAt),
    }),
  );
}

function packedMetrics(metrics: PathEstimate['metrics']): string {
  const packed: Record<string, MetricTuple> = {};
  for (const [metric, m] of Object.entries(metrics)) {
    const f = m.factors;
    packed[metric] = [
      m.centre,
      m.p10,
      m.p90,
      m.sampleCount,
      m.seriesCount,
      m.lastMeasured?.getTime() ?? null,
      m.method ?? null,
      f ? [f.freshness, f.evidence, f.agreement, f.verdicts, f.predictability] : null,
    ];
    if (m.sources) packed[metric].push(m.sources);
  }
  return JSON.stringify(packed);
}

function unpackedMetrics(packed: Record<string, MetricTuple>): PathEstimate['metrics'] {
  const metrics: Partial<Record<Metric, MetricEstimate>> = {};
  for (const metric in packed) {
    const [centre, p10, p90, sampleCount, seriesCount, lastMeasuredMs, method, factors, sources] =
      packed[metric]!;
    metrics[metric as Metric] = {
      centre,
      p10,
      p90,
      sampleCount,
      seriesCount,
      ...(lastMeasuredMs !== null && { lastMeasured: new Date(lastMeasuredMs) }),
      ...(method && { method }),
      ...(factors && { factors: unpackedFactors(factors) }),
      ...(sources && { sources }),
    };
  }
  return metrics;
}

function unpackedFactors(factors: FactorTuple): QualityFactors {
  const [freshness, evidence, agreement, verdicts, predictability] = factors;
  return { freshness, evidence, agreement, verdicts, predictability };
}
