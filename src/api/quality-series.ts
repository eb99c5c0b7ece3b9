import type { Config } from '../config.ts';
import { isMeasured, type MeasurementHost, type SiteAssignment } from '../domain.ts';
import { groupByPath, type PathSeries } from '../paths/pairs.ts';
import { hostContext } from '../paths/review/host-findings.ts';
import { usualInterval } from '../paths/review/intervals.ts';
import { review } from '../paths/review/review.ts';
import { allowedSilenceMs } from '../paths/review/stale.ts';
import { hostsOf, type SeriesNote } from '../paths/review/types.ts';
import { addCounts } from '../paths/review/verdicts.ts';
import { endpointKeys, locatedSeries } from '../sites/subjects.ts';
import { readSamples, windowHours } from '../steps/sample.ts';
import type { JudgedColumns, Store, StoredFinding, StoredSeries } from '../store/store.ts';
import type { QualityView } from './view-types.ts';

type SeriesQuality = QualityView['series'][number];
type Options = Config['estimate'];

/** What there is to know of where series belong. */
export interface Surroundings {
  all: readonly StoredSeries[];
  hosts: readonly MeasurementHost[];
  assignments: readonly SiteAssignment[];
  findings: readonly StoredFinding[];
}

/**
 * Each of the chosen series with the verdicts of its samples, and with what the review says of them now. For that, all
 * series of the same paths are read, and of the ways back: a sample is judged among the others.
 */
export async function seriesQuality(
  store: Store,
  chosen: readonly StoredSeries[],
  around: Surroundings,
  options: Options,
  now: Date,
): Promise<{ series: SeriesQuality[]; leftOut: Record<string, number> }> {
  const inputs = await readSamples(store, pathsAround(chosen, around), options, now);
  const reviewed = review(inputs, hostContext(around.findings), options, now);
  const notes = new Map(reviewed.flatMap((path) => path.notes).map((note) => [note.id, note]));
  const archiveOf = new Map(around.all.map(({ id, archiveKey }) => [id, archiveKey]));
  const columns = await judgedSamples(store, chosen, options, now);
  const judgements = await store.judgements();
  const leftOut = {};
  const series = chosen.map((one): SeriesQuality => {
    const note = notes.get(one.id);
    if (note) addCounts(leftOut, note.excluded);
    const reasons = new Map<string, number>();
    const { verdictIds = [], atMs = new Float64Array() } = columns.get(one.id) ?? {};
    let good = 0;
    for (const id of verdictIds) {
      const { verdict, reason = verdict } = judgements.get(id) ?? { verdict: 'bad' };
      if (verdict === 'good') good += 1;
      else reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
    const intervalMs = usualInterval(atMs);
    const silentMs = now.getTime() - (one.lastSampleAt?.getTime() ?? 0);
    return {
      source: one.sourceName ?? one.source,
      destination: one.destinationName ?? one.destination,
      metric: one.metric,
      tool: one.tool,
      ipVersion: one.ipVersion ?? null,
      archive: one.archiveKey,
      good,
      notGood: verdictIds.length - good,
      runs: isMeasured(one) ? null : runsOf(one, chosen, columns, options, now),
      reasons: Object.fromEntries([...reasons].sort(([, a], [, b]) => b - a)),
      ...ofNote(note, archiveOf),
      usualIntervalSeconds: intervalMs === undefined ? null : Math.round(intervalMs / 1000),
      lastSample: one.lastSampleAt?.toISOString() ?? null,
      // That no run failed of late is nothing that is missing.
      isSilent:
        isMeasured(one) &&
        (verdictIds.length === 0 || silentMs > allowedSilenceMs(intervalMs, options.staleHours)),
    };
  });
  return { series, leftOut };
}

/** All runs of the test in the time of which its failed ones are told: those, and those that gave values. */
function runsOf(
  { id, archiveKey, metadataKey, metric }: StoredSeries,
  chosen: readonly StoredSeries[],
  columns: ReadonlyMap<number, JudgedColumns>,
  options: Options,
  now: Date,
): number {
  const sinceMs = now.getTime() - windowHours(metric, options) * 3_600_000;
  const ofTest = chosen.filter((each) => each.archiveKey === archiveKey && each.metadataKey === metadataKey);
  const counts = ofTest
    .filter(isMeasured)
    .map((each) => columns.get(each.id)?.atMs.filter((atMs) => atMs >= sinceMs).length ?? 0);
  return (columns.get(id)?.atMs.length ?? 0) + Math.max(0, ...counts);
}

function ofNote(note: SeriesNote | undefined, archiveOf: ReadonlyMap<number, string>) {
  return {
    leftOut: note?.excluded ?? {},
    duplicateOf: note?.duplicateOf === undefined ? null : (archiveOf.get(note.duplicateOf) ?? null),
    correctedMs: note?.correctedMs ?? null,
    regained: note?.regained ?? 0,
  };
}

/** The paths of the chosen series and those that lead back. A pair without sites is a path of its own. */
function pathsAround(
  chosen: readonly StoredSeries[],
  { all, hosts, assignments }: Surroundings,
): PathSeries[] {
  const measured = all.filter(isMeasured);
  const located = new Map([...locatedSeries(measured, hosts, assignments)].map((each) => [each.id, each]));
  const keyOf = endpointKeys(hosts, measured);
  const placed = measured.map((each) => {
    const known = located.get(each.id);
    if (known && known.srcSite !== known.dstSite) return known;
    const pair = `${keyOf(each.source, each.sourceName)}>${keyOf(each.destination, each.destinationName)}`;
    const [source, destination] = hostsOf(pair);
    return { ...each, pair, srcSite: `host ${source}`, dstSite: `host ${destination}` };
  });
  const ids = new Set(chosen.map(({ id }) => id));
  const wanted = new Set(
    placed
      .filter(({ id }) => ids.has(id))
      .flatMap(({ srcSite, dstSite }) => [`${srcSite}>${dstSite}`, `${dstSite}>${srcSite}`]),
  );
  return groupByPath(placed.filter(({ srcSite, dstSite }) => wanted.has(`${srcSite}>${dstSite}`)));
}

/** Of each series, what its estimate looks at. */
async function judgedSamples(
  store: Store,
  series: readonly StoredSeries[],
  options: Options,
  now: Date,
): Promise<Map<number, JudgedColumns>> {
  const found = new Map<number, JudgedColumns>();
  for (const [hours, some] of Map.groupBy(series, ({ metric }) => windowHours(metric, options))) {
    const since = new Date(now.getTime() - hours * 3_600_000);
    const ids = some.map(({ id }) => id);
    for await (const part of store.judgedSamplesInParts(ids, since))
      for (const [id, columns] of part) found.set(id, columns);
  }
  return found;
}
