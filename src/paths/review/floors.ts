import type { Columns } from './types.ts';

const HOUR_MS = 3_600_000;
/** A clock that was stepped is judged by where it stands now. */
const RECENT_HOURS = 6;

/** The lowest values of each of the last hours of a series. */
export interface RecentFloor {
  floorMs: number;
  newestMs: number;
}

/**
 * The lowest delay of late: for each of the six hours before the newest sample the minimum, where queues add least
 * (as NTP picks its samples); and of these the median, so that one bad hour does not decide.
 * @param parts of one series, each ascending
 */
export function recentFloor(parts: readonly Columns[]): RecentFloor | undefined {
  let newestMs = Number.NEGATIVE_INFINITY;
  for (const { atMs } of parts) if (atMs.length > 0) newestMs = Math.max(newestMs, atMs.at(-1)!);
  if (newestMs === Number.NEGATIVE_INFINITY) return undefined;
  const minima = new Float64Array(RECENT_HOURS).fill(Number.POSITIVE_INFINITY);
  for (const { atMs, values } of parts) {
    for (let i = atMs.length - 1; i >= 0; i--) {
      const hour = Math.floor((newestMs - atMs[i]!) / HOUR_MS);
      if (hour >= RECENT_HOURS) break;
      if (values[i]! < minima[hour]!) minima[hour] = values[i]!;
    }
  }
  const known = minima.filter(Number.isFinite).sort();
  return { floorMs: known[(known.length - 1) >> 1]!, newestMs };
}

/** The minimum of each hour that has samples, by its number since 1970. */
export function hourlyFloors({ atMs, values }: Columns): Map<number, number> {
  const floors = new Map<number, number>();
  for (let i = 0; i < atMs.length; i++) {
    const hour = Math.floor(atMs[i]! / HOUR_MS);
    const floor = floors.get(hour);
    if (floor === undefined || values[i]! < floor) floors.set(hour, values[i]!);
  }
  return floors;
}

export const hourOf = (atMs: number): number => Math.floor(atMs / HOUR_MS);

/** Two series in time order as one. */
export function merged(a: Columns, b: Columns): Columns {
  const length = a.atMs.length + b.atMs.length;
  const result = { atMs: new Float64Array(length), values: new Float64Array(length) };
  let i = 0;
  let j = 0;
  for (let k = 0; k < length; k++) {
    const takeA = j >= b.atMs.length || (i < a.atMs.length && a.atMs[i]! <= b.atMs[j]!);
    const from = takeA ? a : b;
    const at = takeA ? i++ : j++;
    result.atMs[k] = from.atMs[at]!;
    result.values[k] = from.values[at]!;
  }
  return result;
}
