import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import axios from 'axios';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { PathStory } from '../../../src/api/path-story.ts';
import { loadPolicies } from '../../../src/breaker/policy.ts';
import { loadConfig } from '../../../src/config.ts';
import { isMeasured, pathName } from '../../../src/domain.ts';
import { type Service, startService } from '../../../src/service.ts';
import { createHttp } from '../../../src/spider/http.ts';
import { testConsent } from '../../../src/spider/pscheduler.ts';
import { createProber, PROBE_ARCHIVE, probeHosts, saveProbes } from '../../../src/steps/probe.ts';
import { replayPolicies } from '../../../src/steps/replay.ts';
import { lockHolder } from '../../../src/store/store.ts';
import type { ExportView } from '../../../src/why/export.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { lark, larkFolder, quietLog } from '../../support/lark.ts';

/** Why a path stands as it does, what a policy would have done, and tests of half-open paths: over a world's archives. */

const START = new Date('2026-05-05T15:00:00Z');
const HOUR_MS = 3_600_000;
let clock = START;
let world: World;
const open: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  world = await startWorld({ hosts: 10, seed: 5, clock: () => clock, pScheduler: { speed: 50 } });
});
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
  clock = START;
});
afterAll(() => world.close());

/** Half of the paths trip, more or less, and some of them come back. */
const POLICY = `Name = "slow"
Covers = true
Trip = ThroughputMbps < 2000.0
Reset = ThroughputMbps > 2400.0
MinSamples = 1
MinQuality = 0.0
MinOpenSeconds = 3600
GoodResults = 1
MaxInputMB = 50
HalfOpenProbe = true
`;

async function place() {
  const made = await larkFolder(world, {
    breaker: { guardShare: 1, guardPoolShare: 1 },
    harvest: { lookbackHours: 24 },
  });
  open.push(made.remove);
  const policies = join(made.folder, 'policies');
  await mkdir(policies);
  await writeFile(join(policies, 'slow.ad'), POLICY);
  await made.write({ breaker: { guardShare: 1, guardPoolShare: 1, policies } });
  const { config } = loadConfig(made.configFile, {});
  const service: Service = await startService(config, { log: quietLog, clock: () => clock, version: 'test' });
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (isOpen) await service.close();
    isOpen = false;
  };
  open.push(close);
  return { ...made, config, policies, service, close };
}

describe('a history of cycles', () => {
  test('a replay over it opens what was opened; stories and the export tell of it', async () => {
    const { service, config, configFile, policies, close } = await place();
    const { store } = service;
    for (let hour = 0; hour < 3; hour++) {
      clock = new Date(START.getTime() + hour * HOUR_MS);
      await service.cycle();
    }
    const lived = (await store.transitions({ limit: 1000 })).filter(({ to }) => to === 'OPEN');
    expect(lived.length).toBeGreaterThan(0);
    const to = new Date(START.getTime() + 3 * HOUR_MS);
    const [told] = await replayPolicies(store, config, loadPolicies(policies), {
      from: START,
      to,
      stepSeconds: 3600,
    });
    const openings = (names: string[]) => Object.entries(Map.groupBy(names, (name) => name)).sort();
    expect(told!.moments).toBe(3);
    expect(openings(told!.byPath.flatMap(({ path, openings: n }) => Array<string>(n).fill(path)))).toEqual(
      openings(lived.filter(({ srcSite, dstSite }) => srcSite !== '*' && dstSite !== '*').map(pathName)),
    );

    const url = await service.listen();
    const some = lived.find(({ srcSite, dstSite }) => srcSite !== '*' && dstSite !== '*')!;
    const { srcSite: src, dstSite: dst } = some;
    const { data } = await axios.get<{ path: PathStory }>(`${url}/api/v1/why`, { params: { src, dst } });
    expect(data.path.opening).toMatchObject({
      policy: 'slow',
      reason: expect.stringMatching(/ThroughputMbps/),
    });
    expect(data.path.opening!.samples.map(({ metric }) => metric)).toContain('throughputMbps');
    expect(data.path.events.some((event) => event.to === 'OPEN')).toBe(true);
    const wrong = await axios.get(`${url}/api/v1/why`, {
      params: { src, dst: 'NOWHERE' },
      validateStatus: null,
    });
    expect([wrong.status, wrong.data.message]).toEqual([
      400,
      expect.stringContaining('no site is named "NOWHERE"'),
    ]);
    const noJob = await axios.get(`${url}/api/v1/why`, { params: { job: '1.0' }, validateStatus: null });
    expect([noJob.status, noJob.data.message]).toEqual([400, expect.stringContaining('no pool to ask')]);

    const { data: view } = await axios.get<ExportView>(`${url}/api/v1/export`);
    const standing = new Set((await store.breakers()).filter(({ state }) => state === 'OPEN').map(pathName));
    for (const one of view.paths) expect(one.percent === 100).toBe(standing.has(`${one.src}>${one.dst}`));
    const csv = await axios.get<string>(`${url}/api/v1/export?format=csv`);
    expect(csv.headers['content-type']).toContain('text/csv');
    expect(csv.data.split('\n')).toHaveLength(view.sites.length + view.paths.length + 2);

    const question = {
      policies: [{ name: 'slow', text: POLICY }],
      from: START.toISOString(),
      to: to.toISOString(),
      stepSeconds: 3600,
    };
    const token = (await lockHolder(config.store.directory))!.apiToken!;
    const replayed = (body: object, authorization?: string) =>
      axios.post(`${url}/api/v1/replay`, body, { headers: { authorization }, validateStatus: null });
    expect((await replayed(question)).status).toBe(401);
    const { data: answers } = await replayed(question, `Bearer ${token}`);
    expect(answers[0]).toMatchObject({ policy: 'slow', moments: 3, openings: told!.openings });
    const endless = await replayed({ ...question, to: '2099-01-01T00:00:00Z' }, `Bearer ${token}`);
    expect([endless.status, endless.data.message]).toEqual([400, expect.stringContaining('larger step')]);

    // The commands: of the running service, then of the store.
    const asked = await lark(['why', src, dst, '--config', configFile]);
    expect(asked.stdout).toContain(`It last opened`);
    await close();
    const alone = await lark(['why', src, dst, '--config', configFile, '--json']);
    expect(JSON.parse(alone.stdout).breakers).toContainEqual(
      expect.objectContaining({ policy: 'slow', path: `${src}>${dst}` }),
    );
    const replay = await lark([
      ...['breaker', 'replay', '--config', configFile, '--json'],
      ...['--from', START.toISOString(), '--to', to.toISOString()],
    ]);
    expect(replay.stderr).toBe('');
    expect(JSON.parse(replay.stdout).results[0].openings).toBe(told!.openings);
  });
});

test('a half-open path is tested between hosts that permit it, and the next estimate counts the result', async () => {
  const { service, config } = await place();
  const { store } = service;
  await service.cycle();
  const hosts = probeHosts(await store.hosts(), await store.assignments());
  // A site's latency host has no tool for it.
  const willing = hosts.filter(
    ({ accessPolicy, site, names }) =>
      testConsent(accessPolicy) === 'permitted' &&
      site !== null &&
      world.hosts.some((one) => names.includes(one.name) && /both|throughput/.test(one.role)),
  );
  const able = [...new Set(willing.map(({ site }) => site!))];
  expect(able.length).toBeGreaterThan(1);
  const [srcSite, dstSite] = able as [string, string];
  const prober = createProber({
    clock: () => new Date(),
    log: quietLog,
    signal: new AbortController().signal,
  });
  const http = createHttp(config.http);
  open.push(async () => http.close());
  prober.start([{ srcSite, dstSite, since: clock }], willing, http, config.breaker.probes);
  await prober.close();
  const reads = prober.results();
  expect(reads).toHaveLength(1);
  await saveProbes(store, reads, clock);
  const series = (await store.series())
    .filter(isMeasured)
    .filter(({ archiveKey }) => archiveKey === PROBE_ARCHIVE);
  expect(series).toMatchObject([{ metric: 'throughputMbps', tool: 'pscheduler/lark-probe' }]);
  clock = new Date(reads[0]!.samples[0]!.at.getTime() + 60_000);
  await service.cycle();
  const [after] = await store.estimates({ srcSite, dstSite });
  expect(after!.metrics.throughputMbps!.lastMeasured).toEqual(reads[0]!.samples[0]!.at);
});
