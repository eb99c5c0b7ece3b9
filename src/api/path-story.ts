/** A path's story: how it stands, what its breakers did of late, and on what measurements. */
import { z } from 'zod';
import { METRIC_ATTRIBUTES } from '../breaker/evidence.ts';
import { EVERY_SITE, isMeasured, type Metric, pathName } from '../domain.ts';
import { UserError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import { locatedSeries } from '../sites/subjects.ts';
import type { Store, StoredTransition } from '../store/store.ts';
import { breakersView, breakerView, eventOf, eventView, forcingOf, forcingView } from './breakers.ts';
import { pathView } from './view-types.ts';
import { pathsView } from './views.ts';

const time = z.iso.datetime();

export const pathStory = z.object({
  path: z.string(),
  srcSite: z.string(),
  dstSite: z.string(),
  estimate: pathView
    .omit({ breakers: true })
    .nullable()
    .meta({ description: 'null: none, and no prediction' }),
  breakers: z.array(breakerView).meta({ description: "the path's own, and those of its two sites" }),
  forcings: z.array(forcingView).meta({ description: 'words in force that are about this path' }),
  events: z.array(eventView).meta({ description: 'of the last days, the newest first' }),
  eventsDays: z.int(),
  opening: z
    .object({
      at: time,
      policy: z.string(),
      reason: z.string(),
      samples: z.array(
        z.object({
          at: time,
          metric: z.string(),
          value: z.number().nullable(),
          verdict: z.string(),
          pair: z.string(),
          tool: z.string(),
          archive: z.string(),
        }),
      ),
    })
    .nullable()
    .meta({ description: 'the last opening, and the newest measurements that it was made of' }),
  leftOut: z
    .record(z.string(), z.int())
    .meta({ description: 'good samples left out by the review, by reason' }),
  findings: z.array(
    z.object({ host: z.string(), kind: z.string(), since: time, evidence: z.string(), advice: z.string() }),
  ),
});
export type PathStory = z.infer<typeof pathStory>;

const EVENTS_DAYS = 7;
const MOST_EVENTS = 200;
/** Measurements of one series that are told, and how long before the opening they may lie. */
const SAMPLES_TOLD = 4;
const SAMPLES_MS = 3 * 86_400_000;

/** @throws UserError for a site that nobody knows */
export async function storyOf(
  store: Store,
  { srcSite, dstSite }: { srcSite: string; dstSite: string },
  now: Date,
): Promise<PathStory> {
  const path = { srcSite, dstSite };
  const [estimate] = await pathsView(store, path);
  const isAbout = (one: { srcSite: string; dstSite: string }): boolean =>
    (one.srcSite === srcSite && (one.dstSite === dstSite || one.dstSite === EVERY_SITE)) ||
    (one.srcSite === EVERY_SITE && one.dstSite === dstSite);
  const breakers = (await breakersView(store, {})).filter(isAbout);
  const forcings = (await store.forcings(now)).filter(isAbout);
  if (!estimate && breakers.length === 0) await checkSites(store, srcSite, dstSite);

  const since = new Date(now.getTime() - EVENTS_DAYS * 86_400_000);
  const events: StoredTransition[] = [];
  for (const ends of [path, { srcSite: EVERY_SITE, dstSite }, { srcSite, dstSite: EVERY_SITE }])
    events.push(...(await store.transitions({ ...ends, since, limit: MOST_EVENTS })));
  events.sort((a, b) => b.at.getTime() - a.at.getTime() || b.id - a.id);
  const openings = events.filter(({ to }) => to === 'OPEN');
  const opened = openings.find((one) => pathName(one) === pathName(path)) ?? openings[0];
  const [review] = await store.reviews(path);
  const hosts = new Set((review?.pairs ?? []).flatMap(({ pair }) => pair.split('>')));
  return {
    path: pathName(path),
    ...path,
    estimate: estimate ? withoutBreakers(estimate) : null,
    breakers,
    forcings: forcings.map(forcingOf),
    events: events.map(eventOf),
    eventsDays: EVENTS_DAYS,
    opening: opened ? await openingOf(store, path, opened) : null,
    leftOut: review?.excluded ?? {},
    findings: (await store.hostFindings())
      .filter(({ host }) => hosts.has(host))
      .map(({ host, kind, since, evidence, advice }) => ({
        host,
        kind,
        since: since.toISOString(),
        evidence,
        advice,
      })),
  };
}

function withoutBreakers({
  breakers: _,
  ...path
}: z.infer<typeof pathView>): NonNullable<PathStory['estimate']> {
  return path;
}

/** The measurements that an opening speaks of: the newest before it, of the metrics that its reason names. */
async function openingOf(
  store: Store,
  path: { srcSite: string; dstSite: string },
  { at, policy, reason }: StoredTransition,
): Promise<NonNullable<PathStory['opening']>> {
  const named = new Set<Metric>(
    METRIC_ATTRIBUTES.filter(([name]) => reason.includes(`${name} `)).map(([, metric]) => metric),
  );
  const series = [
    ...locatedSeries(
      (await store.series()).filter(isMeasured),
      await store.hosts(),
      await store.assignments(),
    ),
  ].filter((one) => pathName(one) === pathName(path) && named.has(one.metric));
  const samples: NonNullable<PathStory['opening']>['samples'] = [];
  for (const one of series) {
    const rows = await store.sampleRows({
      seriesId: one.id,
      since: new Date(at.getTime() - SAMPLES_MS),
      until: new Date(at.getTime() + 1),
    });
    for (const row of rows.slice(-SAMPLES_TOLD))
      samples.push({
        at: row.at.toISOString(),
        metric: one.metric,
        value: row.value,
        verdict: row.verdict,
        pair: one.pair,
        tool: one.tool,
        archive: one.archiveKey,
      });
  }
  return {
    at: at.toISOString(),
    policy,
    reason,
    samples: samples.sort((a, b) => (a.at < b.at ? 1 : -1)),
  };
}

async function checkSites(store: Store, srcSite: string, dstSite: string): Promise<void> {
  const known = (await store.sites()).map(({ name }) => name);
  for (const site of [srcSite, dstSite])
    if (!known.includes(site))
      throw new UserError(`no site is named "${site}"${nearest(site, known)}; "lark sites" lists them`);
}
