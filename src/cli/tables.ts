import type { AdView, ArchiveView, HostView, PathView, SitesView } from '../api/view-types.ts';
import { candidatesOf } from '../sites/resolve.ts';
import { pinLine } from '../sites/why.ts';
import { ago, figure, table, until } from './table.ts';

/** What the read commands print for people. */
export function hostsTable(hosts: readonly HostView[], now: Date): string {
  if (hosts.length === 0)
    return 'No hosts are known yet: run "lark cycle" or wait for the first cycle of "lark serve".';
  return table(hosts, [
    { heading: 'HOST', cell: (host) => host.names[0] ?? host.addresses[0] ?? host.host },
    { heading: 'ADDRESSES', cell: (host) => several(host.addresses) },
    { heading: 'SITE', cell: (host) => host.site ?? '(unmapped)' },
    { heading: 'BY', cell: (host) => host.method ?? '-' },
    { heading: 'EVIDENCE', cell: (host) => host.evidence },
    { heading: 'SEEN', cell: (host) => ago(host.lastSeen, now), right: true },
  ]);
}

export function archivesTable(archives: readonly ArchiveView[], now: Date): string {
  if (archives.length === 0) return 'No archives are known yet.';
  const rows = table(archives, [
    { heading: 'ARCHIVE', cell: ({ url }) => url },
    { heading: 'KIND', cell: ({ kind }) => kind ?? '-' },
    { heading: 'LAST', cell: ({ outcome }) => outcome ?? 'not read' },
    { heading: 'FAULT', cell: ({ fault }) => fault ?? '-' },
    { heading: 'SERIES', cell: ({ series }) => String(series), right: true },
    { heading: 'READ', cell: ({ samplesLastRead }) => String(samplesLastRead), right: true },
    { heading: 'GOOD', cell: ({ lastSuccess }) => ago(lastSuccess, now), right: true },
    { heading: 'FAILED', cell: ({ failuresInARow }) => `${failuresInARow}x`, right: true },
    { heading: 'NEXT TRY', cell: ({ nextAttempt }) => until(nextAttempt, now), right: true },
  ]);
  const messages = archives.flatMap(({ message }) => (message ? [`  ${message}`] : []));
  return messages.length > 0 ? `${rows}\n\n${messages.join('\n')}` : rows;
}

export function sitesTable({ sites, unmapped }: SitesView): string {
  const rows =
    sites.length === 0
      ? 'No sites are known: write them into sites.yaml (sites.file of the configuration).'
      : table(sites, [
          { heading: 'SITE', cell: ({ site }) => site },
          { heading: 'HOSTS', cell: ({ hosts }) => String(hosts), right: true },
          { heading: 'ENDPOINTS', cell: ({ endpoints }) => String(endpoints), right: true },
          { heading: 'MACHINES', cell: ({ machines }) => String(machines), right: true },
          { heading: 'ACCESS POINTS', cell: ({ accessPoints }) => String(accessPoints), right: true },
          { heading: 'PATHS OUT', cell: ({ pathsOut }) => String(pathsOut), right: true },
          { heading: 'PATHS IN', cell: ({ pathsIn }) => String(pathsIn), right: true },
        ]);
  if (unmapped.length === 0) return rows;
  const pins = unmapped.map(
    ({ subject, names, evidence }) =>
      `  ${[subject, ...names.filter((name) => name !== subject)].join(' ')}: ${evidence}`,
  );
  return `${rows}\n\n${unmapped.length} without a site (lark sites --unmapped has the lines that pin them):\n${pins.join('\n')}`;
}

/** What has no site, ambiguous first, each once: a comment that says why, and the line for sites.yaml. */
export function pinsText({ unmapped }: SitesView): string {
  if (unmapped.length === 0) return '# every host has a site';
  const pins = unmapped.map(({ subject, names, evidence }) => ({
    host: names[0] ?? subject,
    candidates: candidatesOf(evidence),
    evidence,
  }));
  const ordered = [
    ...pins.filter(({ candidates }) => candidates.length > 0),
    ...pins.filter(({ candidates }) => candidates.length === 0),
  ];
  const lines = ordered.map(
    ({ host, candidates, evidence }) => `  # ${evidence}\n${pinLine(host, candidates)}`,
  );
  return `# for sites.yaml: choose the site of each line\noverrides:\n${lines.join('\n')}`;
}

export function pathsTable(paths: readonly PathView[], now: Date): string {
  if (paths.length === 0) return 'No path is known by that name, or none has been measured yet.';
  return table(paths, [
    { heading: 'FROM', cell: ({ srcSite }) => srcSite },
    { heading: 'TO', cell: ({ dstSite }) => dstSite },
    { heading: 'P10', cell: (path) => figure(path.throughputMbps?.p10), right: true },
    { heading: 'MBIT/S', cell: (path) => figure(path.throughputMbps?.centre), right: true },
    { heading: 'P90', cell: (path) => figure(path.throughputMbps?.p90), right: true },
    { heading: 'LOSS', cell: (path) => figure(path.lossRate?.centre), right: true },
    { heading: 'DELAY MS', cell: (path) => figure(path.oneWayDelayMs?.centre), right: true },
    { heading: 'RTT MS', cell: (path) => figure(path.rttMs?.centre), right: true },
    { heading: 'SAMPLES', cell: ({ sampleCount }) => String(sampleCount), right: true },
    { heading: 'QUALITY', cell: ({ quality }) => figure(quality), right: true },
    { heading: 'AGE', cell: ({ lastMeasured }) => ago(lastMeasured, now), right: true },
    { heading: 'BREAKER', cell: (path) => breakerText(path) },
  ]);
}

/** The breakers that are not CLOSED; `CLOSED` when all are, `-` when none covers the path. */
export function breakerText({ breakers }: PathView): string {
  if (breakers.length === 0) return '-';
  const notable = breakers.filter(({ state }) => state !== 'CLOSED');
  if (notable.length === 0) return 'CLOSED';
  return notable.map(({ policy, state }) => `${state} (${policy})`).join(', ');
}

export function adsText(ads: readonly AdView[]): string {
  return ads
    .map(({ text }) => text)
    .join('\n')
    .trimEnd();
}

/** The first two of a list, and how many more there are. */
function several(items: readonly string[]): string {
  if (items.length === 0) return '-';
  return items.length <= 2 ? items.join(', ') : `${items.slice(0, 2).join(', ')}, +${items.length - 2}`;
}
