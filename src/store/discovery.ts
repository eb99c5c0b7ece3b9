/** Hosts, archives, expected tests and the sources that told of them; how each archive's last harvest ended. */
import type {
  Archive,
  ArchiveKind,
  ArchiveReport,
  Discovery,
  ExpectedTest,
  Fault,
  MeasurementHost,
  SourceReport,
} from '../domain.ts';
import type { Database, Queryable } from './database.ts';
import { jsonParameter, type Nullable, withoutNulls } from './values.ts';

export interface StoredHost extends MeasurementHost {
  firstSeen: Date;
  lastSeen: Date;
}

export interface StoredArchive extends Archive {
  firstSeen: Date;
  lastSeen: Date;
  seriesCount: number;
  /** Failed harvests since the last that was ok or partial; 0 before the first harvest. */
  consecutiveFailures: number;
  lastReport?: ArchiveReport & { at: Date };
  /** When a harvest was last ok or partial. */
  lastSuccessAt?: Date;
}

export interface StoredExpectedTest extends ExpectedTest {
  firstSeen: Date;
  lastSeen: Date;
}

export interface StoredSource extends SourceReport {
  at: Date;
  /** When it was last ok. */
  answeredAt?: Date;
}

export interface SeenFilter {
  /** Only what discovery has seen at or after this time. */
  seenSince?: Date;
}

/**
 * What this discovery did not see stays as it was, until retention removes it. An expected test is gone at once when its
 * template, or everything below its origin, was read and did not name it, and when its origin is no source any more.
 */
export async function saveDiscovery(db: Database, discovery: Discovery, at: Date): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.query(
      `insert into hosts (
         key, names, addresses, client_uuids, cloned_uuids, site_name_hint, city, country_code, latitude, longitude, communities,
         domains, roles, access_policy, toolkit_version, capacity_mbps, pscheduler_urls, sources, first_seen, last_seen)
       select
         key, names, addresses, "clientUuids", "clonedUuids", "siteNameHint", city, "countryCode", latitude, longitude, communities,
         domains, roles, "accessPolicy", "toolkitVersion", "capacityMbps", "pschedulerUrls", sources, $2, $2
       from jsonb_to_recordset($1::jsonb) as host(
         key text, names text[], addresses text[], "clientUuids" text[], "clonedUuids" text[], "siteNameHint" text, city text,
         "countryCode" text, latitude float8, longitude float8, communities text[], domains text[], roles text[],
         "accessPolicy" text, "toolkitVersion" text, "capacityMbps" float8, "pschedulerUrls" text[],
         sources text[])
       order by key
       on conflict (key) do update set
         names = excluded.names, addresses = excluded.addresses, client_uuids = excluded.client_uuids,
         cloned_uuids = excluded.cloned_uuids,
         site_name_hint = excluded.site_name_hint, city = excluded.city, country_code = excluded.country_code,
         latitude = excluded.latitude, longitude = excluded.longitude, communities = excluded.communities,
         domains = excluded.domains, roles = excluded.roles, access_policy = excluded.access_policy,
         toolkit_version = excluded.toolkit_version, capacity_mbps = excluded.capacity_mbps,
         pscheduler_urls = excluded.pscheduler_urls, sources = excluded.sources,
         last_seen = excluded.last_seen`,
      [jsonParameter(discovery.hosts), at],
    );
    await saveArchives(tx, discovery.archives, at);
    await tx.query(
      `insert into discovery_sources as earlier (source, ok, records, fault, message, at, answered_at)
       select source, ok, records, fault, message, $2, case when ok then $2::timestamptz end
       from jsonb_to_recordset($1::jsonb) as report(
         source text, ok boolean, records integer, fault text, message text)
       order by source
       on conflict (source) do update set
         ok = excluded.ok, records = excluded.records, fault = excluded.fault, message = excluded.message,
         at = excluded.at, answered_at = coalesce(excluded.answered_at, earlier.answered_at)`,
      [jsonParameter(discovery.sources), at],
    );
    await saveExpectedTests(tx, discovery, at);
  });
}

/** Adds them, or replaces what is known of them; the others stay. */
export async function saveArchives(db: Queryable, archives: readonly Archive[], at: Date): Promise<void> {
  await db.query(
    `insert into archives (key, urls, host_key, kind, sources, first_seen, last_seen)
     select key, urls, "hostKey", kind, sources, $2, $2
     from jsonb_to_recordset($1::jsonb) as archive(
       key text, urls text[], "hostKey" text, kind text, sources text[])
     order by key
     on conflict (key) do update set
       urls = excluded.urls, host_key = excluded.host_key, kind = coalesce(excluded.kind, archives.kind),
       sources = excluded.sources, last_seen = excluded.last_seen`,
    [jsonParameter(archives), at],
  );
}

async function saveExpectedTests(db: Queryable, discovery: Discovery, at: Date): Promise<void> {
  await db.query(
    `insert into expected_tests (
       template, task, source, destination, test_type, ip_version, interval_seconds, is_rate_set, origin, first_seen,
       last_seen)
     select
       template, task, source, destination, "testType", "ipVersion", "intervalSeconds", coalesce("isRateSet", false),
       origin, $2, $2
     from jsonb_to_recordset($1::jsonb) as test(
       template text, task text, source text, destination text, "testType" text, "ipVersion" smallint,
       "intervalSeconds" float8, "isRateSet" boolean, origin text)
     order by template, task, source, destination
     on conflict (template, task, source, destination) do update set
       test_type = excluded.test_type, ip_version = excluded.ip_version,
       interval_seconds = excluded.interval_seconds, is_rate_set = excluded.is_rate_set, origin = excluded.origin,
       last_seen = excluded.last_seen`,
    [jsonParameter(discovery.expected), at],
  );
  await db.query(
    `with sources as (select source, ok from jsonb_to_recordset($1::jsonb) as report(source text, ok boolean))
     delete from expected_tests
     where last_seen <> $2 and (
       origin in (select source from sources where ok) or template in (select source from sources where ok)
       or origin not in (select source from sources))`,
    [jsonParameter(discovery.sources), at],
  );
}

/** By key. */
export async function hosts(db: Database, filter: SeenFilter = {}): Promise<StoredHost[]> {
  const rows = await db.query<Nullable<StoredHost>>(
    `select
       key, names, addresses, client_uuids as "clientUuids", cloned_uuids as "clonedUuids", site_name_hint as "siteNameHint", city,
       country_code as "countryCode", latitude, longitude, communities, domains, roles,
       access_policy as "accessPolicy", toolkit_version as "toolkitVersion", capacity_mbps as "capacityMbps",
       pscheduler_urls as "pschedulerUrls", sources, first_seen as "firstSeen", last_seen as "lastSeen"
     from hosts
     where $1::timestamptz is null or last_seen >= $1
     order by key`,
    [filter.seenSince],
  );
  return rows.map((row) => withoutNulls<StoredHost>(row));
}

interface ArchiveRow {
  key: string;
  urls: string[];
  hostKey: string | null;
  kind: ArchiveKind | null;
  sources: string[];
  firstSeen: Date;
  lastSeen: Date;
  seriesCount: number;
  reportAt: Date | null;
  reportUrl: string | null;
  reportKind: ArchiveKind | null;
  outcome: ArchiveReport['outcome'];
  fault: Fault | null;
  message: string | null;
  requests: number;
  seriesRead: number;
  samplesRead: number;
  failedRuns: number | null;
  seconds: number;
  ingestedTo: Date | null;
  lastSuccessAt: Date | null;
  consecutiveFailures: number | null;
}

/** By key. */
export async function archives(db: Database, filter: SeenFilter = {}): Promise<StoredArchive[]> {
  const rows = await db.query<ArchiveRow>(
    `select
       archives.key, archives.urls, archives.host_key as "hostKey", archives.kind, archives.sources,
       first_seen as "firstSeen", last_seen as "lastSeen", coalesce(series_count, 0) as "seriesCount",
       report.at as "reportAt", report.url as "reportUrl", report.kind as "reportKind", outcome, fault, message,
       requests, series_read as "seriesRead", samples_read as "samplesRead",
       failed_runs as "failedRuns", seconds, ingested_to as "ingestedTo",
       last_success_at as "lastSuccessAt", consecutive_failures as "consecutiveFailures"
     from archives
     left join archive_reports as report on report.archive_key = archives.key
     left join (
       select archive_key, count(*) as series_count from series group by archive_key
     ) as counted on counted.archive_key = archives.key
     where $1::timestamptz is null or last_seen >= $1
     order by archives.key`,
    [filter.seenSince],
  );
  return rows.map((row) => ({
    ...withoutNulls<Archive>({
      key: row.key,
      urls: row.urls,
      hostKey: row.hostKey,
      kind: row.kind,
      ingestedTo: row.ingestedTo,
      sources: row.sources,
    }),
    firstSeen: row.firstSeen,
    lastSeen: row.lastSeen,
    seriesCount: row.seriesCount,
    consecutiveFailures: row.consecutiveFailures ?? 0,
    ...(row.reportAt && { lastReport: reportOf(row, row.reportAt) }),
    ...(row.lastSuccessAt && { lastSuccessAt: row.lastSuccessAt }),
  }));
}

function reportOf(row: ArchiveRow, at: Date): ArchiveReport & { at: Date } {
  return withoutNulls<ArchiveReport & { at: Date }>({
    archiveKey: row.key,
    url: row.reportUrl,
    kind: row.reportKind,
    outcome: row.outcome,
    fault: row.fault,
    message: row.message,
    requests: row.requests,
    seriesRead: row.seriesRead,
    samplesRead: row.samplesRead,
    failedRuns: row.failedRuns,
    seconds: row.seconds,
    ingestedTo: row.ingestedTo,
    at,
  });
}

/** By template, task, source and destination. */
export async function expectedTests(db: Database, filter: SeenFilter = {}): Promise<StoredExpectedTest[]> {
  const rows = await db.query<Nullable<StoredExpectedTest>>(
    `select
       template, task, source, destination, test_type as "testType", ip_version as "ipVersion",
       interval_seconds as "intervalSeconds", nullif(is_rate_set, false) as "isRateSet", origin,
       first_seen as "firstSeen", last_seen as "lastSeen"
     from expected_tests
     where $1::timestamptz is null or last_seen >= $1
     order by template, task, source, destination`,
    [filter.seenSince],
  );
  return rows.map((row) => withoutNulls<StoredExpectedTest>(row));
}

/** By source. */
export async function sources(db: Database): Promise<StoredSource[]> {
  const rows = await db.query<Nullable<StoredSource>>(
    `select source, ok, records, fault, message, at, answered_at as "answeredAt" from discovery_sources
     order by source`,
  );
  return rows.map((row) => withoutNulls<StoredSource>(row));
}

/** Also sets the archive's kind, where the harvest found it. */
export async function saveArchiveReport(db: Database, report: ArchiveReport, at: Date): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.query(
      `insert into archive_reports as earlier (
         archive_key, at, url, kind, outcome, fault, message, requests, series_read, samples_read, failed_runs,
         seconds, ingested_to, last_success_at, consecutive_failures)
       select
         "archiveKey", $2, url, kind, outcome, fault, message, requests, "seriesRead", "samplesRead",
         "failedRuns", seconds, "ingestedTo",
         case when outcome <> 'failed' then $2::timestamptz end, case when outcome = 'failed' then 1 else 0 end
       from jsonb_to_record($1::jsonb) as report(
         "archiveKey" text, url text, kind text, outcome text, fault text, message text, requests integer,
         "seriesRead" integer, "samplesRead" integer, "failedRuns" integer, seconds float8,
         "ingestedTo" timestamptz)
       on conflict (archive_key) do update set
         at = excluded.at, url = excluded.url, kind = excluded.kind, outcome = excluded.outcome,
         fault = excluded.fault, message = excluded.message, requests = excluded.requests,
         series_read = excluded.series_read, samples_read = excluded.samples_read, failed_runs = excluded.failed_runs,
         seconds = excluded.seconds, ingested_to = coalesce(excluded.ingested_to, earlier.ingested_to),
         last_success_at = coalesce(excluded.last_success_at, earlier.last_success_at),
         consecutive_failures =
           case when excluded.outcome = 'failed' then earlier.consecutive_failures + 1 else 0 end`,
      [jsonParameter(report), at],
    );
    await tx.query(
      'update archives set kind = $2 where key = $1 and $2::text is not null and kind is distinct from $2',
      [report.archiveKey, report.kind],
    );
  });
}
