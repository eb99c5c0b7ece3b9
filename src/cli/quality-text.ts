import type { QualityView } from '../api/view-types.ts';
import { ago, table } from './table.ts';

type SeriesQuality = QualityView['series'][number];

const MOST_SILENT = 20;

/** What `lark quality` prints for people. */
export function qualityText(quality: QualityView, now: Date): string {
  const parts = [
    totalsText(quality),
    findingsText(quality, now),
    seriesText(quality, now),
    worstText(quality),
    silentText(quality),
  ].filter((part) => part !== '');
  return parts.join('\n\n') || 'Nothing is known of that: no series, and no mesh that asks for tests of it.';
}

function totalsText({ totals, leftOut, series }: QualityView): string {
  const parts: string[] = [];
  if (totals.length > 0) {
    parts.push(
      table(totals, [
        { heading: 'VERDICT', cell: ({ verdict }) => verdict },
        { heading: 'REASON', cell: ({ reason }) => reason ?? '-' },
        { heading: 'SAMPLES', cell: ({ count }) => String(count), right: true },
      ]),
    );
  }
  if (Object.keys(leftOut).length > 0) {
    const where = series.length > 0 ? 'Their estimates leave' : 'The last estimates left';
    parts.push(`${where} out, of good samples: ${listed(leftOut)}.`);
  }
  return parts.join('\n\n');
}

function findingsText({ findings }: QualityView, now: Date): string {
  return findings
    .map(
      ({ host, site, kind, since, evidence, advice }) =>
        `${host}${site ? ` (${site})` : ''}: ${kind}, found ${ago(since, now)} ago\n  ${evidence}\n  → ${advice}`,
    )
    .join('\n');
}

function seriesText({ series, seriesLeftOut }: QualityView, now: Date): string {
  if (series.length === 0) return '';
  const rows = table(series, [
    { heading: 'FROM', cell: ({ source }) => source },
    { heading: 'TO', cell: ({ destination }) => destination },
    { heading: 'IP', cell: ({ ipVersion }) => (ipVersion === null ? '-' : String(ipVersion)) },
    { heading: 'METRIC', cell: ({ metric }) => metric },
    { heading: 'GOOD', cell: ({ good }) => String(good), right: true },
    { heading: 'LEFT OUT', cell: ({ leftOut }) => String(sum(leftOut)), right: true },
    { heading: 'NOT GOOD', cell: ({ notGood }) => String(notGood), right: true },
    { heading: 'LAST', cell: ({ lastSample }) => ago(lastSample, now), right: true },
    { heading: 'WHY', cell: why },
  ]);
  return seriesLeftOut > 0 ? `${rows}\n\n… and ${seriesLeftOut} series more: name a pair.` : rows;
}

function why(series: SeriesQuality): string {
  const { reasons, runs, leftOut, duplicateOf, correctedMs, regained, usualIntervalSeconds, isSilent } =
    series;
  const told = [listed(reasons), listed(leftOut)].filter((text) => text !== '');
  if (runs !== null) told.push(`${sum(reasons)} of ${runs} runs failed`);
  if (duplicateOf !== null) told.push(`the same runs are in ${duplicateOf}`);
  if (correctedMs !== null) {
    const gained = regained > 0 ? `, which saves ${regained}` : '';
    told.push(`${correctedMs.toFixed(2)} ms taken off, by the clocks${gained}`);
  }
  if (isSilent) {
    const pace = usualIntervalSeconds === null ? '' : `; used to come every ${usualIntervalSeconds} s`;
    told.push(`silent${pace}`);
  }
  return told.join('; ') || '-';
}

function worstText({ worstHosts, worstPaths }: QualityView): string {
  const parts: string[] = [];
  if (worstPaths.length > 0) {
    parts.push(
      `Paths that lost most samples to the review:\n${table(worstPaths, [
        { heading: 'PATH', cell: ({ path }) => path },
        { heading: 'LEFT OUT', cell: ({ leftOut }) => String(sum(leftOut)), right: true },
        { heading: 'WHY', cell: ({ leftOut }) => listed(leftOut) },
      ])}`,
    );
  }
  if (worstHosts.length > 0) {
    parts.push(
      `Hosts that a mesh asks for tests, and that are silent in most of them:\n${table(worstHosts, [
        { heading: 'HOST', cell: ({ host }) => host },
        { heading: 'SITE', cell: ({ site }) => site ?? '(unmapped)' },
        { heading: 'SILENT', cell: ({ silent }) => String(silent), right: true },
        { heading: 'EXPECTED', cell: ({ expected }) => String(expected), right: true },
      ])}`,
    );
  }
  return parts.join('\n\n');
}

function silentText({ silent }: QualityView): string {
  if (silent.length === 0) return '';
  const shown = silent
    .slice(0, MOST_SILENT)
    .map((test) => `  ${test.source} > ${test.destination}  ${test.testType}`);
  if (silent.length > MOST_SILENT) shown.push(`  … and ${silent.length - MOST_SILENT} more (--json has all)`);
  return `Asked for by a mesh, and no result of the last day was read:\n${shown.join('\n')}`;
}

const sum = (counts: Record<string, number>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);

const listed = (counts: Record<string, number>): string =>
  Object.entries(counts)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, count]) => `${reason} ${count}`)
    .join(', ');
