import { TRANSFER_TOOL } from '../domain.ts';
import type { PathSeries } from './pairs.ts';

/**
 * The files that jobs moved between two sites, as what the *path* carried. A job's transfer is one of many at once, so
 * its own rate tells what was left for it; those of the same access point and site that overlap are added up.
 *
 * A transfer is stored as two samples of its own mean rate: one when it began, in a series of the event `started`, and
 * one when it finished, in one of the event `finished`. Both have the same value and the same milliseconds, which
 * HTCondor, who counts whole seconds, leaves free: so they find each other, a transfer that is read again writes what is
 * there already, and one that becomes known late (a job's input is in the history when the job is done) takes its place
 * among those of its time.
 */

/** When a sample of a transfer was: the last part of its series' metadata key, and its event type. */
export const TRANSFER_EVENTS = ['transfer-started', 'transfer-finished'] as const;
export type TransferEvent = (typeof TRANSFER_EVENTS)[number];

/** One of the two series of a path's transfers at one access point. */
export interface TransferSeries {
  id: number;
  archiveKey: string;
  event: TransferEvent;
}

interface StoredTransferSeries {
  id: number;
  archiveKey: string;
  metric: string;
  tool: string;
  eventType: string;
  source: string;
  destination: string;
}

/** Tells tests from the series of transfers. */
export function partTransfers<S extends StoredTransferSeries>(
  series: readonly S[],
): [tests: S[], moved: S[]] {
  const [tests, moved]: [S[], S[]] = [[], []];
  for (const one of series) (one.tool === TRANSFER_TOOL ? moved : tests).push(one);
  return [tests, moved];
}

/** The paths with the transfers that crossed them; also those that nothing else tells of. */
export function withTransfers(
  paths: readonly PathSeries[],
  moved: readonly StoredTransferSeries[],
): PathSeries[] {
  const all = new Map(paths.map((path) => [`${path.srcSite}>${path.dstSite}`, path]));
  for (const { id, archiveKey, eventType, source: srcSite, destination: dstSite } of moved) {
    const name = `${srcSite}>${dstSite}`;
    const { transfers = [], ...path } = all.get(name) ?? { srcSite, dstSite, series: [] };
    const event = eventType as TransferEvent;
    all.set(name, { ...path, transfers: [...transfers, { id, archiveKey, event }] });
  }
  return [...all.values()];
}

export interface Columns {
  /** Ascending. */
  atMs: Float64Array;
  values: Float64Array;
}

export interface MovedFiles {
  startMs: number;
  endMs: number;
  mbps: number;
}

/** The transfers whose begin and end are both there. Times are whole seconds again, as HTCondor told them. */
export function pairedTransfers(started: Columns, finished: Columns): MovedFiles[] {
  const begins = new Map<string, number[]>();
  const key = (atMs: number, mbps: number): string => `${atMs % 1000} ${mbps}`;
  started.atMs.forEach((atMs, i) => {
    const name = key(atMs, started.values[i]!);
    const known = begins.get(name);
    if (known) known.push(atMs);
    else begins.set(name, [atMs]);
  });
  const pairs: MovedFiles[] = [];
  finished.atMs.forEach((endMs, i) => {
    const mbps = finished.values[i]!;
    const candidates = begins.get(key(endMs, mbps));
    const found = candidates?.findLastIndex((startMs) => startMs < endMs) ?? -1;
    if (found < 0) return;
    const [startMs] = candidates!.splice(found, 1);
    pairs.push({ startMs: wholeSecond(startMs!), endMs: wholeSecond(endMs), mbps });
  });
  return pairs;
}

const wholeSecond = (ms: number): number => Math.floor(ms / 1000) * 1000;

/** What the path carried in one window, while it carried something. */
export interface CarriedWindow {
  /** When it last carried something. */
  atMs: number;
  /** What it can carry at least. */
  mbps: number;
  megabits: number;
  busySeconds: number;
  /** Stretches without a pause: each begins and ends at a second that is not known more exactly. */
  stretches: number;
}

const WINDOW_MS = 600_000;
/** A begin and an end in whole seconds are off by 0.4 s together: in so short a stretch, by a tenth. */
const LEAST_STRETCH_MS = 4000;
/** Fewer bytes say how long files take to open, not how fast they move. */
const LEAST_MEGABITS = 40;

/**
 * What transfers carried together: megabits over the seconds in which at least one was under way, in windows of ten
 * minutes. Within a transfer the rate is taken as even. Where one transfer alone was surely faster than that (its
 * seconds rounded up), its own rate counts: another one that stood still meanwhile, for a slow disk or a lost packet,
 * says nothing of the path. Stretches shorter than 4 s, and windows of less than 5 MB, are left out.
 */
export function carriedWindows(transfers: readonly MovedFiles[]): CarriedWindow[] {
  const windows = new Map<number, CarriedWindow>();
  const spread = (startMs: number, endMs: number, add: (cell: number, ms: number) => void): void => {
    for (let cell = Math.floor(startMs / WINDOW_MS); cell * WINDOW_MS < endMs; cell++)
      add(cell, Math.min(endMs, (cell + 1) * WINDOW_MS) - Math.max(startMs, cell * WINDOW_MS));
  };
  for (const { startMs, endMs, members } of stretchesOf(transfers)) {
    if (endMs - startMs < LEAST_STRETCH_MS) continue;
    spread(startMs, endMs, (cell, ms) => {
      const window = windows.get(cell) ?? { atMs: 0, mbps: 0, megabits: 0, busySeconds: 0, stretches: 0 };
      windows.set(cell, window);
      window.busySeconds += ms / 1000;
      window.stretches += 1;
      window.atMs = Math.min(endMs, (cell + 1) * WINDOW_MS);
    });
    for (const each of members) {
      const ownMs = each.endMs - each.startMs;
      const surely = ownMs < LEAST_STRETCH_MS ? 0 : (each.mbps * ownMs) / (ownMs + 1000);
      spread(each.startMs, each.endMs, (cell, ms) => {
        const window = windows.get(cell)!;
        window.megabits += (each.mbps * ms) / 1000;
        window.mbps = Math.max(window.mbps, surely);
      });
    }
  }
  const found = [...windows.values()].filter(({ megabits }) => megabits >= LEAST_MEGABITS);
  for (const window of found) window.mbps = Math.max(window.mbps, window.megabits / window.busySeconds);
  return found;
}

interface Stretch {
  startMs: number;
  endMs: number;
  members: MovedFiles[];
}

/** Transfers that overlap, or follow each other without a pause, ascending. */
function stretchesOf(transfers: readonly MovedFiles[]): Stretch[] {
  const stretches: Stretch[] = [];
  for (const each of transfers.toSorted((a, b) => a.startMs - b.startMs)) {
    const last = stretches.at(-1);
    if (last && each.startMs <= last.endMs) {
      last.members.push(each);
      last.endMs = Math.max(last.endMs, each.endMs);
    } else stretches.push({ startMs: each.startMs, endMs: each.endMs, members: [each] });
  }
  return stretches;
}
