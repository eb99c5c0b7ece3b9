/**
 * The step before locate: site sources are read when they are due, judged, and stored version by version. What is
 * stored last and was believed is what sites are known by.
 */
import type { Config } from '../config.ts';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { SourceFacts } from '../sites/knowledge.ts';
import { countsOf, refusalOf } from '../sites/sources/judge.ts';
import { definitionOf, type FetchDocument, readSource, type SourceConfig } from '../sites/sources/read.ts';
import type { Store, StoredSource } from '../store/store.ts';

export interface RefreshDeps {
  store: Store;
  fetchDocument: FetchDocument;
  config: Pick<Config, 'sites' | 'http'>;
  now: Date;
  log: Log;
  signal: AbortSignal;
}

/** A source that failed is asked again after an hour, or sooner where it is refreshed more often. */
const RETRY_HOURS = 1;

/**
 * Reads every enabled source that is due. One that cannot be read, or not be believed, leaves in force what was.
 * @returns what was not as it should be, one sentence each
 * @throws when the store fails or `signal` is aborted
 */
export async function refreshSites(deps: RefreshDeps): Promise<string[]> {
  const { store, config, now, signal } = deps;
  const stored = new Map((await store.siteSources()).map((source) => [source.name, source]));
  const due = config.sites.sources.filter(
    (source) => source.enabled && isDue(source, stored.get(source.name), now),
  );
  const warnings: string[] = [];
  for (const source of due) {
    signal.throwIfAborted();
    const warning = await refresh(source, stored.get(source.name), deps);
    if (warning !== undefined) warnings.push(warning);
  }
  return warnings;
}

/** A URL is due by its age; a file whenever it is looked at, as its time tells at once whether it has changed. */
export function isDue(source: SourceConfig, stored: StoredSource | undefined, now: Date): boolean {
  if (source.file !== undefined || !stored || stored.definition !== definitionOf(source)) return true;
  const hours = stored.failure ? Math.min(RETRY_HOURS, source.refreshHours) : source.refreshHours;
  const ageMs = now.getTime() - stored.checkedAt.getTime();
  // A clock that was set back makes `checkedAt` lie in the future.
  return ageMs < 0 || ageMs >= hours * 3_600_000;
}

async function refresh(
  source: SourceConfig,
  stored: StoredSource | undefined,
  { store, fetchDocument, config, now, log, signal }: RefreshDeps,
): Promise<string | undefined> {
  const identity = { name: source.name, definition: definitionOf(source) };
  const before = stored?.definition === identity.definition ? stored : undefined;
  const { keepVersions, maxLossShare } = config.sites;
  const end = (outcome: Parameters<Store['saveSourceOutcome']>[1]) =>
    store.saveSourceOutcome(identity, outcome, now, keepVersions);
  try {
    const read = await readSource(source, before?.current ? before.validators : {}, {
      fetchDocument,
      maxBytes: config.http.maxBodyMB * 1e6,
      signal,
    });
    if (read.isUnchanged) {
      await end({ type: 'unchanged' });
      return undefined;
    }
    const { facts, contentHash, validators, skipped } = read;
    if (skipped.length > 0)
      log.info(
        { skipped: skipped.slice(0, 20) },
        `site source ${source.name}: ${skipped.length} entries left out`,
      );
    if (contentHash === before?.current?.contentHash) {
      await end({ type: 'unchanged', validators });
      return undefined;
    }
    const document = { contentHash, counts: { ...countsOf(facts), skipped: skipped.length }, facts };
    const inForce = before?.current && ((await store.siteSourceFacts(source.name)) as SourceFacts);
    const reason = refusalOf(inForce, facts, maxLossShare);
    if (reason === undefined) {
      await end({ type: 'accepted', document, validators });
      return undefined;
    }
    await end({ type: 'refused', reason, document });
    return `site source ${source.name}: ${source.url ?? source.file} ${reason}; ${standing(stored)}`;
  } catch (error) {
    signal.throwIfAborted();
    const message = messageOf(error);
    await end({ type: 'failed', message });
    return `site source ${source.name}: ${message}; ${standing(stored)}`;
  }
}

const standing = (stored: StoredSource | undefined): string =>
  stored?.current
    ? `version ${stored.current.version} of ${stored.current.fetchedAt.toISOString()} stays in force`
    : 'nothing is known of it yet';

/** What the enabled sources say by the versions in force, in the order of the configuration. */
export class SiteFactsCache {
  #key = '';
  #facts: SourceFacts[] = [];

  /** Read again only when a version has changed: then, and only then, it is another list. */
  async facts(store: Store, { sources }: Config['sites']): Promise<readonly SourceFacts[]> {
    const hashes = new Map(
      (await store.siteSources()).map(({ name, current }) => [name, current?.contentHash]),
    );
    const inForce = sources.filter(({ name, enabled }) => enabled && hashes.get(name) !== undefined);
    const key = inForce.map(({ name }) => `${name} ${hashes.get(name)}`).join('\n');
    if (key !== this.#key) {
      this.#facts = [];
      // Written by `refresh` alone.
      for (const { name } of inForce) this.#facts.push((await store.siteSourceFacts(name)) as SourceFacts);
      this.#key = key;
    }
    return this.#facts;
  }
}
