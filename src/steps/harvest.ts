import type { Config } from '../config.ts';
import type { ArchiveReport, JudgedRead, SeriesRead, TraceRead } from '../domain.ts';
import { joined, judgedInColumns } from '../judged.ts';
import type { Log } from '../log.ts';
import { judgementOf } from '../spider/clean.ts';
import type { ClosedSearches } from '../spider/closed-searches.ts';
import { harvest } from '../spider/harvest.ts';
import type { Http } from '../spider/http.ts';
import type { KnownArchive } from '../spider/probe.ts';
import type { Store } from '../store/store.ts';
import type { Line } from './save-together.ts';

/** What harvesting one archive needs. */
export interface SpiderDeps {
  store: Store;
  http: Http;
  config: Pick<Config, 'harvest' | 'http'>;
  /** Where no OpenSearch was open; lives as long as the process. */
  closedSearches: ClosedSearches;
  clock: () => Date;
  log: Log;
  /** Gets the seconds that judging samples took. */
  cleaned: (seconds: number) => void;
  /** By which it stores what was judged, and traces. */
  openLines: () => { reads: Line<JudgedRead>; traces: Line<TraceRead> };
}

/**
 * Harvests one archive: each piece is judged as it arrives, and soon committed, while the next is read. When this returns
 * or throws, none of its pieces waits.
 * @throws when the store fails, or `signal` is aborted before the end
 */
export async function harvestArchive(
  deps: SpiderDeps,
  archive: KnownArchive,
  signal: AbortSignal,
): Promise<void> {
  const { store, http, config, closedSearches, clock, log } = deps;
  const now = clock();
  const keep = (read: SeriesRead): JudgedRead => {
    const started = performance.now();
    const { metric } = read.series;
    const judged = judgedInColumns(read, (sample) => judgementOf(metric, sample, now));
    deps.cleaned((performance.now() - started) / 1000);
    return judged;
  };
  const events = harvest(
    [archive],
    { ...config.harvest, ...config.http },
    {
      http,
      now,
      keep,
      join: joined,
      checkpoints: async (archiveKey) =>
        new Map([
          ...(await store.checkpoints(archiveKey, now)),
          ...(await store.traceCheckpoints(archiveKey, now)),
        ]),
      closedSearches,
      log,
      signal,
    },
  );
  const lines = deps.openLines();
  const stored = () => Promise.allSettled([lines.reads.stored(), lines.traces.stored()]);
  try {
    for await (const event of events) {
      if (event.type === 'reads') {
        await lines.reads.add(event.reads, clock());
      } else if (event.type === 'traces') {
        await lines.traces.add(event.reads, clock());
      } else {
        for (const result of await stored()) if (result.status === 'rejected') throw result.reason;
        // An end that was asked for says nothing about the archive.
        signal.throwIfAborted();
        await store.saveArchiveReport(event.report, clock());
      }
    }
  } finally {
    await stored();
  }
}

/**
 * Those that took longest the last time first, so that nobody waits for one that was begun at the end. One that was never
 * read may take any time, so these come before all others: first those of which nothing is known, then by how long they
 * take to answer.
 * @param answerSeconds by key
 */
export function longestFirst<A extends { key: string; lastReport?: Pick<ArchiveReport, 'seconds'> }>(
  archives: readonly A[],
  answerSeconds: ReadonlyMap<string, number>,
): A[] {
  const never = Number.POSITIVE_INFINITY;
  const of = ({ key, lastReport }: A) =>
    [lastReport?.seconds ?? never, answerSeconds.get(key) ?? never] as const;
  const down = (a: number, b: number): number => (a === b ? 0 : b - a);
  return archives.toSorted((a, b) => {
    const [x, y] = [of(a), of(b)];
    return down(x[0], y[0]) || down(x[1], y[1]);
  });
}

/** What a harvest job carries of a stored archive. */
export function knownArchive(archive: KnownArchive): KnownArchive {
  const { key, urls, hostKey, kind, ingestedTo, sources, consecutiveFailures } = archive;
  return { key, urls, hostKey, kind, ingestedTo, sources, consecutiveFailures };
}

/** The reports that came of these archives since `before` was read. */
export function newReports(
  before: readonly { key: string; lastReport?: { at: Date } }[],
  after: readonly { key: string; lastReport?: ArchiveReport & { at: Date } }[],
): ArchiveReport[] {
  const earlier = new Map(before.map(({ key, lastReport }) => [key, lastReport?.at.getTime()]));
  return after.flatMap(({ key, lastReport }) =>
    earlier.has(key) && lastReport && lastReport.at.getTime() !== earlier.get(key) ? [lastReport] : [],
  );
}
