import { z } from 'zod';
import { type PathView, pathView } from '../api/view-types.ts';
import { type PathFilter, pathsView } from '../api/views.ts';
import { loadConfig } from '../config.ts';
import { type EstimateSource, METRICS } from '../domain.ts';
import { asked } from './store-or-api.ts';
import { ago, figure, table } from './table.ts';

/** `lark paths SRC DST --explain`. */
export async function explain(configFile: string | undefined, filter: PathFilter): Promise<void> {
  const { config } = loadConfig(configFile, process.env);
  const query = new URLSearchParams();
  if (filter.srcSite !== undefined) query.set('src', filter.srcSite);
  if (filter.dstSite !== undefined) query.set('dst', filter.dstSite);
  const paths = await asked(config, {
    fromStore: (store) => pathsView(store, filter),
    apiPath: `paths?${query}`,
    schema: z.array(pathView),
  });
  const now = new Date();
  process.stdout.write(
    paths.length === 0
      ? 'No path is known by that name, or none has been measured yet.\n'
      : `${paths.map((path) => explainedPath(path, now)).join('\n\n')}\n`,
  );
}

/** What a path's figures were made of, metric by metric. */
export function explainedPath(path: PathView, now: Date): string {
  const metrics = METRICS.flatMap((name) => {
    const metric = path[name];
    return metric ? [{ name, ...metric }] : [];
  });
  const head = path.measured
    ? `${path.path}: quality ${figure(path.quality)} as of ${ago(path.estimatedAt, now)} ago, the mean of its metrics'`
    : `${path.path}: predicted from other paths ${ago(path.estimatedAt, now)} ago, quality ${figure(path.quality)}`;
  const factor = (value: number | undefined): string => (value === undefined ? '-' : value.toFixed(2));
  const fused = metrics.flatMap(({ name, sources }) =>
    sources ? [`\n${name} is fused of ${sources.map(sourceText).join(', ')}`] : [],
  );
  return `${head}\n${table(metrics, [
    { heading: 'METRIC', cell: ({ name }) => name },
    { heading: 'NEXT', cell: ({ centre }) => figure(centre), right: true },
    { heading: 'P10', cell: ({ p10 }) => figure(p10), right: true },
    { heading: 'P90', cell: ({ p90 }) => figure(p90), right: true },
    { heading: 'SAMPLES', cell: ({ sampleCount }) => String(sampleCount), right: true },
    { heading: 'SERIES', cell: ({ seriesCount }) => String(seriesCount), right: true },
    { heading: 'AGE', cell: ({ lastMeasured }) => ago(lastMeasured, now), right: true },
    { heading: 'FRESH', cell: ({ factors }) => factor(factors?.freshness), right: true },
    { heading: 'EVIDENCE', cell: ({ factors }) => factor(factors?.evidence), right: true },
    { heading: 'AGREEMENT', cell: ({ factors }) => factor(factors?.agreement), right: true },
    { heading: 'VERDICTS', cell: ({ factors }) => factor(factors?.verdicts), right: true },
    { heading: 'PREDICTABLE', cell: ({ factors }) => factor(factors?.predictability), right: true },
    { heading: 'BY', cell: ({ method }) => method ?? '-' },
  ])}${fused.join('')}`;
}

function sourceText({ kind, centre, sampleCount, share }: EstimateSource): string {
  return `${kind} (${figure(centre)} of ${sampleCount}, counting ${Math.round(100 * share)} %)`;
}
