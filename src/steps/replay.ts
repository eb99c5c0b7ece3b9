/**
 * Policies over the stored history: estimates at past times are made by the code of the cycle, from what had been
 * measured by then.
 */
import type { JudgedPath } from '../breaker/evidence.ts';
import type { Policy } from '../breaker/policy.ts';
import { type PastJob, Replay, type ReplayResult } from '../breaker/replay.ts';
import type { Config } from '../config.ts';
import { isMeasured, type Metric, type PathEstimate, pathName } from '../domain.ts';
import { age, estimate, freshMetrics, type PathInput } from '../paths/estimate.ts';
import { partTransfers, type TransferSeries, withTransfers } from '../paths/fusion-windows.ts';
import { groupByPath, type PathSeries } from '../paths/pairs.ts';
import { hostContext } from '../paths/review/host-findings.ts';
import { review } from '../paths/review/review.ts';
import type { HostContext, ReviewInput } from '../paths/review/types.ts';
import { locatedSeries } from '../sites/subjects.ts';
import type { JudgedColumns, Store } from '../store/store.ts';
import { byVerdict, kindsOf, windowHours } from './sample.ts';
import { withTransfersOf } from './transfer.ts';

export interface ReplayRange {
  from: Date;
  to: Date;
  stepSeconds: number;
}

/** As in the cycle: an estimate without new samples is made again when it is this old. */
const ESTIMATE_AGAIN_MS = 3_600_000;

/** Samples of so many paths are in memory at once. */
const PATHS_AT_ONCE = 20;

/**
 * Each policy is alone, with a guard of its own, so that two can be compared.
 *
 * What all tests of a host say together (clocks, firewalls) is taken as it stands now, and a sample counts from the
 * time at which it was measured, not from that at which its archive told of it. Persons' words are left out.
 */
export async function replayPolicies(
  store: Store,
  config: Pick<Config, 'estimate' | 'breaker'>,
  policies: readonly Policy[],
  range: ReplayRange,
  jobs: readonly PastJob[] = [],
): Promise<ReplayResult[]> {
  const times = momentsOf(range);
  const history = await judgedHistory(store, config.estimate, times);
  const { guardShare: ofSite, guardPoolShare: ofPool } = config.breaker;
  return policies.map((policy) => {
    const replay = new Replay(policy, { ofSite, ofPool }, jobs);
    for (const [i, at] of times.entries())
      replay.step(
        at,
        history.flatMap((path) => path[i] ?? []),
      );
    return replay.result(range.to);
  });
}

export function momentsOf({ from, to, stepSeconds }: ReplayRange): Date[] {
  const times: Date[] = [];
  for (let ms = from.getTime(); ms < to.getTime(); ms += stepSeconds * 1000) times.push(new Date(ms));
  return times;
}

type Options = Config['estimate'];

/** For each path, what a breaker would have been given at each time; undefined where nothing was measured. */
async function judgedHistory(
  store: Store,
  options: Options,
  times: readonly Date[],
): Promise<(JudgedPath | undefined)[][]> {
  const [first] = times;
  if (!first) return [];
  const [tests, moved] = partTransfers(await store.series());
  const located = locatedSeries(tests.filter(isMeasured), await store.hosts(), await store.assignments());
  const paths = withTransfers(groupByPath(located), moved);
  const byName = new Map(paths.map((path) => [pathName(path), path]));
  // The one direction tells of the other's clocks: they are looked at together, as in the cycle.
  const both = paths.flatMap((there) => {
    const back = byName.get(pathName({ srcSite: there.dstSite, dstSite: there.srcSite }));
    if (back && there.srcSite > there.dstSite) return [];
    return [back ? [there, back] : [there]];
  });
  const kinds = kindsOf(await store.judgements());
  const now = await store.hostFindings();
  // Who is silent now was not so then.
  const context: HostContext = hostContext(now.filter(({ kind }) => kind !== 'stopped'));
  const history: (JudgedPath | undefined)[][] = [];
  for (let i = 0; i < both.length; i += PATHS_AT_ONCE) {
    const some = both.slice(i, i + PATHS_AT_ONCE);
    const columns = await columnsOf(store, some.flat(), options, first);
    history.push(...judgedPaths(some, columns, kinds, context, options, times));
  }
  return history;
}

async function columnsOf(
  store: Store,
  paths: readonly PathSeries[],
  options: Options,
  from: Date,
): Promise<Map<number, JudgedColumns>> {
  const all = new Map<number, JudgedColumns>();
  const series = paths.flatMap(seriesOf);
  for (const [hours, ofWindow] of Map.groupBy(series, ({ metric }) => windowHours(metric, options))) {
    const since = new Date(from.getTime() - hours * 3_600_000);
    const ids = ofWindow.map(({ id }) => id);
    for await (const part of store.judgedSamplesInParts(ids, since))
      for (const [id, columns] of part) all.set(id, columns);
  }
  return all;
}

/** A path and the one that leads back, as they stand in the course of time. */
interface Ways {
  paths: readonly PathSeries[];
  /** By series, those of transfers too. */
  windows: ReadonlyMap<number, Window>;
  standing: (PathEstimate | undefined)[];
  madeAt?: Date;
}

/** Some paths through all times: for each, what a breaker would have been given. */
function judgedPaths(
  some: readonly (readonly PathSeries[])[],
  columns: ReadonlyMap<number, JudgedColumns>,
  kinds: Uint8Array,
  context: HostContext,
  options: Options,
  times: readonly Date[],
): (JudgedPath | undefined)[][] {
  const all = some.map((paths): Ways => {
    const windows = new Map<number, Window>();
    for (const { id, metric } of paths.flatMap(seriesOf)) {
      const its = columns.get(id);
      if (its) windows.set(id, new Window(its, windowHours(metric, options)));
    }
    return { paths, windows, standing: paths.map(() => undefined) };
  });
  const history: (JudgedPath | undefined)[][] = all.flatMap(({ paths }) => paths.map(() => []));
  for (const at of times) {
    const due = new Set(all.filter((ways) => isDue(ways, at)));
    for (const ways of all) {
      if (!due.has(ways)) ways.standing = ways.standing.map((path) => path && age(path, options, at));
    }
    const inputs = inputsOf(due, kinds, context, options, at);
    const made = new Map(estimate(inputs, options, at).map((path) => [pathName(path), path]));
    for (const ways of due) {
      ways.standing = ways.paths.map((path) => made.get(pathName(path)));
      ways.madeAt = at;
    }
    for (const [i, path] of all.flatMap(({ standing }) => standing).entries())
      history[i]!.push(path && judged(path, options, at));
  }
  return history;
}

function isDue({ windows, madeAt }: Ways, at: Date): boolean {
  let isTouched = false;
  // Every window has to be moved, whatever the others say.
  for (const window of windows.values()) isTouched = window.moveTo(at) || isTouched;
  return !madeAt || isTouched || at.getTime() - madeAt.getTime() >= ESTIMATE_AGAIN_MS;
}

/** What the cycle would have estimated from: reviewed, and with what the pool's own transfers say. */
function inputsOf(
  due: Iterable<Ways>,
  kinds: Uint8Array,
  context: HostContext,
  options: Options,
  at: Date,
): PathInput[] {
  const read: ReviewInput[] = [];
  const crossed = new Map<string, readonly TransferSeries[]>();
  const moved = new Map<number, JudgedColumns>();
  for (const { paths, windows } of due) {
    for (const path of paths) {
      const { srcSite, dstSite, transfers } = path;
      const series = path.series.flatMap((one) => {
        const samples = windows.get(one.id)?.samples();
        return samples ? [{ ...one, ...byVerdict(samples, kinds) }] : [];
      });
      read.push({ srcSite, dstSite, series });
      if (!transfers) continue;
      crossed.set(pathName(path), transfers);
      for (const { id } of transfers) {
        const samples = windows.get(id)?.samples();
        if (samples) moved.set(id, samples);
      }
    }
  }
  const reviewed = review(read, context, options, at).map(({ input }) => input);
  return crossed.size === 0 ? reviewed : withTransfersOf(reviewed, crossed, moved);
}

/** All that a path is estimated from; what jobs moved is throughput. */
const seriesOf = ({ series, transfers = [] }: PathSeries): { id: number; metric: Metric }[] => [
  ...series,
  ...transfers.map(({ id }) => ({ id, metric: 'throughputMbps' as const })),
];

/** Only what breakers look at is kept: there are many of these. */
function judged(path: PathEstimate, options: Options, at: Date): JudgedPath {
  const { srcSite, dstSite, quality, measured } = path;
  return { srcSite, dstSite, quality, measured, metrics: freshMetrics(path, options, at) };
}

/** The samples of a series that an estimate at a time may see. */
class Window {
  readonly #columns: JudgedColumns;
  readonly #ms: number;
  #from = 0;
  #to = 0;

  constructor(columns: JudgedColumns, hours: number) {
    this.#columns = columns;
    this.#ms = hours * 3_600_000;
  }

  /** Returns whether samples came in. Times only grow. */
  moveTo(at: Date): boolean {
    const { atMs } = this.#columns;
    const [before, untilMs] = [this.#to, at.getTime()];
    while (this.#to < atMs.length && atMs[this.#to]! <= untilMs) this.#to += 1;
    while (this.#from < this.#to && atMs[this.#from]! < untilMs - this.#ms) this.#from += 1;
    return this.#to > before;
  }

  /** Undefined where there is none. */
  samples(): JudgedColumns | undefined {
    const [from, to] = [this.#from, this.#to];
    if (from === to) return undefined;
    const { atMs, values, verdictIds } = this.#columns;
    return {
      atMs: atMs.subarray(from, to),
      values: values.subarray(from, to),
      verdictIds: verdictIds.subarray(from, to),
    };
  }
}
