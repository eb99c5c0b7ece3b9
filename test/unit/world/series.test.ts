import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { elmond } from '../../../testbed/world/elmond.ts';
import { esmond } from '../../../testbed/world/esmond.ts';
import { eventTypesOf, type View } from '../../../testbed/world/events.ts';
import { generate } from '../../../testbed/world/generate.ts';
import { throughputBps } from '../../../testbed/world/series.ts';
import { startWorld } from '../../../testbed/world/world.ts';
import { get, NOW, NOW_SECONDS } from './wire.ts';

const model = generate({ hosts: 30, seed: 5, anchorSeconds: NOW_SECONDS, peersPerSite: 12 });
const view: View = { nowSeconds: NOW_SECONDS, lateSeconds: 0, lateShare: 1 };
const DAY = 86_400;

/** One archive's series, picked at will. */
const series = fc.nat().chain((n) => {
  const archive = model.archives[n % model.archives.length]!;
  return fc.nat().chain((m) => {
    const tests = [...archive.tests.values()];
    const picked = tests[m % tests.length]!;
    return fc
      .constantFrom(...eventTypesOf(picked, archive.kind).map((type) => type.name))
      .map((event) => ({ archive, test: picked, event }));
  });
});

function read(
  of: (typeof model.archives)[number],
  key: string,
  event: string,
  from: number,
  to: number,
): unknown[] {
  const path = `/${key}/${event}/base${of.kind === 'elmond' ? '/0' : ''}`;
  const query = new URLSearchParams({ 'time-start': `${from}`, 'time-end': `${to}`, limit: '10000' });
  const request = { path, query, scheme: 'https', origin: 'https://127.0.0.1' } as const;
  const answer = (of.kind === 'esmond' ? esmond : elmond)(of, request, view, () => ({ v4: null, v6: null }));
  expect(answer.status).toBe(200);
  return JSON.parse(answer.body);
}

describe('a series', () => {
  test('is the same whichever windows it is read in', () => {
    fc.assert(
      fc.property(
        series,
        fc.array(fc.nat(3 * DAY), { minLength: 3, maxLength: 3 }),
        fc.nat(170 * DAY),
        ({ archive, test: picked, event }, cuts, age) => {
          const [a, b, c] = cuts.toSorted((x, y) => x - y).map((x) => NOW_SECONDS - age - 3 * DAY + x) as [
            number,
            number,
            number,
          ];
          fc.pre(a < b && b < c);
          const parts = [
            ...read(archive, picked.key, event, a, b - 1),
            ...read(archive, picked.key, event, b, c),
          ];
          expect(parts).toEqual(read(archive, picked.key, event, a, c));
        },
      ),
      { numRuns: 60 },
    );
  });

  test('is the same however late it is asked for', () => {
    fc.assert(
      fc.property(series, fc.nat(30 * DAY), ({ archive, test: picked, event }, later) => {
        const from = NOW_SECONDS - 10 * 3600;
        const before = read(archive, picked.key, event, from, NOW_SECONDS);
        const after = { ...view, nowSeconds: NOW_SECONDS + later };
        const query = new URLSearchParams({
          'time-start': `${from}`,
          'time-end': `${NOW_SECONDS}`,
          limit: '9999',
        });
        const path = `/${picked.key}/${event}/base${archive.kind === 'elmond' ? '/0' : ''}`;
        const request = { path, query, scheme: 'https', origin: 'https://127.0.0.1' } as const;
        const answer = (archive.kind === 'esmond' ? esmond : elmond)(archive, request, after, () => ({
          v4: null,
          v6: null,
        }));
        expect(JSON.parse(answer.body)).toEqual(before);
      }),
      { numRuns: 30 },
    );
  });

  test('has no two points at one time, and none after now', () => {
    fc.assert(
      fc.property(series, ({ archive, test: picked, event }) => {
        const points = read(archive, picked.key, event, NOW_SECONDS - DAY, NOW_SECONDS + DAY) as {
          ts: number;
        }[];
        expect(points.every(({ ts }, i) => ts <= NOW_SECONDS && (i === 0 || ts > points[i - 1]!.ts))).toBe(
          true,
        );
      }),
      { numRuns: 30 },
    );
  });
});

describe('the generator', () => {
  test('gives the same model for the same seed, and another for another', () => {
    const options = { hosts: 30, seed: 5, anchorSeconds: NOW_SECONDS, peersPerSite: 12 };
    expect(generate(options)).toEqual(model);
    expect(generate({ ...options, seed: 6 })).not.toEqual(model);
  });

  test('gives the same bytes on the wire', async () => {
    const visit = async (
      httpPort: number,
      httpsPort: number,
    ): Promise<{ ports: [number, number]; bodies: string[] }> => {
      const world = await startWorld({ hosts: 7, seed: 9, clock: () => NOW, httpPort, httpsPort });
      const root = (key: string): string => `https://${key}:${world.ports.https}/esmond/perfsonar/archive/`;
      const urls = [
        world.bootstrapUrl,
        ...world.lookups.map((key) => `http://${key}:${world.ports.http}/lookup/records`),
        ...world.archives.map(({ key }) => `${root(key)}?time-range=86400`),
      ];
      const bodies = await Promise.all(urls.map(async (url) => (await get(url)).body));
      for (const { archive, metadataKey, eventType, summary } of world.books({
        from: new Date(NOW.getTime() - 3_600_000),
        to: NOW,
      }).series) {
        const base = world.archives.find((a) => a.key === archive)!.kind === 'elmond' ? 'base/0' : 'base';
        const path = `${metadataKey}/${eventType}/${summary === 'base' ? base : summary}`;
        bodies.push((await get(`${root(archive)}${path}?time-range=3600`)).body);
      }
      await world.close();
      return { ports: [world.ports.http, world.ports.https], bodies };
    };
    const first = await visit(0, 0);
    const second = await visit(...first.ports);
    expect(first.bodies.length).toBeGreaterThan(100);
    expect(second.bodies).toEqual(first.bodies);
  });

  test('refuses sizes it cannot make', async () => {
    await expect(startWorld({ hosts: 4 })).rejects.toThrow('from 5 to 2400, not 4');
    await expect(startWorld({ hosts: 2401 })).rejects.toThrow(RangeError);
  });

  test('throughput has a daily rhythm, level shifts, a heavy tail, gaps, and known paths', () => {
    const tests = model.archives.flatMap((archive) => [...archive.tests.values()]);
    const tcp = tests.filter((t) => t.type === 'throughput' && !t.udp && t.path.notable === null);
    const hourly = (hour: number): number => {
      const ratios = tcp.flatMap((t) => {
        const solar = Math.round((hour - t.path.solarOffsetHours) * 3600);
        return Array.from(
          { length: 20 },
          (_, day) => throughputBps(t, (20_000 + day) * DAY + solar) / t.path.capacityBps,
        );
      });
      return ratios.reduce((a, b) => a + b, 0) / ratios.length;
    };
    expect(hourly(3)).toBeGreaterThan(1.1 * hourly(15));

    const values = Array.from({ length: 2000 }, (_, i) => throughputBps(tcp[0]!, 1_700_000_000 + i * 7200));
    const median = values.toSorted((a, b) => a - b)[1000]!;
    expect(values.filter((value) => value < 0.4 * median).length).toBeGreaterThan(10);
    const daily = Array.from({ length: 160 }, (_, day) => {
      const day12 = values.slice(day * 12, day * 12 + 12).toSorted((a, b) => a - b);
      return day12[6]!;
    });
    expect(Math.min(...daily)).toBeLessThan(0.8 * Math.max(...daily));

    const slow = tests.find((t) => t.type === 'throughput' && t.path.notable === 'slow')!;
    const mean =
      Array.from({ length: 500 }, (_, i) => throughputBps(slow, 1_700_000_000 + i * 7200)).reduce(
        (a, b) => a + b,
        0,
      ) / 500;
    expect(mean / 1e6).toBeGreaterThan(35);
    expect(mean / 1e6).toBeLessThan(42);
  });

  test('one-way delays are negative where a clock is wrong, and the archive says how wrong', () => {
    const wide = generate({ hosts: 200, seed: 5, anchorSeconds: NOW_SECONDS, peersPerSite: 12 });
    const skewed = wide.archives.flatMap((archive) =>
      [...archive.tests.values()]
        .filter(
          (t) =>
            t.type === 'latencybg' &&
            t.destination.clockOffsetMs - t.source.clockOffsetMs < -15 - t.path.oneWayMs,
        )
        .map((t) => ({ archive, test: t })),
    );
    expect(skewed.length).toBeGreaterThan(0);
    const { archive, test: picked } = skewed[0]!;
    const from = NOW_SECONDS - DAY;
    const delays = read(archive, picked.key, 'histogram-owdelay', from, NOW_SECONDS) as {
      val: Record<string, number>;
    }[];
    const errors = read(archive, picked.key, 'time-error-estimates', from, NOW_SECONDS) as { val: number }[];
    expect(Object.keys(delays[0]!.val).some((ms) => Number(ms) < 0)).toBe(true);
    expect(errors[0]!.val).toBeGreaterThan(10);
  });
});
