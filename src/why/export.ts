/** Breakers as a list for those who send pilots: how much of what leads into a site, or out of it, is shut. Pure. */
import { z } from 'zod';
import { verdictOf } from '../breaker/verdict.ts';
import { type Breaker, EVERY_SITE, type PathVerdict, pathName } from '../domain.ts';

const percent = z.number().meta({
  description: 'of 100: an open path counts whole, a half-open one by the share of jobs it still withholds',
});

const exportedPath = z.object({
  src: z.string(),
  dst: z.string(),
  percent,
  state: z.string(),
  policy: z.string(),
  reason: z.string(),
  since: z.iso.datetime(),
});

export const exportView = z.object({
  madeAt: z.iso.datetime(),
  sites: z.array(
    z.object({
      site: z.string(),
      percentIn: percent.meta({ description: 'of the paths that lead into it' }),
      percentOut: percent.meta({ description: 'of the paths that lead out of it' }),
      bad: z.boolean().meta({ description: 'a breaker of the whole site is open, in either direction' }),
      pathsIn: z.int(),
      pathsOut: z.int(),
      reason: z
        .string()
        .meta({ description: "the site breaker's, else that of the path open longest; '' for none" }),
      since: z.iso.datetime().nullable(),
    }),
  ),
  paths: z.array(exportedPath).meta({ description: 'all that a policy covers, also the closed ones' }),
});
export type ExportView = z.infer<typeof exportView>;

/** All sites and paths that have a breaker, each in the order of the alphabet. */
export function exported(breakers: readonly Breaker[], now: Date): ExportView {
  const byPath = [...Map.groupBy(breakers, pathName).values()].flatMap((own) => {
    const { srcSite, dstSite } = own[0]!;
    const verdict = verdictOf(own);
    return verdict ? [{ srcSite, dstSite, verdict }] : [];
  });
  const paths = byPath
    .filter(({ srcSite, dstSite }) => srcSite !== EVERY_SITE && dstSite !== EVERY_SITE)
    .sort((a, b) => order(pathName(a), pathName(b)));
  const ofSites = byPath.filter(({ srcSite, dstSite }) => srcSite === EVERY_SITE || dstSite === EVERY_SITE);
  const names = new Set(byPath.flatMap(({ srcSite, dstSite }) => [srcSite, dstSite]));
  names.delete(EVERY_SITE);
  return {
    madeAt: now.toISOString(),
    sites: [...names].sort(order).map((site) => {
      const into = paths.filter(({ dstSite }) => dstSite === site);
      const outOf = paths.filter(({ srcSite }) => srcSite === site);
      const whole = ofSites.filter(({ srcSite, dstSite }) => srcSite === site || dstSite === site);
      const shut = [...into, ...outOf].filter(({ verdict }) => shutShare(verdict) > 0);
      const told = oldest(whole.filter(({ verdict }) => shutShare(verdict) > 0)) ?? oldest(shut);
      const side = (its: typeof paths, isWhole: boolean): number =>
        isWhole
          ? 100
          : rounded(
              (100 * its.reduce((sum, { verdict }) => sum + shutShare(verdict), 0)) / Math.max(1, its.length),
            );
      const isOpen = (one: (typeof whole)[number]): boolean => shutShare(one.verdict) === 1;
      return {
        site,
        percentIn: side(
          into,
          whole.some((one) => one.dstSite === site && isOpen(one)),
        ),
        percentOut: side(
          outOf,
          whole.some((one) => one.srcSite === site && isOpen(one)),
        ),
        bad: whole.some(isOpen),
        pathsIn: into.length,
        pathsOut: outOf.length,
        reason: told ? `${pathName(told)}: ${told.verdict.reason}` : '',
        since: told?.verdict.since.toISOString() ?? null,
      };
    }),
    paths: paths.map(({ srcSite, dstSite, verdict }) => ({
      src: srcSite,
      dst: dstSite,
      percent: rounded(100 * shutShare(verdict)),
      state: verdict.state,
      policy: verdict.policy,
      reason: verdict.reason,
      since: verdict.since.toISOString(),
    })),
  };
}

/** 0..1 */
function shutShare({ state, tickets }: PathVerdict): number {
  if (state === 'OPEN' || state === 'FORCED_OPEN') return 1;
  if (state !== 'HALF_OPEN') return 0;
  return tickets ? 1 - (tickets.to - tickets.from) / 100 : 1;
}

const rounded = (value: number): number => Math.round(value * 10) / 10;
const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const oldest = <T extends { verdict: PathVerdict }>(all: readonly T[]): T | undefined =>
  all.toSorted((a, b) => a.verdict.since.getTime() - b.verdict.since.getTime())[0];

/** The columns of the CSV form, in their order: more may follow in later versions, none will move. */
export const EXPORT_COLUMNS = [
  'kind',
  'site',
  'src',
  'dst',
  'percent',
  'percentOut',
  'bad',
  'state',
  'reason',
  'since',
] as const;

/** One table: sites first, then paths; a heading line; lines end in \n. */
export function exportCsv({ sites, paths }: ExportView): string {
  const rows: Record<(typeof EXPORT_COLUMNS)[number], string | number>[] = [
    ...sites.map((one) => ({
      kind: 'site',
      site: one.site,
      src: '',
      dst: '',
      percent: one.percentIn,
      percentOut: one.percentOut,
      bad: String(one.bad),
      state: '',
      reason: one.reason,
      since: one.since ?? '',
    })),
    ...paths.map((one) => ({
      kind: 'path',
      site: '',
      src: one.src,
      dst: one.dst,
      percent: one.percent,
      percentOut: '',
      bad: '',
      state: one.state,
      reason: one.reason,
      since: one.since,
    })),
  ];
  const lines = rows.map((row) => EXPORT_COLUMNS.map((column) => field(String(row[column]))).join(','));
  return `${[EXPORT_COLUMNS.join(','), ...lines].join('\n')}\n`;
}

/** As RFC 4180 has it. */
const field = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
