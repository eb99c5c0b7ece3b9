import { hostOf } from '../address.ts';
import type { Archive, Discovery, MeasurementHost, SourceReport } from '../domain.ts';
import {
  type ArchiveClaim,
  archiveUrl,
  claimsOf,
  type HostClaim,
  identifiersOf,
  type RecordClaims,
} from './claims.ts';
import { forEachLimited } from './limit.ts';
import { mergeArchives, mergeHosts } from './merge.ts';
import { readBootstrap } from './sources/bootstrap.ts';
import { readLookupServer } from './sources/lookup.ts';
import { readPsconfig } from './sources/psconfig.ts';
import { readSearchServer, searchUrlsOf } from './sources/search.ts';
import type { SourceAnswer, SourceDeps } from './sources/source.ts';

/** The sources. What is left out or empty is not asked. */
export interface DiscoverOptions {
  /** Documents that list the lookup servers (`activehosts.json`). */
  bootstrapUrls?: readonly string[];
  /** Lookup servers asked besides those of the bootstrap documents: `http://HOST:8090/lookup/records`. */
  lookupUrls?: readonly string[];
  /** Lookup servers in their Elasticsearch form: `http://HOST/lookup/_search`. */
  searchUrls?: readonly string[];
  /** pSConfig templates, mesh configurations, and lists of them. */
  psconfigUrls?: readonly string[];
  /** Archives known by other means: base URL, and name or address of the measurement host it runs on. */
  seeds?: readonly { archive: string; host?: string }[];
}

export type DiscoverDeps = SourceDeps;

export interface Known {
  hosts: Met<MeasurementHost>[];
  archives: Met<Archive>[];
  /** When sources last answered well, of those that did not long ago: what they told then counts if they fail now. */
  answered?: ReadonlyMap<string, Date>;
}

/** `lastSeen`: by the last discovery that met it. */
type Met<T> = T & { lastSeen?: Date };

/**
 * Asks every source and merges what they say. A source that fails is reported, never thrown. What is returned is
 * what was met now: whether hosts that were known before and are not met are kept is the caller's decision. What was
 * met is as it was known where only a part of its sources answered: a host is neither taken apart nor renamed because
 * a lookup server is down.
 * @throws only the signal's reason when it aborts
 */
export async function discover(
  options: DiscoverOptions,
  known: Known,
  deps: DiscoverDeps,
): Promise<Discovery> {
  // One after the other: each takes its memory.
  const lookups = await readLookupServices(options, deps);
  const templates = await readPsconfig(options.psconfigUrls ?? [], deps);
  const seeds = options.seeds?.length ? readSeeds(options.seeds) : undefined;
  const reports = [...lookups.reports, ...templates.reports, ...(seeds ? [seeds.report] : [])];
  const missed = new Map(known.answered);
  for (const { source, ok } of reports) if (ok) missed.delete(source);
  const wasToldBy = (source: string, lastSeen: Date): boolean => {
    const answeredAt = missed.get(source);
    return answeredAt !== undefined && lastSeen >= answeredAt;
  };
  const remembered = <T extends { sources: string[] }>(list: readonly Met<T>[]) =>
    list
      .filter(({ sources, lastSeen }) => lastSeen && sources.some((source) => wasToldBy(source, lastSeen)))
      .map((each) => ({ ...each, isRemembered: true as const }));
  const knownCloned = new Set(known.hosts.flatMap(({ clonedUuids }) => clonedUuids));
  const fromRecords = claimsOf(lookups.claims, knownCloned, remembered(known.hosts));
  const newlyCloned = [...fromRecords.cloned.difference(knownCloned)];
  if (newlyCloned.length > 0)
    deps.log.warn(
      { clientUuids: newlyCloned },
      'client-uuids of cloned machines: from now on they tie nothing',
    );

  const told = [fromRecords, templates, ...(seeds ? [seeds.found] : [])];
  const hosts = mergeHosts(
    told.flatMap((each) => each.hosts),
    known.hosts,
  );
  const archives = mergeArchives(
    [...told.flatMap((each) => each.archives), ...remembered(known.archives)],
    hosts,
    known.archives,
  );
  const { expected } = templates;
  // What is named in two ways answered once.
  const sources = [...new Map(reports.map((report) => [report.source, report])).values()];
  for (const { ok, fault, message, source } of sources)
    if (!ok) deps.log.warn({ fault }, message ?? `${source} failed`);
  deps.log.info(
    { hosts: hosts.length, archives: archives.length, expected: expected.length, sources: sources.length },
    'discovered',
  );
  return { hosts, archives, expected, sources };
}

/** Lookup servers that are read at once: one that is dead must not hold up the others for long. */
const SERVERS_AT_ONCE = 2;

/** All forms of the lookup service. Each server is asked once in each form, however many name it. */
async function readLookupServices(
  { bootstrapUrls = [], lookupUrls = [], searchUrls = [] }: DiscoverOptions,
  deps: DiscoverDeps,
): Promise<{ claims: RecordClaims[]; reports: SourceReport[] }> {
  const bootstraps = await Promise.all([...new Set(bootstrapUrls)].map((url) => readBootstrap(url, deps)));
  const locators = [...lookupUrls, ...bootstraps.flatMap(({ found }) => found)];
  const searches = new Map<string, Promise<SourceAnswer<RecordClaims>>>();
  const search = (url: string, source = url) => {
    const answer = searches.get(url) ?? readSearchServer(url, source, deps);
    searches.set(url, answer);
    return answer;
  };
  const servers = [
    ...[...new Set(locators.map(withoutFinalSlash))].map((url) => () => readEitherForm(url, search, deps)),
    ...[...new Set(searchUrls)].map((url) => () => search(url)),
  ];
  const answers: SourceAnswer<RecordClaims>[] = new Array(servers.length);
  await forEachLimited(servers.entries(), SERVERS_AT_ONCE, async ([index, read]) => {
    answers[index] = await read();
  });
  return {
    // An index that several name answered once.
    claims: [...new Set(answers.map(({ found }) => found))],
    reports: [...bootstraps, ...answers].map(({ report }) => report),
  };
}

/** Locators are written with and without a final slash. */
const withoutFinalSlash = (locator: string) => locator.trim().replace(/\/+$/, '');

/**
 * A server that takes no GET is one of 2026, where bootstrap documents point at what only takes registrations: it is
 * read by `_search`, if it has that.
 */
async function readEitherForm(
  url: string,
  search: (url: string, source: string) => Promise<SourceAnswer<RecordClaims>>,
  deps: DiscoverDeps,
): Promise<SourceAnswer<RecordClaims>> {
  if (url.endsWith('/_search')) return search(url, url);
  const { takesNoGet, ...answer } = await readLookupServer(url, deps);
  if (!takesNoGet) return answer;
  const tried: string[] = [];
  for (const searchUrl of searchUrlsOf(url)) {
    const { found, report } = await search(searchUrl, url);
    if (report.ok || report.records > 0) {
      deps.log.info({ source: url, searchUrl }, 'lookup server read by _search');
      return { found, report: { ...report, source: url } };
    }
    tried.push(report.message ?? searchUrl);
  }
  const message = `${answer.report.message}; nor by _search: ${tried.join('; ')}`;
  return { ...answer, report: { ...answer.report, message } };
}

function readSeeds(
  seeds: NonNullable<DiscoverOptions['seeds']>,
): SourceAnswer<{ hosts: HostClaim[]; archives: ArchiveClaim[] }> {
  const sources = ['seeds'];
  const hosts: HostClaim[] = [];
  const archives: ArchiveClaim[] = [];
  const wrong: string[] = [];
  for (const seed of seeds) {
    const url = archiveUrl(seed.archive);
    if (url === undefined) {
      wrong.push(seed.archive);
      continue;
    }
    archives.push({ urls: [url], sources });
    hosts.push({ ...identifiersOf([hostOf(url), ...(seed.host ? [seed.host] : [])]), sources });
  }
  const report: SourceReport = { source: 'seeds', ok: wrong.length === 0, records: archives.length };
  if (wrong.length > 0)
    Object.assign(report, {
      fault: 'bad-data',
      message: `the seeds hold ${wrong.map((text) => `"${text}"`).join(', ')}: an archive is given by its http(s) base URL`,
    });
  return { found: { hosts, archives }, report };
}
