import type { Metric } from '../../../../src/domain.ts';
import type { Columns, ReviewInput, ReviewSeries } from '../../../../src/paths/review/types.ts';

export const NOW = new Date('2026-03-10T12:00:00Z');
export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
let ids = 0;

/** Values at even times, the last one a minute before NOW unless said otherwise. */
export function columns(
  values: readonly number[],
  intervalMs = MINUTE_MS,
  endMs = NOW.getTime() - MINUTE_MS,
): Columns {
  return {
    atMs: Float64Array.from(values, (_, i) => endMs - (values.length - 1 - i) * intervalMs),
    values: Float64Array.from(values),
  };
}

export function series(
  metric: Metric,
  pair: string,
  samples: Columns | readonly number[],
  over: Partial<ReviewSeries> = {},
): ReviewSeries {
  ids += 1;
  const [source = '', destination = ''] = pair.split('>');
  return {
    id: ids,
    metric,
    archiveKey: `archive of ${source}`,
    tool: 'pscheduler/powstream',
    ipVersion: 4,
    source,
    destination,
    pair,
    ...('atMs' in samples ? samples : columns(samples)),
    ...over,
  };
}

/** A path of which the sites are called as the hosts are. */
export function path(...all: ReviewSeries[]): ReviewInput {
  const [srcSite = '', dstSite = ''] = all[0]!.pair
    .split('>')
    .map((host) => host.replace(/-.*/, '').toUpperCase());
  return { srcSite, dstSite, series: all };
}

export const many = (value: number, count = 120): number[] => Array<number>(count).fill(value);

/** A little noise that is the same every time. */
export const noisy = (value: number, count = 120): number[] =>
  Array.from({ length: count }, (_, i) => value + ((i * 7) % 10) / 20);
