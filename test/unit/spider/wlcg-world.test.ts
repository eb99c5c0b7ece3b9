import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seriesKey } from '../../../src/domain.ts';
import { aggregateArchives } from '../../../src/spider/aggregates.ts';
import { createHttp, type Http } from '../../../src/spider/http.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { HTTP_OPTIONS } from '../../support/loopback.ts';
import { wayOf, wayOfRoute } from '../../support/truth.ts';
import { harvestOne } from './helpers.ts';

/** The spider against the world's aggregated indices, held against the books of the runs behind them. */

const HOUR = 3_600_000;
const CREDENTIALS = { user: 'lark', password: 'open sesame' };
let clock = new Date('2026-08-01T12:00:00Z');
let world: World;
let http: Http;

beforeAll(async () => {
  world = await startWorld({
    hosts: 16,
    clock: () => clock,
    lateSeconds: 1800,
    lateShare: 0.3,
    openSearch: 'anonymous',
    wlcg: CREDENTIALS,
  });
  http = createHttp(HTTP_OPTIONS);
});

afterAll(async () => {
  http.close();
  await world.close();
});

describe('the aggregated indices', () => {
  it('bring every sample once, over cycles and late documents', async () => {
    const start = clock;
    const aggregate = { url: world.wlcg!.url, ...CREDENTIALS };
    const [archive] = aggregateArchives([aggregate]);
    const rows = new Map<string, number | null>();
    const ways = new Map<string, string>();
    const checkpoints = new Map<string, Date>();
    for (const minutes of [0, 5, 30, 40]) {
      clock = new Date(clock.getTime() + minutes * 60_000);
      const { reads, traces, report } = await harvestOne(http, clock, {
        archive: archive!,
        checkpoints,
        options: { aggregates: [aggregate], lookbackHours: 2 },
      });
      expect(report, report.message).toMatchObject({ outcome: 'ok', kind: 'wlcg' });
      for (const { series, samples, checkpoint } of reads) {
        const key = seriesKey(series);
        if (checkpoint > (checkpoints.get(key) ?? new Date(0))) checkpoints.set(key, checkpoint);
        for (const { at, value } of samples) rows.set(`${key} ${at.getTime()}`, value);
      }
      for (const { test, runs, checkpoint } of traces) {
        const key = seriesKey({ metadataKey: test.metadataKey, metric: 'trace' });
        if (checkpoint > (checkpoints.get(key) ?? new Date(0))) checkpoints.set(key, checkpoint);
        for (const { at, route } of runs) ways.set(`${key} ${at.getTime()}`, wayOfRoute(route));
      }
    }
    const from = new Date(start.getTime() - 2 * HOUR + 60_000);
    const to = new Date(clock.getTime() - HOUR);
    const books = new Map<string, number>();
    const routes = new Map<string, string>();
    for (const run of world.runs({ from, to })) {
      if (!run.succeeded || !run.tool.startsWith('pscheduler/')) continue;
      const add = (metric: string, value: number | null | undefined) => {
        if (typeof value === 'number')
          books.set(`${run.source}>${run.destination}/${metric} ${run.startedAt.getTime()}`, value);
      };
      if (run.testType === 'throughput') {
        add('throughputMbps', run.throughputBps! * 1e-6);
        add('retransmits', run.retransmits);
      } else if (run.testType === 'latencybg') {
        add('lossRate', run.packetsLost! / run.packetsSent!);
        add('oneWayDelayMs', run.oneWayDelayMs?.mean);
      } else if (run.testType === 'trace' && run.hops?.some((hop) => hop !== null)) {
        routes.set(`${run.source}>${run.destination}/trace ${run.startedAt.getTime()}`, wayOf(run.hops));
      }
    }
    const time = (row: string) => Number(row.slice(row.lastIndexOf(' ')));
    const held = new Map(
      [...rows].filter(([row]) => time(row) >= from.getTime() && time(row) <= to.getTime()),
    );
    expect(books.size).toBeGreaterThan(3000);
    const lost = [...books].filter(
      ([row, value]) => Math.abs((held.get(row) ?? Number.NaN) - value) > 1e-9 || !held.has(row),
    );
    expect(lost.length).toBe(0);
    expect([...held.keys()].filter((row) => !books.has(row))).toEqual([]);
    expect(routes.size).toBeGreaterThan(300);
    const met = [...ways].filter(([row]) => time(row) >= from.getTime() && time(row) <= to.getTime());
    expect(new Map(met)).toEqual(routes);
  });

  it('with a wrong password are forbidden', async () => {
    const aggregate = { url: world.wlcg!.url, user: 'lark', password: 'wrong' };
    const { report } = await harvestOne(http, clock, {
      archive: aggregateArchives([aggregate])[0]!,
      options: { aggregates: [aggregate] },
    });
    expect(report).toMatchObject({ outcome: 'failed', fault: 'forbidden' });
  });
});
