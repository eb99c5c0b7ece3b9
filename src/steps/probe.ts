/**
 * Tests of paths whose breaker is half-open, so that a result comes sooner than the path's own tests bring one. They
 * run beside cycles, which take up what came of them; a cycle never waits for one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import {
  type Breaker,
  EVERY_SITE,
  pathName,
  type RawSample,
  type SeriesRead,
  type SiteAssignment,
} from '../domain.ts';
import { messageOf } from '../errors.ts';
import { inColumns } from '../judged.ts';
import type { Log } from '../log.ts';
import { clean } from '../spider/clean.ts';
import type { Http } from '../spider/http.ts';
import { type PathProbeResult, type ProbeHost, probePath } from '../spider/probe-path.ts';
import { testConsent } from '../spider/pscheduler.ts';
import type { Store, StoredHost } from '../store/store.ts';

/** Stands for an archive: what Lark's own tests measured. It has no address and is never harvested. */
export const PROBE_ARCHIVE = 'probe';

/** As `lark probe` has them. */
const DURATION_SECONDS = 10;
const SLIP_SECONDS = 300;

export interface ProberDeps {
  clock: () => Date;
  log: Log;
  /** Ends the tests under way, and their tasks. */
  signal: AbortSignal;
  /** Tests one path; `probePath` unless said otherwise. */
  test?: typeof probePath;
}

export interface Prober {
  /** Starts tests of these breakers' paths, as many as may run now; the others have to ask again. */
  start(
    wanted: readonly Pick<Breaker, 'srcSite' | 'dstSite' | 'since'>[],
    hosts: readonly ProbeHost[],
    http: Http,
    options: Config['breaker']['probes'],
  ): void;
  /** What was measured since the last call. */
  results(): SeriesRead[];
  /** Waits for the end of the tests under way; `signal` has been aborted. */
  close(): Promise<void>;
}

export function createProber({ clock, log, signal, test = probePath }: ProberDeps): Prober {
  const underWay = new Map<string, Promise<void>>();
  const startedMs = new Map<string, number>();
  let measured: SeriesRead[] = [];

  async function run(
    srcSite: string,
    dstSite: string,
    hosts: readonly ProbeHost[],
    http: Http,
  ): Promise<void> {
    const name = pathName({ srcSite, dstSite });
    try {
      const result = await test(
        {
          type: 'throughput',
          source: srcSite,
          destination: dstSite,
          durationSeconds: DURATION_SECONDS,
          slipSeconds: SLIP_SECONDS,
        },
        hosts,
        { http, now: clock, sleep: (ms, abort) => sleep(ms, undefined, { signal: abort }), log, signal },
      );
      if (result.outcome === 'failed') return log.info({ path: name }, `test of ${name}: ${result.message}`);
      const read = readOf(result);
      if (read) measured.push(read);
    } catch (error) {
      // Nobody who may be tested, or the end of the service: the path's own tests will have to do.
      if (!signal.aborted) log.info({ path: name }, `no test of ${name}: ${messageOf(error)}`);
    }
  }

  return {
    start(wanted, hosts, http, { enabled, everyMinutes, atOnce }) {
      if (!enabled || signal.aborted) return;
      const nowMs = clock().getTime();
      const willing = hosts.filter(({ accessPolicy }) => testConsent(accessPolicy) === 'permitted');
      const due = new Map(
        wanted
          .filter(({ srcSite, dstSite }) => srcSite !== EVERY_SITE && dstSite !== EVERY_SITE)
          .map((breaker) => [pathName(breaker), breaker] as const)
          .filter(([name]) => nowMs - (startedMs.get(name) ?? -Infinity) >= everyMinutes * 60_000),
      );
      // Those that waited longest for their first or next test come first.
      const order = ([name, { since }]: [string, { since: Date }]): number =>
        startedMs.get(name) ?? since.getTime() - nowMs;
      for (const [name, { srcSite, dstSite }] of [...due].sort((a, b) => order(a) - order(b))) {
        if (underWay.size >= atOnce) return;
        if (underWay.has(name)) continue;
        startedMs.set(name, nowMs);
        underWay.set(
          name,
          run(srcSite, dstSite, willing, http).finally(() => underWay.delete(name)),
        );
      }
    },
    results() {
      const taken = measured;
      measured = [];
      return taken;
    },
    async close() {
      await Promise.all(underWay.values());
    },
  };
}

/** A measurement as a series of its own. The tool is not told by the result; it is marked as Lark's own test. */
function readOf(result: PathProbeResult): SeriesRead | undefined {
  if (result.outcome !== 'measured' || result.measurement.type !== 'throughput') return undefined;
  const { source, destination, startedAt, measurement } = result;
  const sample: RawSample = { at: startedAt, value: measurement.throughputMbps };
  return {
    series: {
      archiveKey: PROBE_ARCHIVE,
      metadataKey: `${source}>${destination}`,
      metric: 'throughputMbps',
      source,
      destination,
      tool: 'pscheduler/lark-probe',
      eventType: 'throughput',
    },
    samples: [sample],
    checkpoint: startedAt,
  };
}

/** Stores what tests measured, judged like every other sample. */
export async function saveProbes(store: Store, reads: readonly SeriesRead[], now: Date): Promise<void> {
  if (reads.length === 0) return;
  await store.saveArchives([{ key: PROBE_ARCHIVE, urls: [], sources: ['lark'] }], now);
  // One after the other: two tests of the same pair would be one series twice.
  for (const read of reads) await store.saveReads([inColumns(clean(read, now))], now);
}

/** Measurement hosts with their sites, as tests choose among them. */
export function probeHosts(
  hosts: readonly StoredHost[],
  assignments: readonly SiteAssignment[],
): ProbeHost[] {
  const siteOf = new Map(assignments.map(({ subject, site }) => [subject, site]));
  return hosts.map(({ key, names, addresses, accessPolicy, pschedulerUrls }) => ({
    names,
    addresses,
    site: siteOf.get(key) ?? null,
    accessPolicy: accessPolicy ?? null,
    pschedulerUrls,
  }));
}
