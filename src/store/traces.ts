/** Traces: the tests that trace, the routes they met, and which run met which. */
import {
  type ArchivedTest,
  type Hop,
  type Route,
  seriesKey,
  type TraceRead,
  type TraceRun,
} from '../domain.ts';
import type { Database, Queryable } from './database.ts';
import { latestSure, lockArchives, sureCheckpoint } from './series.ts';
import {
  byKey,
  dateFromMs,
  epochMs,
  jsonParameter,
  numberArray,
  queryTuples,
  sameTexts,
  withoutNulls,
} from './values.ts';

const DAY_MS = 86_400_000;

export interface StoredTraceTest extends ArchivedTest {
  id: number;
  checkpoint: Date;
  /** The newest run that is known. */
  lastRunAt?: Date;
}

export interface StoredRoute extends Route {
  id: number;
  testId: number;
  firstSeen: Date;
  lastSeen: Date;
}

/** Run i was at time i (ms since 1970, ascending), and met route i. */
export interface TraceRunColumns {
  atMs: number[];
  routeIds: number[];
}

export interface SavedTraces {
  inserted: number;
  /** Runs that were there with another route. */
  updated: number;
  /** Runs more than a day in the future, or older than samples are kept. */
  rejected: number;
}

/** By `seriesKey`: up to where the traces of each test of the archive have been read; see `checkpoints`. */
export async function traceCheckpoints(
  db: Database,
  archiveKey: string,
  now: Date,
): Promise<Map<string, Date>> {
  const rows = await queryTuples<[string, number]>(
    db,
    `metadata_key, ${epochMs('sure')}`,
    `(select *, ${sureCheckpoint('last_run_at')} as sure from trace_tests) as read
     where archive_key = $1 and sure is not null`,
    [archiveKey, latestSure(now)],
  );
  return new Map(
    rows.map(([metadataKey, readTo]) => [seriesKey({ metadataKey, metric: 'trace' }), dateFromMs(readTo)]),
  );
}

/**
 * Stores what reads of traces brought; tests, routes, runs and checkpoints in one transaction. Sent again, or in another
 * order, the same reads leave the same behind. Of two runs of a test at one time the later in the batch counts.
 * @throws StoreError when an archive was never saved by saveDiscovery
 */
export async function saveTraces(
  db: Database,
  reads: readonly TraceRead[],
  at: Date,
  oldest: Date,
): Promise<SavedTraces> {
  const saved: SavedTraces = { inserted: 0, updated: 0, rejected: 0 };
  const tests = prepare(reads, at, oldest, saved);
  if (tests.length === 0) return saved;
  await db.transaction(async (tx) => {
    await lockArchives(tx, new Set(tests.map(({ test }) => test.archiveKey)));
    await ensureTests(tx, tests, at);
    await ensureRoutes(tx, tests);
    await mergeRuns(tx, tests, saved);
  });
  return saved;
}

/** A test of a batch, its runs accepted. */
interface Prepared {
  test: ArchivedTest;
  checkpoint: Date;
  /** By time, ms since 1970. */
  runs: Map<number, Route>;
  /** By its way. */
  routes: Map<string, PreparedRoute>;
  id: number;
}

interface PreparedRoute extends Route {
  firstMs: number;
  lastMs: number;
  id: number;
}

function prepare(reads: readonly TraceRead[], at: Date, oldest: Date, saved: SavedTraces): Prepared[] {
  const newest = at.getTime() + DAY_MS;
  const tests = new Map<string, Prepared>();
  for (const { test, runs, checkpoint } of reads) {
    const key = JSON.stringify([test.archiveKey, test.metadataKey]);
    const known = tests.get(key) ?? { test, checkpoint, runs: new Map(), routes: new Map(), id: 0 };
    tests.set(key, known);
    if (checkpoint > known.checkpoint) known.checkpoint = checkpoint;
    for (const { at, route } of runs) {
      if (at < oldest || at.getTime() > newest) saved.rejected += 1;
      else known.runs.set(at.getTime(), route);
    }
  }
  for (const { runs, routes } of tests.values()) {
    for (const [atMs, route] of runs) {
      const way = wayOf(route);
      const known = routes.get(way);
      if (!known) routes.set(way, { ...route, firstMs: atMs, lastMs: atMs, id: 0 });
      else
        routes.set(way, {
          ...known,
          hops: told(route.hops) > told(known.hops) ? route.hops : known.hops,
          isReached: known.isReached || route.isReached,
          firstMs: Math.min(known.firstMs, atMs),
          lastMs: Math.max(known.lastMs, atMs),
        });
    }
  }
  return [...tests.values()];
}

/** What tells a route from others of its test. */
function wayOf({ hops }: Route): string {
  return hops.map(({ address, name }) => address ?? name ?? '*').join(' ');
}

/** How much is known of the hops beside where they are. */
function told(hops: readonly Hop[]): number {
  return hops.reduce((sum, { name, asn }) => sum + (name ? 1 : 0) + (asn ? 1 : 0), 0);
}

const TEST_INPUT = `jsonb_to_recordset($1::jsonb) as input(position integer, "archiveKey" text, "metadataKey" text,
  source text, destination text, "sourceName" text, "destinationName" text, tool text, "ipVersion" smallint,
  "readTo" timestamptz)`;
const TEST_DETAILS = `source, destination, source_name, destination_name, tool, ip_version`;
const INPUT_DETAILS = `input.source, input.destination, input."sourceName", input."destinationName", input.tool,
  input."ipVersion"`;
const SAME_TEST = `(test.archive_key, test.metadata_key) = (input."archiveKey", input."metadataKey")`;

async function ensureTests(tx: Queryable, tests: readonly Prepared[], at: Date): Promise<void> {
  const input = jsonParameter(
    tests.map(({ test, checkpoint }, position) => ({ ...test, position, readTo: checkpoint })),
  );
  await tx.query(
    `insert into trace_tests (archive_key, metadata_key, ${TEST_DETAILS}, read_to)
     select "archiveKey", "metadataKey", ${INPUT_DETAILS}, "readTo" from ${TEST_INPUT}
     where not exists (select from trace_tests as test where ${SAME_TEST})
     order by position`,
    [input],
  );
  await tx.query(
    `update trace_tests as test
     set (${TEST_DETAILS}) = row(${INPUT_DETAILS}),
       read_to = greatest(case when read_to <= $2 then read_to else last_run_at end, "readTo")
     from ${TEST_INPUT}
     where ${SAME_TEST}
       and ("readTo" > read_to or read_to > $2
         or (${TEST_DETAILS.replaceAll(/\w+/g, (column) => `test.${column}`)}) is distinct from (${INPUT_DETAILS}))`,
    [input, latestSure(at)],
  );
  const rows = await queryTuples<[number, number]>(
    tx,
    'position, id',
    `${TEST_INPUT} join trace_tests as test on ${SAME_TEST}`,
    [input],
  );
  for (const [position, id] of rows) tests[position]!.id = id;
}

/** Of two that met the same way, the hops are kept of which more is known. */
async function ensureRoutes(tx: Queryable, tests: readonly Prepared[]): Promise<void> {
  const all = tests.flatMap(({ id, routes }) =>
    [...routes].map(([way, route]) => ({ testId: id, way, route })),
  );
  if (all.length === 0) return;
  const tuples = (hops: readonly Hop[]) =>
    hops.map(({ address, name, asn }) => [address ?? null, name ?? null, asn ?? null]);
  const input = jsonParameter(
    all.map(({ testId, way, route }, position) => ({
      position,
      testId,
      way,
      hops: tuples(route.hops),
      told: told(route.hops),
      isReached: route.isReached,
      firstSeen: new Date(route.firstMs),
      lastSeen: new Date(route.lastMs),
    })),
  );
  const from = `jsonb_to_recordset($1::jsonb) as input(position integer, "testId" integer, way text, hops json,
    told integer, "isReached" boolean, "firstSeen" timestamptz, "lastSeen" timestamptz)`;
  const same = '(route.test_id, route.way_hash) = (input."testId", md5(input.way))';
  await tx.query(
    `insert into routes (test_id, way, hops, is_reached, first_seen, last_seen)
     select "testId", way, hops, "isReached", "firstSeen", "lastSeen" from ${from}
     where not exists (select from routes as route where ${same})
     order by position`,
    [input],
  );
  await tx.query(
    `update routes as route set
       first_seen = least(first_seen, "firstSeen"),
       last_seen = greatest(last_seen, "lastSeen"),
       is_reached = is_reached or "isReached",
       hops = case when told > ${TOLD} then input.hops else route.hops end
     from ${from}
     where ${same}
       and ("firstSeen" < first_seen or "lastSeen" > last_seen or ("isReached" and not is_reached) or told > ${TOLD})`,
    [input],
  );
  const rows = await queryTuples<[number, number]>(
    tx,
    'position, route.id',
    `${from} join routes as route on ${same}`,
    [input],
  );
  for (const [position, id] of rows) all[position]!.route.id = id;
}

/** `told` of the stored hops. */
const TOLD = `(select count(hop->>1) + count(hop->>2) from json_array_elements(route.hops) as hop)`;

interface Day {
  testId: number;
  /** Days since 1970. */
  day: number;
  /** By ms since midnight: id of the route. */
  runs: Map<number, number>;
}

async function mergeRuns(tx: Queryable, tests: readonly Prepared[], saved: SavedTraces): Promise<void> {
  const days = new Map<string, Day>();
  const newest: { id: number; lastRunAt: Date; routeId: number }[] = [];
  for (const { id, runs, routes } of tests) {
    let lastMs = Number.NEGATIVE_INFINITY;
    for (const [atMs, route] of runs) {
      const day = Math.floor(atMs / DAY_MS);
      const key = `${id} ${day}`;
      const known = days.get(key) ?? { testId: id, day, runs: new Map<number, number>() };
      days.set(key, known);
      known.runs.set(atMs - day * DAY_MS, routes.get(wayOf(route))!.id);
      lastMs = Math.max(lastMs, atMs);
    }
    const last = runs.get(lastMs);
    if (last) newest.push({ id, lastRunAt: new Date(lastMs), routeId: routes.get(wayOf(last))!.id });
  }
  if (days.size === 0) return;
  const changed = await mergeDays(tx, [...days.values()], saved);
  await tx.query(
    `insert into trace_runs (test_id, day, at_ms, route_ids)
     select "testId", '1970-01-01'::date + day, at_ms::integer[], route_ids::integer[]
     from jsonb_to_recordset($1::jsonb) as input("testId" integer, day integer, at_ms text, route_ids text)
     order by "testId", day
     on conflict (test_id, day) do update set at_ms = excluded.at_ms, route_ids = excluded.route_ids`,
    [jsonParameter(changed)],
  );
  await tx.query(
    `update trace_tests as test set last_run_at = "lastRunAt", last_route_id = "routeId"
     from jsonb_to_recordset($1::jsonb) as input(id integer, "lastRunAt" timestamptz, "routeId" integer)
     where test.id = input.id
       and ("lastRunAt" > coalesce(last_run_at, '-infinity')
         or ("lastRunAt" = last_run_at and "routeId" <> last_route_id))`,
    [jsonParameter(newest)],
  );
}

/** The days as they are with what is stored; only those that change. */
async function mergeDays(tx: Queryable, days: readonly Day[], saved: SavedTraces) {
  const rows = await queryTuples<[number, number[], number[]]>(
    tx,
    'position, at_ms, route_ids',
    `unnest($1::integer[], $2::integer[]) with ordinality as input(test_id, day, position)
     join trace_runs as stored on stored.test_id = input.test_id and stored.day = '1970-01-01'::date + input.day`,
    [numberArray(days.map(({ testId }) => testId)), numberArray(days.map(({ day }) => day))],
  );
  const stored = new Map(rows.map(([position, atMs, routeIds]) => [position - 1, { atMs, routeIds }]));
  return days.flatMap(({ testId, day, runs }, position) => {
    const { atMs, routeIds } = stored.get(position) ?? { atMs: [], routeIds: [] };
    const merged = new Map(atMs.map((ms, i) => [ms, routeIds[i]!]));
    let changes = 0;
    for (const [ms, routeId] of runs) {
      const before = merged.get(ms);
      if (before === routeId) continue;
      changes += 1;
      if (before === undefined) saved.inserted += 1;
      else saved.updated += 1;
      merged.set(ms, routeId);
    }
    if (changes === 0) return [];
    const ascending = [...merged].sort(([a], [b]) => a - b);
    return [
      {
        testId,
        day,
        at_ms: numberArray(ascending.map(([ms]) => ms)),
        route_ids: numberArray(ascending.map(([, routeId]) => routeId)),
      },
    ];
  });
}

/** By id. */
export async function traceTests(db: Database): Promise<StoredTraceTest[]> {
  type Row = [number, ...TestTuple, number, number | null];
  const rows = await queryTuples<Row>(
    db,
    `id, ${TEST_COLUMNS}, ${epochMs('read_to')}, ${epochMs('last_run_at')}`,
    '(select * from trace_tests order by id) as test',
  );
  return rows.map(([id, ...rest]) => {
    const [readTo, lastRunAt] = rest.slice(8) as [number, number | null];
    return {
      id,
      ...testOf(rest.slice(0, 8) as unknown as TestTuple),
      checkpoint: dateFromMs(readTo),
      ...(lastRunAt !== null && { lastRunAt: dateFromMs(lastRunAt) }),
    };
  });
}

type TestTuple = [string, string, string, string, string | null, string | null, string, 4 | 6 | null];
const TEST_COLUMNS = `archive_key, metadata_key, source, destination, source_name, destination_name, tool, ip_version`;

function testOf(row: TestTuple): ArchivedTest {
  return withoutNulls<ArchivedTest>({
    archiveKey: row[0],
    metadataKey: row[1],
    source: row[2],
    destination: row[3],
    sourceName: row[4],
    destinationName: row[5],
    tool: row[6],
    ipVersion: row[7],
  });
}

type HopTuple = [string | null, string | null, number | null];

function hopsOf(tuples: readonly HopTuple[]): Hop[] {
  return tuples.map(([address, name, asn]) => withoutNulls<Hop>({ address, name, asn }));
}

/** The route that each test met last, where that was since; by the test's id. */
export async function currentRoutes(
  db: Database,
  since: Date,
): Promise<(TraceRun & { test: ArchivedTest })[]> {
  const same = sameTexts();
  const sameOrNull = (text: string | null): string | null => text && same(text);
  return byKey(
    ['id'],
    (condition, after) =>
      queryTuples<[id: number, atMs: number, hops: HopTuple[], isReached: boolean, ...test: TestTuple]>(
        db,
        `id, ${epochMs('last_run_at')}, hops, is_reached, ${TEST_COLUMNS}`,
        `(select * from (
            select test.*, hops, is_reached
            from trace_tests as test join routes on routes.id = last_route_id
            where last_run_at >= $2) as test
          where ${condition}) as test`,
        [...after, since],
      ),
    ([, atMs, hops, isReached, ...test]) => ({
      test: testOf(test),
      at: dateFromMs(atMs),
      route: {
        hops: hopsOf(hops.map(([address, name, asn]) => [sameOrNull(address), sameOrNull(name), asn])),
        isReached,
      },
    }),
  );
}

/** A text that is another once `currentRoutes` tells something else of the ends or the way; the runs' times are left out. */
export async function currentRoutesMark(db: Database, since: Date): Promise<string> {
  const rows = await queryTuples<[string]>(
    db,
    'mark',
    // A way of which more becomes known keeps its id, and grows.
    `(select md5(coalesce(string_agg(concat_ws(' ', test.id, last_route_id, pg_column_size(hops), source, destination,
        coalesce(source_name, ''), destination_name), ',' order by test.id), '')) as mark
      from trace_tests as test join routes on routes.id = last_route_id
      where last_run_at >= $1) as marked`,
    [since],
  );
  return rows[0]![0];
}

/** All routes that the tests ever met, by test, in the order in which they were first seen. */
export async function routes(db: Database, testIds: readonly number[]): Promise<StoredRoute[]> {
  const rows = await queryTuples<[number, number, HopTuple[], boolean, number, number]>(
    db,
    `id, test_id, hops, is_reached, ${epochMs('first_seen')}, ${epochMs('last_seen')}`,
    `(select * from routes where test_id = any($1::integer[]) order by test_id, first_seen, id) as route`,
    [numberArray(testIds)],
  );
  return rows.map(([id, testId, hops, isReached, firstMs, lastMs]) => ({
    id,
    testId,
    hops: hopsOf(hops),
    isReached,
    firstSeen: dateFromMs(firstMs),
    lastSeen: dateFromMs(lastMs),
  }));
}

/** By the test's id; a test without runs since is absent. */
export async function traceRuns(
  db: Database,
  testIds: readonly number[],
  since: Date,
): Promise<Map<number, TraceRunColumns>> {
  const rows = await queryTuples<[number, number, number[], number[]]>(
    db,
    `test_id, day - '1970-01-01'::date, at_ms, route_ids`,
    `(select * from trace_runs
      where test_id = any($1::integer[]) and day >= ($2::timestamptz at time zone 'UTC')::date
      order by test_id, day) as runs`,
    [numberArray(testIds), since],
  );
  const result = new Map<number, TraceRunColumns>();
  for (const [testId, day, atMs, routeIds] of rows) {
    const columns = result.get(testId) ?? { atMs: [], routeIds: [] };
    for (const [i, ms] of atMs.entries()) {
      if (day * DAY_MS + ms < since.getTime()) continue;
      columns.atMs.push(day * DAY_MS + ms);
      columns.routeIds.push(routeIds[i]!);
    }
    if (columns.atMs.length > 0) result.set(testId, columns);
  }
  return result;
}
