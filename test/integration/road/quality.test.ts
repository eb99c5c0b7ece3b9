import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createMetrics } from '../../../src/api/metrics.ts';
import { qualityView } from '../../../src/api/quality.ts';
import { qualityText } from '../../../src/cli/quality-text.ts';
import { loadConfig } from '../../../src/config.ts';
import { pathName } from '../../../src/domain.ts';
import { type Service, startService } from '../../../src/service.ts';
import type { BookRun } from '../../../testbed/world/runDocuments.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { larkFolder, quietLog } from '../../support/lark.ts';

/** What the review finds in a world that holds every kind of dirt, against what the world's books say of it. */

const NOW = new Date('2026-08-08T09:00:00Z');
const HOUR_MS = 3_600_000;
const LOOKBACK_HOURS = 9;
const ACCOUNT = { user: 'lark', password: 'quiet please' };

let world: World;
let service: Service;
let runs: BookRun[];
let quality: (filter: Parameters<typeof qualityView>[1]) => ReturnType<typeof qualityView>;
const cleanUp: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  world = await startWorld({
    hosts: 26,
    seed: 5,
    clock: () => NOW,
    // Hosts stop a day before the anchor, and outages begin three hours before that.
    anchor: new Date(NOW.getTime() + 20 * HOUR_MS),
    openSearch: 'mixed',
    wlcg: ACCOUNT,
    peersPerSite: 12,
    troubledHosts: 1,
    wrongClocks: 3,
    outages: 1,
    unevenFamilies: true,
  });
  cleanUp.push(() => world.close());
  const place = await larkFolder(world, {
    discover: { psconfigUrls: [world.psconfig.url] },
    harvest: { lookbackHours: LOOKBACK_HOURS, aggregates: [{ url: world.wlcg!.url, ...ACCOUNT }] },
  });
  cleanUp.push(place.remove);
  const { config } = loadConfig(place.configFile, {});
  service = await startService(config, { log: quietLog, clock: () => NOW, version: 'test' });
  cleanUp.push(() => service.close());
  await service.cycle();
  quality = (filter) => qualityView(service.store, filter, config.estimate, NOW);
  runs = [...world.runs({ from: new Date(NOW.getTime() - LOOKBACK_HOURS * HOUR_MS), to: NOW })];
});
afterAll(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

const hurt = (what: (host: World['hosts'][number]) => unknown) => world.hosts.filter(what);
const trueDelay = (run: BookRun): number => {
  const clock = (address: string) =>
    world.hosts.find(({ address4, address6 }) => address4 === address || address6 === address)!.clockOffsetMs;
  return run.oneWayDelayMs!.median - clock(run.destination) + clock(run.source);
};
const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

describe('findings', () => {
  test('each wrong clock and by how much, the firewall and the host that stopped; and no other', async () => {
    const { findings } = await quality({});
    const found = (kind: string) =>
      findings
        .filter((each) => each.kind === kind)
        .map(({ site }) => site)
        .sort();
    const isWrong = (host: World['hosts'][number]) =>
      Math.abs(host.clockOffsetMs) > 20 && host.role === 'latency' && host.mapped;
    const wrong = hurt(isWrong);
    expect(wrong.length).toBeGreaterThanOrEqual(3);
    expect(found('clock-off')).toEqual(wrong.map(({ site }) => site).sort());
    for (const { host, kind, offsetMs } of await service.store.hostFindings()) {
      if (kind !== 'clock-off') continue;
      const { clockOffsetMs } = wrong.find(
        ({ name, address4 }) => host.includes(name) || host.includes(address4),
      )!;
      expect(Math.abs(offsetMs! - clockOffsetMs), host).toBeLessThan(5);
    }
    for (const trouble of ['firewall', 'stopped'] as const)
      expect(found(trouble)).toEqual(hurt((host) => host.trouble === trouble).map(({ site }) => site));
  });

  test('asked of the host, they come with the numbers and with what to do', async () => {
    const [firewall] = hurt(({ trouble }) => trouble === 'firewall');
    const text = qualityText(await quality({ end: firewall!.address4 }), NOW);
    expect(text).toMatch(
      /firewall, found 0 s ago\n {2}every packet sent to it is lost, from \d+ of \d+ hosts/,
    );
    expect(text).toContain('open the ports of owamp');
    expect(text).toMatch(/blocked \d{3}/);
  });
});

describe('estimates', () => {
  test('one-way delays are those of the path, whatever the clocks say', async () => {
    let compared = 0;
    for (const { srcSite, dstSite, metrics } of await service.store.estimates()) {
      const truth = runs.filter(
        (run) => run.sourceSite === srcSite && run.destinationSite === dstSite && run.oneWayDelayMs,
      );
      if (!metrics.oneWayDelayMs || truth.length === 0) continue;
      const both = [4, 6].map((family) => median(truth.filter((r) => r.ipVersion === family).map(trueDelay)));
      const known = both.filter((each) => each !== undefined);
      const { centre } = metrics.oneWayDelayMs;
      // A host's offset is known to a few ms, as routes are uneven.
      expect(centre, `${srcSite}>${dstSite}`).toBeGreaterThan(Math.min(...known) * 0.9 - 5);
      expect(centre, `${srcSite}>${dstSite}`).toBeLessThan(Math.max(...known) * 1.1 + 5);
      compared += 1;
    }
    expect(compared).toBeGreaterThan(50);
  });

  test('packets that a firewall or a host that is down swallows are no loss of the path', async () => {
    const estimates = await service.store.estimates();
    const to = (host: World['hosts'][number]) => estimates.filter(({ dstSite }) => dstSite === host.site);
    const [blocked] = hurt(({ trouble }) => trouble === 'firewall');
    expect(to(blocked!).length).toBeGreaterThan(3);
    for (const path of to(blocked!))
      expect(path.metrics.lossRate?.centre ?? 0, pathName(path)).toBeLessThan(0.1);
    const [down] = hurt(({ outage }) => outage);
    expect(to(down!).length).toBeGreaterThan(3);
    const left = await service.store.reviews({ dstSite: down!.site });
    expect(left.filter(({ excluded }) => (excluded['host-down'] ?? 0) > 60).length).toBeGreaterThan(
      left.length / 2,
    );
  });

  test('a run that several archives hold counts once', async () => {
    const archivesOf = Map.groupBy(runs, ({ runId }) => runId);
    const twice = runs.filter(
      (run) =>
        run.testType === 'latencybg' && new Set(archivesOf.get(run.runId)!.map((r) => r.archive)).size > 1,
    );
    const { sourceSite, destinationSite } = twice.find(({ destinationSite: site }) =>
      world.hosts.some((host) => host.site === site && host.mapped),
    )!;
    const { series } = await quality({ source: sourceSite, destination: destinationSite });
    const losses = series.filter(({ metric }) => metric === 'lossRate');
    const counted = losses.reduce((sum, { good, leftOut }) => sum + good - (leftOut.duplicate ?? 0), 0);
    const truth = runs.filter(
      (run) =>
        run.testType === 'latencybg' &&
        run.succeeded &&
        run.sourceSite === sourceSite &&
        run.destinationSite === destinationSite,
    );
    expect(losses.length).toBeGreaterThan(1);
    expect(truth.length).toBeGreaterThan(new Set(truth.map(({ runId }) => runId)).size);
    // The newest runs may be in the index before they are in an archive.
    expect(Math.abs(counted - new Set(truth.map(({ runId }) => runId)).size)).toBeLessThanOrEqual(3);
  });
});

test('the pair is told what was taken off, and where the same runs are', async () => {
  const [wrong] = hurt(({ clockOffsetMs, site }) => clockOffsetMs === 900 && site);
  const { series } = await quality({ end: wrong!.address4 });
  const corrected = series.filter(({ correctedMs }) => correctedMs !== null && Math.abs(correctedMs) > 800);
  expect(corrected.length).toBeGreaterThan(5);
  expect(corrected.every(({ metric }) => metric === 'oneWayDelayMs')).toBe(true);
  expect(corrected.some(({ regained }) => regained > 100)).toBe(true);
  expect(series.some(({ duplicateOf }) => duplicateOf !== null)).toBe(true);
});

test('totals, reasons and metrics agree', async () => {
  const all = await quality({});
  const counts = await service.store.excludedCounts();
  expect(all.leftOut).toEqual(Object.fromEntries(counts.map(({ reason, count }) => [reason, count])));
  expect(all.leftOut).toMatchObject({ blocked: expect.any(Number), duplicate: expect.any(Number) });
  expect(all.worstPaths.length).toBeGreaterThan(3);
  const text = await createMetrics().text(service.store);
  expect(text).toContain(`lark_samples_left_out{reason="duplicate"} ${all.leftOut.duplicate}`);
  expect(text).toContain('lark_host_findings{kind="firewall"} 1');
});
