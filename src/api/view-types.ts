import { z } from 'zod';
import { standingView } from './breakers.ts';

/**
 * What people and programs are shown of the store: the rows of `/api/v1/…` (and its OpenAPI document) and of the
 * CLI's tables. Times are ISO 8601 in UTC; what is not known is null.
 */
const time = z.string().meta({ format: 'date-time' });

export const hostView = z.object({
  host: z.string().meta({ description: 'key of the host, stable over cycles' }),
  names: z.array(z.string()),
  addresses: z.array(z.string()),
  site: z.string().nullable(),
  method: z.string().nullable().meta({ description: 'what kind of evidence decided' }),
  evidence: z.string(),
  siteNameHint: z.string().nullable().meta({ description: 'free text of the lookup record' }),
  accessPolicy: z
    .string()
    .nullable()
    .meta({ description: 'who may test it: public, research-education, private or limited' }),
  pschedulerUrls: z.array(z.string()).meta({ description: 'where its pScheduler is registered' }),
  lastSeen: time,
});
export type HostView = z.infer<typeof hostView>;

export const archiveView = z.object({
  archive: z.string(),
  url: z.string().meta({ description: 'the URL that answered last, or the preferred one' }),
  kind: z.string().nullable(),
  outcome: z
    .string()
    .nullable()
    .meta({ description: 'ok, partial or failed; null before the first harvest' }),
  fault: z.string().nullable(),
  message: z.string().nullable(),
  series: z.int(),
  samplesLastRead: z.int().meta({ description: 'samples that the last harvest brought' }),
  lastRead: time.nullable(),
  lastSuccess: time.nullable(),
  failuresInARow: z.int(),
  nextAttempt: time
    .nullable()
    .meta({ description: 'end of the back-off after failures; null where there is none' }),
});
export type ArchiveView = z.infer<typeof archiveView>;

export const sitesView = z.object({
  sites: z.array(
    z.object({
      site: z.string(),
      hosts: z.int(),
      endpoints: z.int().meta({ description: 'test endpoints at the site that no known host claims' }),
      machines: z.int().meta({ description: 'machines of the pool that offer slots' }),
      accessPoints: z.int().meta({ description: 'machines that jobs are submitted from' }),
      pathsOut: z.int(),
      pathsIn: z.int(),
    }),
  ),
  unmapped: z
    .array(z.object({ subject: z.string(), names: z.array(z.string()), evidence: z.string() }))
    .meta({ description: 'hosts and endpoints without a site, to be pinned in sites.yaml' }),
});
export type SitesView = z.infer<typeof sitesView>;

const metricView = z.object({
  centre: z.number(),
  p10: z.number(),
  p90: z.number(),
  sampleCount: z.int(),
  seriesCount: z.int(),
  lastMeasured: time.nullable(),
  method: z
    .string()
    .nullable()
    .meta({ description: 'the forecast method that weighed most, or what a prediction was made of' }),
  factors: z
    .object({
      freshness: z.number(),
      evidence: z.number(),
      agreement: z.number(),
      verdicts: z.number(),
      predictability: z.number(),
    })
    .nullable()
    .meta({ description: 'what the quality is the product of, each 0..1; null where it was predicted' }),
  sources: z
    .array(
      z.object({
        kind: z.string().meta({ description: 'tests, or transfers: what the pool’s own jobs moved' }),
        centre: z.number(),
        sampleCount: z.int(),
        share: z.number().meta({ description: 'what it counts, 0..1' }),
      }),
    )
    .nullable()
    .meta({ description: 'what it was fused of; null where tests alone told' }),
});
export type MetricView = z.infer<typeof metricView>;

export const pathView = z.object({
  path: z.string().meta({ description: '<src>><dst>' }),
  srcSite: z.string(),
  dstSite: z.string(),
  throughputMbps: metricView.nullable(),
  lossRate: metricView.nullable().meta({ description: 'fraction 0..1' }),
  oneWayDelayMs: metricView.nullable(),
  rttMs: metricView.nullable(),
  retransmits: metricView.nullable(),
  delayVariationMs: metricView
    .nullable()
    .meta({ description: '95th percentile of the delay above the smallest' }),
  reorderRate: metricView.nullable().meta({ description: 'fraction 0..1' }),
  duplicateRate: metricView.nullable().meta({ description: 'duplicates for each packet sent' }),
  quality: z.number().meta({ description: '0..1' }),
  sampleCount: z.int(),
  lastMeasured: time.nullable(),
  measured: z.boolean().meta({ description: 'false: predicted from other paths' }),
  estimatedAt: time,
  breakers: z.array(standingView),
});
export type PathView = z.infer<typeof pathView>;

export const adView = z.object({
  name: z.string(),
  text: z.string().meta({ description: 'the ad in old ClassAd syntax' }),
});
export type AdView = z.infer<typeof adView>;

const counts = z.record(z.string(), z.int());

const findingView = z.object({
  host: z.string().meta({ description: 'name, address or key of the host' }),
  site: z.string().nullable(),
  kind: z.string().meta({ description: 'clock-off, firewall or stopped' }),
  since: time.meta({ description: 'when it was first found' }),
  evidence: z.string(),
  advice: z.string(),
});

export const qualityView = z.object({
  totals: z
    .array(z.object({ verdict: z.string(), reason: z.string().nullable(), count: z.int() }))
    .meta({ description: 'all samples that are kept; empty where a host, site or pair was asked for' }),
  leftOut: counts.meta({
    description: 'good samples that the last estimates left out, by reason; see also series[].leftOut',
  }),
  findings: z.array(findingView).meta({ description: 'what all paths of a host say of the host itself' }),
  worstPaths: z
    .array(z.object({ path: z.string(), leftOut: counts }))
    .meta({ description: 'paths whose last estimate left most samples out, duplicates not counted' }),
  worstHosts: z
    .array(z.object({ host: z.string(), site: z.string().nullable(), expected: z.int(), silent: z.int() }))
    .meta({ description: 'hosts of which most expected tests are silent' }),
  series: z.array(
    z.object({
      source: z.string(),
      destination: z.string(),
      metric: z.string(),
      tool: z.string(),
      ipVersion: z.int().nullable(),
      archive: z.string(),
      good: z.int().meta({ description: 'samples of the window that its estimate looks at' }),
      notGood: z.int(),
      runs: z
        .int()
        .nullable()
        .meta({ description: 'where the samples are runs that failed: all runs of the test in that time' }),
      reasons: counts.meta({ description: 'why samples are not good, by themselves' }),
      leftOut: counts.meta({ description: 'why good samples do not count all the same, by their context' }),
      duplicateOf: z
        .string()
        .nullable()
        .meta({ description: 'the archive that has the same runs, and whose samples count' }),
      correctedMs: z
        .number()
        .nullable()
        .meta({ description: 'what was taken off each delay, as the clocks are apart by so much' }),
      regained: z
        .int()
        .meta({ description: 'delays that count by the correction, though they were impossible without' }),
      usualIntervalSeconds: z.number().nullable(),
      lastSample: time.nullable(),
      isSilent: z.boolean().meta({ description: 'it missed ten of its runs, or brought none in the window' }),
    }),
  ),
  seriesLeftOut: z.int().meta({ description: 'series beyond those shown' }),
  silent: z
    .array(
      z.object({ source: z.string(), destination: z.string(), testType: z.string(), template: z.string() }),
    )
    .meta({ description: 'tests that a mesh asks for, and of which there are no results of the last day' }),
});
export type QualityView = z.infer<typeof qualityView>;

const hop = z.object({
  address: z.string().nullable(),
  name: z.string().nullable(),
  asn: z.int().nullable().meta({ description: 'number of the autonomous system' }),
});

export const tracesView = z.object({
  traces: z.array(
    z.object({
      source: z.string(),
      destination: z.string(),
      ipVersion: z.int().nullable(),
      tool: z.string(),
      archive: z.string(),
      lastRun: time.nullable(),
      runs: z.int().meta({ description: 'of the last week, as the counts that follow' }),
      unreached: z.int().meta({ description: 'runs that did not get to the destination' }),
      looping: z.int().meta({ description: 'runs that met a router twice' }),
      returns: z
        .int()
        .meta({ description: 'back to a way of the day before: load balancing, or a route that flaps' }),
      current: z
        .object({ since: time, lastSeen: time, hops: z.array(hop), asns: z.array(z.int()) })
        .nullable()
        .meta({ description: 'the way of the last run that got to the destination' }),
      changes: z.array(z.object({ at: time, before: z.array(hop), after: z.array(hop) })),
      routes: z
        .array(z.object({ hops: z.array(hop), isReached: z.boolean(), firstSeen: time, lastSeen: time }))
        .meta({ description: 'all that runs met, as long as they are kept' }),
    }),
  ),
  testsLeftOut: z.int(),
});
export type TracesView = z.infer<typeof tracesView>;
