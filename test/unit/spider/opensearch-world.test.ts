import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Archive, type ArchiveReport, seriesKey } from '../../../src/domain.ts';
import { ClosedSearches } from '../../../src/spider/closed-searches.ts';
import { harvest } from '../../../src/spider/harvest.ts';
import { createHttp, type Http, HttpFailure } from '../../../src/spider/http.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { HTTP_OPTIONS } from '../../support/loopback.ts';
import { rowKey, rowsByTheBooks, wayOfRoute } from '../../support/truth.ts';
import { AS_READ, HARVEST, quietLog } from './helpers.ts';

/** The spider against elmond archives with and without an open OpenSearch, held against the books of their runs. */

const HOUR = 3_600_000;
const OPTIONS = { ...HARVEST, lookbackHours: 2, overlapMinutes: 60, concurrency: 8 };

let clock = new Date('2026-08-01T12:00:00Z');
let world: World;
let http: Http;
let archives: Archive[];

beforeAll(async () => {
  world = await startWorld({
    hosts: 16,
    seed: 6,
    clock: () => clock,
    lateSeconds: 1800,
    lateShare: 0.3,
    openSearch: 'mixed',
  });
  http = createHttp(HTTP_OPTIONS);
  archives = world.archives
    .filter(({ kind }) => kind === 'elmond')
    .map(({ key }) => ({
      key,
      urls: [`https://${key}:${world.ports.https}/esmond/perfsonar/archive/`],
      sources: [],
    }));
});

afterAll(async () => {
  http.close();
  await world.close();
});

/** The operators close every OpenSearch. */
const closing = (client: Http): Http => ({
  ...client,
  postForBody: async (url) => {
    throw new HttpFailure('forbidden', url, 'answered 403', 403);
  },
});

type Value = number | string | null;

/** What a store would hold. */
class Shelf {
  readonly rows = new Map<string, Value>();
  readonly checkpoints = new Map<string, Map<string, Date>>();
  readonly ingestedTo = new Map<string, Date>();
  readonly reports = new Map<string, ArchiveReport>();

  /** One cycle; `events` is after how many events its process is killed. */
  async cycle(
    minutesLater: number,
    more: { client?: Http; events?: number; lookbackHours?: number; only?: string[] } = {},
  ) {
    clock = new Date(clock.getTime() + minutesLater * 60_000);
    const wanted = archives.filter(({ key }) => more.only?.includes(key) ?? true);
    const known = wanted.map((archive) => {
      const ingestedTo = this.ingestedTo.get(archive.key);
      const kind = this.reports.get(archive.key)?.kind;
      return { ...archive, ...(kind && { kind }), ...(ingestedTo && { ingestedTo }) };
    });
    let left = more.events ?? Number.POSITIVE_INFINITY;
    for await (const event of harvest(
      known,
      { ...OPTIONS, ...(more.lookbackHours && { lookbackHours: more.lookbackHours }) },
      {
        http: more.client ?? http,
        now: world.now(),
        ...AS_READ,
        log: quietLog,
        checkpoints: async (key) => this.checkpoints.get(key) ?? new Map(),
        closedSearches: new ClosedSearches(),
      },
    )) {
      if (event.type === 'report') {
        const { archiveKey, ingestedTo } = event.report;
        this.reports.set(archiveKey, event.report);
        if (ingestedTo) this.ingestedTo.set(archiveKey, ingestedTo);
      } else {
        const checkpoints = this.checkpoints.get(event.archiveKey) ?? new Map<string, Date>();
        this.checkpoints.set(event.archiveKey, checkpoints);
        const series = event.type === 'reads' ? event.reads.map((read) => read.series) : [];
        expect(new Set(series).size).toBe(series.length);
        for (const read of event.reads) {
          const { checkpoint } = read;
          const { metadataKey, metric } =
            'series' in read ? read.series : { ...read.test, metric: 'trace' as const };
          const key = seriesKey({ metadataKey, metric });
          expect(checkpoint <= world.now()).toBe(true);
          if (checkpoint > (checkpoints.get(key) ?? new Date(0))) checkpoints.set(key, checkpoint);
          const put = (at: Date, value: Value) =>
            this.rows.set(rowKey(event.archiveKey, metadataKey, metric, at.getTime()), value);
          if ('series' in read) for (const { at, value, failure } of read.samples) put(at, failure ?? value);
          else for (const { at, route } of read.runs) put(at, wayOfRoute(route));
        }
      }
      left -= 1;
      if (left === 0) break;
    }
  }

  inside(from: Date, to: Date) {
    const time = (row: string) => Number(row.slice(row.lastIndexOf(' ')));
    return new Map(
      [...this.rows].filter(([row]) => time(row) >= from.getTime() && time(row) <= to.getTime()),
    );
  }
}

/** Of the archives that are read here. */
function booksOf(from: Date, to: Date): Map<string, Value> {
  const keys = new Set(archives.map(({ key }) => key));
  return new Map([...rowsByTheBooks(world, from, to)].filter(([row]) => keys.has(row.split(' ')[0]!)));
}

/** Equal to the last digits: seconds become ms by two ways. */
function difference(held: ReadonlyMap<string, Value>, books: ReadonlyMap<string, Value>) {
  const same = (a: Value | undefined, b: Value) =>
    a === b || (typeof a === 'number' && typeof b === 'number' && Math.abs(a - b) <= 1e-9 * Math.abs(b));
  return {
    lost: [...books].filter(([row, value]) => !same(held.get(row), value)).length,
    invented: [...held.keys()].filter((row) => !books.has(row)).length,
  };
}

describe('elmond archives, half of them with an open OpenSearch', () => {
  it('bring every sample once, over late results, second copies, kills, and searches that close and open again', async () => {
    const start = clock;
    const shelf = new Shelf();
    await shelf.cycle(0, { events: 6 });
    await shelf.cycle(1);
    const kinds = () => new Set([...shelf.reports.values()].map(({ kind }) => kind));
    expect(kinds()).toEqual(new Set(['opensearch', 'elmond']));
    await shelf.cycle(5);
    await shelf.cycle(30, { client: closing(http) });
    expect(kinds()).toEqual(new Set(['elmond']));
    await shelf.cycle(20, { client: closing(http), events: 4 });
    await shelf.cycle(10);
    expect(kinds()).toEqual(new Set(['opensearch', 'elmond']));
    await shelf.cycle(40);
    for (const report of shelf.reports.values())
      expect(report, report.message).toMatchObject({ outcome: 'ok' });

    // Runs of the last hour may still be late.
    const from = new Date(start.getTime() - 2 * HOUR + 60_000);
    const to = new Date(clock.getTime() - HOUR);
    const books = booksOf(from, to);
    expect(books.size).toBeGreaterThan(5000);
    expect(difference(shelf.inside(from, to), books)).toEqual({ lost: 0, invented: 0 });

    const whole = new Shelf();
    await whole.cycle(0);
    const recent = new Date(clock.getTime() - 2 * HOUR + 60_000);
    const held = whole.inside(recent, to);
    expect(difference(held, booksOf(recent, to))).toEqual({ lost: 0, invented: 0 });
    expect(difference(held, shelf.inside(recent, to))).toEqual({ lost: 0, invented: 0 });
  });

  it('cost one request each in a steady cycle where the search is open', async () => {
    const shelf = new Shelf();
    await shelf.cycle(0);
    world.resetCounters();
    await shelf.cycle(5);
    const direct = [...shelf.reports.values()].filter(({ kind }) => kind === 'opensearch');
    expect(direct.length).toBeGreaterThan(2);
    for (const report of direct) expect(report.requests).toBe(1);
    for (const { key } of archives) expect(world.counters(key).maxConcurrent).toBeLessThanOrEqual(2);
  });

  it('count the runs that failed, each once', async () => {
    const since = new Date(clock.getTime() - 12 * HOUR);
    const before = new Date(since.getTime() - HOUR);
    const failed = new Map<string, number>();
    const open = world.archives.filter(
      ({ openSearch, testCount }) => openSearch === 'anonymous' && testCount < 30,
    );
    for (const run of world.runs({ from: before, to: clock, archives: open.map(({ key }) => key) }))
      if (!run.succeeded && run.ingestedAt >= since)
        failed.set(run.archive, (failed.get(run.archive) ?? 0) + 1);
    expect(failed.size).toBeGreaterThan(0);
    const shelf = new Shelf();
    await shelf.cycle(0, { lookbackHours: 12, only: [...failed.keys()] });
    for (const { archiveKey, failedRuns } of shelf.reports.values())
      expect(failedRuns).toBe(failed.get(archiveKey));
  });
});
