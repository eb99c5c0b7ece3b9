import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type Archive,
  type ArchiveReport,
  type Discovery,
  type Readable,
  seriesKey,
} from '../../../src/domain.ts';
import { clean } from '../../../src/spider/clean.ts';
import { ClosedSearches } from '../../../src/spider/closed-searches.ts';
import { discover } from '../../../src/spider/discover.ts';
import { type HarvestOptions, harvest } from '../../../src/spider/harvest.ts';
import { createHttp, type Http } from '../../../src/spider/http.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { HTTP_OPTIONS } from '../../support/loopback.ts';
import { rowKey, rowsByTheBooks, wayOfRoute } from '../../support/truth.ts';
import { AS_READ, HARVEST, quietLog } from './helpers.ts';

/** The spider against real servers on loopback, held against the world's own books. */

const HOUR = 3_600_000;
const LATE_SECONDS = 1800;
const OPTIONS: HarvestOptions = { ...HARVEST, lookbackHours: 2, overlapMinutes: 60, concurrency: 32 };

let clock = new Date('2026-03-01T12:00:00Z');
let world: World;
let http: Http;
let discovery: Discovery;

beforeAll(async () => {
  world = await startWorld({ hosts: 15, clock: () => clock, lateSeconds: LATE_SECONDS, lateShare: 0.3 });
  http = createHttp(HTTP_OPTIONS);
  discovery = await discoverWorld();
});

afterAll(async () => {
  http.close();
  await world.close();
});

const discoverWorld = () =>
  discover(
    { bootstrapUrls: [world.bootstrapUrl], lookupUrls: [], seeds: [] },
    { hosts: [], archives: [] },
    {
      http,
      now: world.now(),
      log: quietLog,
    },
  );

/** What a store would hold: rows by archive, series and time, and the checkpoints. */
class Shelf {
  readonly rows = new Map<string, number | string | null>();
  readonly checkpoints = new Map<string, Map<string, Date>>();
  readonly reports = new Map<string, ArchiveReport>();
  readonly closedSearches = new ClosedSearches();

  /** Harvests until the end, or until so many events were stored; then the consumer is gone as if it had been killed. */
  async harvest(
    archives: readonly Archive[] = discovery.archives,
    stopAfterEvents = Number.POSITIVE_INFINITY,
    client: Http = http,
  ) {
    const seen = new Set<string>();
    let repeats = 0;
    let events = 0;
    const known = archives.map((archive) => {
      const { kind, outcome } = this.reports.get(archive.key) ?? {};
      return { ...archive, ...(kind && { kind }), consecutiveFailures: outcome === 'failed' ? 1 : 0 };
    });
    for await (const event of harvest(known, OPTIONS, {
      http: client,
      now: world.now(),
      ...AS_READ,
      log: quietLog,
      checkpoints: async (key) => this.checkpoints.get(key) ?? new Map(),
      closedSearches: this.closedSearches,
    })) {
      if (event.type === 'report') this.reports.set(event.report.archiveKey, event.report);
      else {
        const checkpoints = this.checkpoints.get(event.archiveKey) ?? new Map<string, Date>();
        this.checkpoints.set(event.archiveKey, checkpoints);
        const put = (metadataKey: string, of: Readable, at: Date, value: number | string | null) => {
          const row = rowKey(event.archiveKey, metadataKey, of, at.getTime());
          if (seen.has(row)) repeats += 1;
          seen.add(row);
          this.rows.set(row, value);
        };
        for (const read of event.reads) {
          const { metadataKey, metric } =
            'series' in read ? read.series : { ...read.test, metric: 'trace' as const };
          checkpoints.set(seriesKey({ metadataKey, metric }), read.checkpoint);
          expect(read.checkpoint.getTime()).toBeLessThanOrEqual(world.now().getTime());
          if ('series' in read)
            for (const { at, value, failure } of read.samples) put(metadataKey, metric, at, failure ?? value);
          else for (const { at, route } of read.runs) put(metadataKey, metric, at, wayOfRoute(route));
        }
      }
      events += 1;
      if (events >= stopAfterEvents) break;
    }
    expect(repeats).toBe(0);
  }
}

/** Rows that one has and the other has not, or has with another value. */
function difference(shelf: Shelf, books: Map<string, number | string>, from: Date, to: Date) {
  const time = (row: string) => Number(row.slice(row.lastIndexOf(' ')));
  const inside = (row: string) => time(row) >= from.getTime() && time(row) <= to.getTime();
  const held = new Map([...shelf.rows].filter(([row]) => inside(row)));
  return {
    lost: [...books].filter(([row, value]) => held.get(row) !== value).length,
    invented: [...held.keys()].filter((row) => !books.has(row)).length,
  };
}

describe('discovery', () => {
  it('finds every host once, whatever is wrong with its records', () => {
    expect(discovery.hosts).toHaveLength(world.hosts.length);
    for (const truth of world.hosts) {
      const found = discovery.hosts.filter(({ addresses }) => addresses.includes(truth.address4));
      expect(found, truth.dirt).toHaveLength(1);
    }
    const kinds = new Set(world.hosts.map(({ dirt }) => dirt));
    expect(kinds.size).toBeGreaterThan(5);
  });

  it('finds every archive once, on its host', () => {
    expect(discovery.archives).toHaveLength(world.archives.length);
    for (const { key } of world.archives) {
      const found = discovery.archives.filter(({ urls }) =>
        urls.some((url) => new URL(url).hostname === key),
      );
      expect(found).toHaveLength(1);
      expect(discovery.hosts.find((host) => host.key === found[0]!.hostKey)?.addresses).toContain(key);
      expect(found[0]!.urls[0]).toMatch(/^https:/);
    }
  });

  it('holds no stale address, no default coordinates, no person; the dead lookup server is reported', () => {
    expect(JSON.stringify(discovery)).not.toMatch(
      /192\.0\.2\.|121\.7469|Invented Person|person\.invalid|pSB/,
    );
    const failed = discovery.sources.filter(({ ok }) => !ok);
    expect(failed).toMatchObject([{ fault: 'refused', source: expect.stringContaining('127.9.0.99') }]);
  });

  it('gives the same keys again', async () => {
    const again = await discover(
      { bootstrapUrls: [world.bootstrapUrl], lookupUrls: [], seeds: [] },
      discovery,
      {
        http,
        now: world.now(),
        log: quietLog,
      },
    );
    expect(again.hosts).toEqual(discovery.hosts);
    expect(again.archives).toEqual(discovery.archives);
  });
});

describe('harvest', () => {
  it('brings every sample once, over cycles, late results and a harvest that was cut off; a full one brings the same', async () => {
    const start = clock;
    const shelf = new Shelf();
    const requests: number[] = [];
    const cycle = async (minutesLater: number, stopAfterEvents?: number) => {
      clock = new Date(clock.getTime() + minutesLater * 60_000);
      world.resetCounters();
      await shelf.harvest(discovery.archives, stopAfterEvents);
      requests.push(world.requests().length);
    };
    await cycle(0, 10);
    await cycle(1);
    for (const minutes of [5, 30, 60]) await cycle(minutes);
    for (const report of shelf.reports.values())
      expect(report, report.message).toMatchObject({ outcome: 'ok' });

    // Runs of the last hour may still be late.
    const from = new Date(start.getTime() - 2 * HOUR + 60_000);
    const to = new Date(clock.getTime() - HOUR);
    const books = rowsByTheBooks(world, from, to);
    console.log('world of 15 hosts: rows', books.size, 'requests by cycle', requests.join(' '));
    expect(books.size).toBeGreaterThan(10_000);
    expect(difference(shelf, books, from, to)).toEqual({ lost: 0, invented: 0 });

    const whole = new Shelf();
    await whole.harvest();
    const recent = new Date(clock.getTime() - 2 * HOUR);
    expect(difference(whole, rowsByTheBooks(world, recent, to), recent, to)).toEqual({
      lost: 0,
      invented: 0,
    });
    for (const { key } of world.archives) expect(world.counters(key).maxConcurrent).toBeLessThanOrEqual(2);
  });

  it('asks an esmond without news once; each archive by https and by its own kind', async () => {
    const shelf = new Shelf();
    await shelf.harvest();
    await shelf.harvest();
    for (const archive of world.archives) {
      const report = [...shelf.reports.values()].find(({ archiveKey }) =>
        archiveKey.startsWith(`${archive.key}:`),
      )!;
      expect(report.url).toMatch(/^https:/);
      if (report.kind) expect(report.kind).toBe(archive.kind);
      if (archive.kind === 'esmond') expect(report.requests).toBe(1);
    }
  });

  it('gives verdicts that leave most of the world good', async () => {
    const [archive] = discovery.archives.filter(({ urls }) => urls[0]!.includes(world.archives.at(-1)!.key));
    const counts = { good: 0, suspect: 0, bad: 0 };
    for await (const event of harvest([archive!], OPTIONS, {
      http,
      now: world.now(),
      ...AS_READ,
      log: quietLog,
      checkpoints: async () => new Map(),
    }))
      if (event.type === 'reads')
        for (const read of event.reads)
          for (const { verdict } of clean(read, world.now()).samples) counts[verdict] += 1;
    expect(counts.good).toBeGreaterThan(20 * (counts.bad + counts.suspect));
  });

  describe('with faults', () => {
    const faulty: string[] = [];
    const fault = async (index: number, kind: Parameters<World['setFault']>[1]) => {
      const { key } = world.archives[index]!;
      faulty.push(key);
      await world.setFault(key, kind);
    };
    afterEach(async () => {
      for (const key of faulty.splice(0)) await world.setFault(key, null);
    });

    it('each is reported by its name, and the healthy archives are complete', async () => {
      await fault(0, 'dead');
      await fault(1, 'blackhole');
      await fault(2, { kind: 'slow', seconds: 30 });
      await fault(3, 'http500');
      await fault(4, 'truncatedJson');
      await fault(5, 'htmlError');
      await fault(6, 'hugeBody');
      await fault(7, 'wrongTypes');
      await fault(8, { kind: 'drip', seconds: 0.2 });
      await fault(9, 'http403');
      const impatient = createHttp({
        ...HTTP_OPTIONS,
        connectTimeoutSeconds: 1,
        bodyTimeoutSeconds: 2,
        concurrency: 8,
      });
      // One URL of those that let one wait is enough to wait for.
      const silent = [1, 2, 8].map((index) => world.archives[index]!.key);
      const archives = discovery.archives.map((archive) =>
        silent.some((key) => archive.urls[0]!.includes(`/${key}:`))
          ? { ...archive, urls: archive.urls.slice(0, 1) }
          : archive,
      );
      const shelf = new Shelf();
      await shelf.harvest(archives, undefined, impatient);
      impatient.close();
      const report = (index: number) =>
        [...shelf.reports.values()].find(({ archiveKey }) =>
          archiveKey.startsWith(`${world.archives[index]!.key}:`),
        )!;
      const faults = world.archives.map((_, index) => report(index).fault);
      expect(faults.slice(0, 10)).toEqual([
        'refused',
        'timeout',
        'timeout',
        'http-error',
        'truncated',
        'not-json',
        'too-large',
        'bad-data',
        'timeout',
        // Forbidden on http only, and https comes first.
        undefined,
      ]);
      expect(faults.slice(9).every((name) => name === undefined)).toBe(true);
      for (let index = 0; index < 9; index++)
        expect(report(index).message).toMatch(new RegExp(`^https?://.*${world.archives[index]!.key}`));
    });

    it('forbidden where only http is known; http where https is not listened to', async () => {
      await fault(0, 'http403');
      const httpOnly = (archive: Archive) => ({
        ...archive,
        urls: archive.urls.filter((url) => url.startsWith('http:')),
      });
      const shelf = new Shelf();
      await shelf.harvest([
        httpOnly(discovery.archives.find(({ urls }) => urls[0]!.includes(world.archives[0]!.key))!),
      ]);
      expect([...shelf.reports.values()]).toMatchObject([{ outcome: 'failed', fault: 'forbidden' }]);
    });

    it('a self-signed certificate is a fault only where certificates are verified', async () => {
      const index = world.archives.findIndex(({ certificate }) => certificate === 'selfSigned');
      const archive = discovery.archives.find(({ urls }) => urls[0]!.includes(world.archives[index]!.key))!;
      const strict = createHttp({
        ...HTTP_OPTIONS,
        hosts: [{ match: world.archives[index]!.key, certificates: 'verify' }],
      });
      const reports: ArchiveReport[] = [];
      for await (const event of harvest([archive], OPTIONS, {
        http: strict,
        now: world.now(),
        ...AS_READ,
        log: quietLog,
        checkpoints: async () => new Map(),
      }))
        if (event.type === 'report') reports.push(event.report);
      strict.close();
      expect(reports).toMatchObject([{ outcome: 'failed', fault: 'certificate' }]);
    });
  });
});
