import type { TracesView } from '../api/view-types.ts';
import { ago, table } from './table.ts';

type Trace = TracesView['traces'][number];
type HopView = Trace['routes'][number]['hops'][number];

/** What `lark traces` prints: of one pair hop by hop, of several tests a line each. */
export function tracesText({ traces, testsLeftOut }: TracesView, now: Date): string {
  if (traces.length === 0) return 'No traces are known of that.';
  const parts = [testsTable(traces, now)];
  if (testsLeftOut > 0) parts.push(`… and ${testsLeftOut} tests more: name a pair.`);
  if (traces.length <= MOST_IN_FULL) parts.push(...traces.map((trace) => inFull(trace, now)));
  return parts.join('\n\n');
}

/** So many tests are told hop by hop. */
const MOST_IN_FULL = 4;

function testsTable(traces: readonly Trace[], now: Date): string {
  return table(traces, [
    { heading: 'FROM', cell: ({ source }) => source },
    { heading: 'TO', cell: ({ destination }) => destination },
    { heading: 'IP', cell: ({ ipVersion }) => (ipVersion === null ? '-' : String(ipVersion)) },
    { heading: 'HOPS', cell: ({ current }) => String(current?.hops.length ?? '-'), right: true },
    { heading: 'SINCE', cell: ({ current }) => (current ? ago(current.since, now) : '-'), right: true },
    { heading: 'CHANGES', cell: ({ changes }) => String(changes.length), right: true },
    { heading: 'RETURNS', cell: ({ returns }) => String(returns), right: true },
    { heading: 'RUNS', cell: ({ runs }) => String(runs), right: true },
    { heading: 'NOT REACHED', cell: ({ unreached }) => String(unreached), right: true },
    { heading: 'LOOPS', cell: ({ looping }) => String(looping), right: true },
    { heading: 'LAST', cell: ({ lastRun }) => ago(lastRun, now), right: true },
    { heading: 'SYSTEMS', cell: ({ current }) => current?.asns.map((asn) => `AS${asn}`).join(' ') || '-' },
  ]);
}

function inFull(trace: Trace, now: Date): string {
  const heading = `${trace.source} > ${trace.destination} (${trace.tool}, ${trace.archive})`;
  const lines = trace.current
    ? [
        table(
          trace.current.hops.map((hop, i) => ({ ...hop, ttl: i + 1 })),
          HOP_COLUMNS,
        ),
      ]
    : ['  No run of the last week got to the destination.'];
  for (const { at, before, after } of trace.changes)
    lines.push(`Changed ${ago(at, now)} ago, ${at}:\n  from ${wayOf(before)}\n  to   ${wayOf(after)}`);
  return `${heading}\n${lines.join('\n')}`;
}

const HOP_COLUMNS = [
  { heading: '', cell: ({ ttl }: { ttl: number }) => String(ttl), right: true },
  { heading: 'ADDRESS', cell: ({ address }: HopView) => address ?? '*' },
  { heading: 'SYSTEM', cell: ({ asn }: HopView) => (asn === null ? '-' : `AS${asn}`) },
  { heading: 'NAME', cell: ({ name }: HopView) => name ?? '-' },
];

const wayOf = (hops: readonly HopView[]) => hops.map(({ address, name }) => address ?? name ?? '*').join(' ');
