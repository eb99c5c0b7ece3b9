import type { PathView, SitesView } from '../../src/api/view-types.ts';
import { figure, table } from '../../src/cli/table.ts';
import { breakerText } from '../../src/cli/tables.ts';
import type { CycleResult } from '../../src/cycle.ts';
import { PHASES } from '../../src/phases.ts';

export interface Demo {
  /** "HTCondor 23.9.6, 4 hosts" or where ads go instead. */
  pool: string;
  world: string;
  store: string;
  apiUrl: string | undefined;
  configFile: string;
  /** Where the ads really stand, for the last line of counts. */
  standingIn: string;
  withPool: boolean;
}

export interface Turn {
  number: number;
  result: CycleResult;
  adsStanding: number;
  paths: readonly PathView[];
  sites: SitesView;
}

const SHOWN = 8;

/** What the demo prints after each cycle. */
export function summary(demo: Demo, { number, result, adsStanding, paths, sites }: Turn): string {
  const { counts, phases } = result;
  const seconds = (result.finishedAt.getTime() - result.startedAt.getTime()) / 1000;
  const verdicts = result.archives.filter(({ outcome }) => outcome !== 'ok');
  const lines = [
    `Lark: cycle ${number}, ${result.finishedAt.toISOString().slice(0, 19)}Z, ${seconds.toFixed(1)} s`,
    '',
    `  perfSONAR  ${demo.world}`,
    `  pool       ${demo.pool}`,
    `  store      ${demo.store}`,
    '',
    `  ${counts.hosts} hosts, ${counts.archives} archives (${verdicts.length} with faults), ${counts.series} series, ${counts.samples} samples`,
    `  ${counts.sites} sites, ${counts.paths} paths, ${result.unmapped} hosts or endpoints without a site`,
    `  ${counts.adsPublished} ads published, ${adsStanding} NetworkPath ads stand in ${demo.standingIn}`,
    `  ${PHASES.map((phase) => `${phase} ${phases[phase].toFixed(2)} s`).join(', ')}`,
    '',
    `Slowest paths (${Math.min(SHOWN, paths.length)} of ${paths.length}):`,
    indent(slowest(paths)),
  ];
  const notable = paths.filter((path) => path.breakers.some(({ state }) => state === 'OPEN'));
  if (notable.length > 0) {
    lines.push('', 'Open breakers:');
    for (const path of notable) {
      for (const { policy, state, reason, withholds } of path.breakers) {
        if (state === 'OPEN') {
          lines.push(
            `  ${path.path}  ${policy}: jobs with more than ${withholds?.maxInputMB} MB of input wait (${reason})`,
          );
        }
      }
    }
  }
  if (sites.unmapped.length > 0) {
    const names = sites.unmapped.map(({ subject, names: known }) => known[0] ?? subject);
    lines.push(
      '',
      `Without a site: ${names.slice(0, 6).join(', ')}${names.length > 6 ? `, +${names.length - 6}` : ''}`,
    );
  }
  if (result.warnings.length > 0) {
    lines.push('', 'Warnings:', ...result.warnings.slice(0, 6).map((warning) => `  ${warning}`));
    if (result.warnings.length > 6) lines.push(`  … and ${result.warnings.length - 6} more`);
  }
  if (demo.apiUrl) {
    lines.push('', 'Look around, from another terminal:');
    lines.push(
      `  curl ${demo.apiUrl}/api/v1/paths        also hosts, archives, sites, openapi.json; ${demo.apiUrl}/metrics`,
    );
    lines.push(`  ./lark --config ${demo.configFile} paths`);
    if (demo.withPool) {
      lines.push(
        `  ./lark pool condor_status -any -constraint 'MyType == "NetworkPath"' -af Name ThroughputMbps BreakerState`,
      );
      lines.push('  ./lark pool condor_status');
    }
    lines.push('Ctrl-C ends everything.');
  }
  return `${lines.join('\n')}\n`;
}

function slowest(paths: readonly PathView[]): string {
  const rows = paths
    .filter((path) => path.throughputMbps)
    .sort((a, b) => a.throughputMbps!.centre - b.throughputMbps!.centre)
    .slice(0, SHOWN);
  return table(rows, [
    { heading: 'FROM', cell: ({ srcSite }) => srcSite },
    { heading: 'TO', cell: ({ dstSite }) => dstSite },
    { heading: 'MBIT/S', cell: (path) => figure(path.throughputMbps?.centre), right: true },
    {
      heading: 'P10..P90',
      cell: (path) => `${figure(path.throughputMbps?.p10)}..${figure(path.throughputMbps?.p90)}`,
      right: true,
    },
    { heading: 'LOSS', cell: (path) => figure(path.lossRate?.centre), right: true },
    { heading: 'DELAY MS', cell: (path) => figure(path.oneWayDelayMs?.centre), right: true },
    { heading: 'QUALITY', cell: ({ quality }) => figure(quality), right: true },
    { heading: 'BREAKER', cell: breakerText },
  ]);
}

const indent = (text: string): string => text.replace(/^/gm, '  ');
