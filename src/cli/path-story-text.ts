/** What `lark why SRC DST` prints: the story of a path in sentences. */
import type { PathStory } from '../api/path-story.ts';
import { METRICS } from '../domain.ts';
import { spanText, timeText } from '../why/text.ts';
import { withheldText } from './breaker.ts';
import { figure } from './table.ts';

/** Several lines, without the last line break. */
export function pathStoryText(story: PathStory, now: Date): string {
  return [
    estimateLines(story, now),
    breakerLines(story, now),
    story.forcings.map(
      ({ path, policy, state, owner, reason, until }) =>
        `A person's word: ${owner} holds ${path}${policy ? ` under ${policy}` : ''} ${state} until ${timeText(until, now)}: ${reason}`,
    ),
    openingLines(story, now),
    eventLines(story, now),
    dataLines(story, now),
  ]
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n');
}

const UNITS: Partial<Record<(typeof METRICS)[number], [name: string, unit: string, factor: number]>> = {
  throughputMbps: ['throughput', 'Mb/s', 1],
  lossRate: ['loss', '%', 100],
  oneWayDelayMs: ['one-way delay', 'ms', 1],
  rttMs: ['round trip', 'ms', 1],
};

function estimateLines({ path, estimate }: PathStory, now: Date): string[] {
  if (!estimate) return [`${path}: nothing is measured, and nothing could be predicted.`];
  const lines = [
    estimate.measured
      ? `${path}: measured, ${estimate.sampleCount} samples, the newest ${estimate.lastMeasured ? timeText(estimate.lastMeasured, now) : 'of an unknown time'}; quality ${figure(estimate.quality)}.`
      : `${path}: predicted from other paths, not measured; quality ${figure(estimate.quality)}. No breaker judges by that.`,
  ];
  for (const metric of METRICS) {
    const [figures, unit] = [estimate[metric], UNITS[metric]];
    if (!figures || !unit) continue;
    const [name, label, factor] = unit;
    const weakest = Object.entries(figures.factors ?? {}).sort((a, b) => a[1] - b[1])[0];
    const doubt =
      weakest && weakest[1] < 0.7 ? `; weakest point: ${weakest[0]} ${weakest[1].toFixed(2)}` : '';
    lines.push(
      `  ${name} ${figure(figures.centre * factor)} ${label}, in four cases of five ${figure(figures.p10 * factor)} to ${figure(figures.p90 * factor)} (${figures.sampleCount} samples)${doubt}`,
    );
  }
  return lines;
}

function breakerLines({ breakers, path }: PathStory, now: Date): string[] {
  if (breakers.length === 0) return ['No policy covers it: nothing is withheld.'];
  return breakers.map((one) => {
    const where = one.path === path ? '' : ` (${one.path})`;
    const why = one.reason ? `: ${one.reason}` : '';
    const part = one.partOf ? `, as a part of ${one.partOf}` : '';
    const withholds = one.withholds ? ` It withholds jobs with ${withheldText(one)}.` : '';
    return `${one.policy}${where}: ${one.state} since ${timeText(one.since, now)}${part}${why}.${withholds}${nextText(one, now)}`;
  });
}

function nextText({ state, retryAt, openings }: PathStory['breakers'][number], now: Date): string {
  if (state !== 'OPEN') return '';
  const times = openings > 1 ? ` Openings that count for its back-off: ${openings}.` : '';
  if (retryAt === null) return times;
  return Date.parse(retryAt) > now.getTime()
    ? ` It is tried again from ${timeText(retryAt, now)} on, if it measures well then.${times}`
    : ` It is tried again as soon as it measures well.${times}`;
}

function openingLines({ opening }: PathStory, now: Date): string[] {
  if (!opening) return [];
  const lines = [`It last opened ${timeText(opening.at, now)} under ${opening.policy}: ${opening.reason}`];
  for (const { at, metric, value, verdict, pair, tool } of opening.samples)
    lines.push(
      `  ${at.slice(0, 19).replace('T', ' ')}  ${metric} ${figure(value)}${verdict === 'good' ? '' : ` (${verdict})`}  ${pair} by ${tool}`,
    );
  if (opening.samples.length === 0) lines.push('  the measurements it was made of are no more stored');
  return lines;
}

const EVENTS_SHOWN = 12;

function eventLines({ events, eventsDays }: PathStory, now: Date): string[] {
  if (events.length === 0) return [`No breaker of it changed in the last ${eventsDays} days.`];
  const openings = events.filter(({ to }) => to === 'OPEN').length;
  const lines = [
    `In the last ${eventsDays} days: ${events.length} changes, ${openings} of them openings; the newest first:`,
  ];
  for (const { at, policy, from, to, reason, path } of events.slice(0, EVENTS_SHOWN))
    lines.push(
      `  ${at.slice(0, 16).replace('T', ' ')} (${spanText((now.getTime() - Date.parse(at)) / 1000)} ago)  ${path} ${policy}: ${from} -> ${to}${reason ? `, ${reason}` : ''}`,
    );
  if (events.length > EVENTS_SHOWN)
    lines.push(`  and ${events.length - EVENTS_SHOWN} more: lark breaker events`);
  return lines;
}

function dataLines({ leftOut, findings }: PathStory, now: Date): string[] {
  const counts = Object.entries(leftOut).map(([reason, count]) => `${count} ${reason}`);
  return [
    ...(counts.length > 0 ? [`Left out of its estimate: ${counts.join(', ')}.`] : []),
    ...findings.map(
      ({ host, kind, since, evidence, advice }) =>
        `${host} is ${kind} since ${timeText(since, now)}: ${evidence}; ${advice}`,
    ),
  ];
}
