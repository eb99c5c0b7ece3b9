import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startWorld, type World, type WorldHost } from '../../../testbed/world/world.ts';
import { type Answer, get, NOW, post, send } from './wire.ts';

let world: World;
let bandwidth: WorldHost[];
let latency: WorldHost[];
let closed: WorldHost;
/** Schedules go by this. */
let elapsedMs = 0;
const SECOND_MS = 1000;

const at = (host: WorldHost): string => `https://${host.key}:${world.ports.https}/pscheduler`;

function task(type: string, source: WorldHost, dest: string, spec: object = {}, more: object = {}): object {
  return {
    schema: 1,
    schedule: { slip: 'PT5M' },
    test: { type, spec: { schema: 1, source: source.key, dest, ...spec } },
    ...more,
  };
}

/** Posts a task and gives its URL. */
async function accepted(host: WorldHost, document: object): Promise<string> {
  const answer = await post(`${at(host)}/tasks`, document);
  expect([answer.status, answer.body]).toEqual([200, expect.stringMatching(/^".*\/tasks\/[0-9a-f-]{36}"$/)]);
  return answer.json();
}

/** The states that a run goes through, and its last answer. */
async function follow(url: string): Promise<{ states: string[]; last: Answer }> {
  const states: string[] = [];
  const over = new Set(['finished', 'overdue', 'missed', 'failed', 'preempted', 'nonstart', 'canceled']);
  for (;;) {
    const last = await get(`${url}/runs/first`);
    const state = last.status === 404 ? 'none' : last.json().state;
    if (states.at(-1) !== state) states.push(state);
    if (over.has(state)) return { states, last };
    elapsedMs += SECOND_MS / 2;
  }
}

beforeAll(async () => {
  world = await startWorld({
    hosts: 60,
    seed: 4,
    clock: () => NOW,
    pScheduler: { elapsedMs: () => elapsedMs },
  });
  const policies = new Map<string, string>();
  for (const key of world.lookups) {
    const records = (await get(`http://${key}:${world.ports.http}/lookup/records?type=host`)).json();
    for (const record of records) policies.set(record['host-name'][0], record['pshost-access-policy'][0]);
  }
  const open = world.hosts.filter((host) =>
    ['public', 'research-education'].includes(policies.get(host.key)!),
  );
  bandwidth = open.filter(({ role }) => role === 'throughput');
  latency = open.filter(({ role }) => role === 'latency');
  closed = world.hosts.find(({ key, role }) => policies.get(key) === 'private' && role === 'throughput')!;
});
afterAll(() => world.close());

describe('pScheduler', () => {
  test('answers on every measurement host, as the lookup records say', async () => {
    const records = (
      await get(`http://${world.lookups[0]}:${world.ports.http}/lookup/records?service-type=pscheduler`)
    ).json();
    expect(records[0]['service-locator'][0]).toBe(
      `https://${new URL(records[0]['service-locator'][0]).hostname}:${world.ports.https}/pscheduler`,
    );
    for (const host of world.hosts.filter(({ role }) => role !== 'archive')) {
      expect([4, 5]).toContain((await get(`${at(host)}/api`)).json());
    }
    const first = bandwidth[0]!;
    expect((await get(at(first))).json()).toContain(first.name);
    expect((await get(`${at(first)}/tests`)).json()).toContain(`${at(first)}/tests/throughput`);
    expect((await get(`${at(first)}/tools`)).json()).toContain(`${at(first)}/tools/iperf3`);
    expect((await get(`${at(first)}/schedule-horizon`)).json()).toBe('P1D');
    expect((await get(`${at(first)}/clock`)).json().synchronized).toBeTypeOf('boolean');
    expect((await get(`${at(first)}/nothing`)).status).toBe(404);
  });

  test('a throughput run goes through its states and measures the path', async () => {
    const { source, destination } = world.notable.find(({ kind }) => kind === 'slow')!;
    const ends = [source, destination].map((site) =>
      world.hosts.find((host) => host.site === site && host.role !== 'latency'),
    ) as [WorldHost, WorldHost];
    const [from, to] = ends;
    await world.setRunEnd(from.key, 'finished');
    const url = await accepted(from, task('throughput', from, to.key, { duration: 'PT20S' }));
    const { states, last } = await follow(url);
    world.setRunEnd(from.key, null);
    const order = ['none', 'pending', 'on-deck', 'running', 'cleanup', 'finished'];
    expect(states).toEqual(order);
    const run = last.json();
    expect(run.result.succeeded).toBe(true);
    expect(run.result.summary.summary['throughput-bits'] / 1e6).toBeGreaterThan(25);
    expect(run.result.summary.summary['throughput-bits'] / 1e6).toBeLessThan(60);
    expect(run.participants).toEqual([from.key, to.key]);
    expect(run['task-href']).toBe(url);
    expect((await get(run['result-href'])).json()).toEqual(run.result);
    expect((await get(`${url}/runs`)).json()).toEqual([run.href]);
    expect((await get(url)).json().test.type).toBe('throughput');
  });

  test('latency, rtt and trace have results of their own', async () => {
    const [from, to] = latency as [WorldHost, WorldHost];
    world.setRunEnd(from.key, 'finished');
    const urls = await Promise.all([
      accepted(from, task('latency', from, to.name, { 'packet-count': 100, 'packet-interval': 0.1 })),
      accepted(from, task('rtt', from, to.key, { count: 5 })),
      accepted(from, task('trace', from, to.key)),
    ]);
    const [owd, rtt, route] = await Promise.all(
      urls.map(async (url) => (await follow(url)).last.json().result),
    );
    expect(owd['packets-sent']).toBe(100);
    const packets = Object.values<number>(owd['histogram-latency']).reduce((sum, n) => sum + n, 0);
    expect(packets).toBe(owd['packets-received']);
    expect(rtt.mean).toMatch(/^PT\d+\.\d+S$/);
    expect(rtt.roundtrips).toHaveLength(5);
    expect(route.paths[0].at(-1).ip).toBe(to.key);
    world.setRunEnd(from.key, null);
  });

  test('who answers to no ping has lost all packets, and that is a success', async () => {
    const from = latency[0]!;
    world.setRunEnd(from.key, 'finished');
    const { last } = await follow(await accepted(from, task('rtt', from, '192.0.2.1', { count: 5 })));
    expect(last.json().result).toMatchObject({ succeeded: true, loss: 1, lost: 5 });
    expect(last.json().result.mean).toBeUndefined();
    world.setRunEnd(from.key, null);
  });

  test('refuses: 400 bad specification, 403 limits, 422 no common tool, 500 other end away; all in plain text', async () => {
    const [a, b] = bandwidth as [WorldHost, WorldHost];
    const refusal = async (host: WorldHost, document: object, status: number, said: RegExp) => {
      const answer = await post(`${at(host)}/tasks`, document);
      expect([answer.status, answer.type, answer.body]).toEqual([
        status,
        'text/plain',
        expect.stringMatching(said),
      ]);
    };
    await refusal(a, task('throughput', a, b.key, { duration: '10s' }), 400, /duration/);
    await refusal(a, task('throughput', a, b.key, { speed: 1 }), 400, /Additional properties/);
    await refusal(a, task('guess', a, b.key), 400, /unknown test type/);
    await refusal(a, task('throughput', b, a.key), 400, /not this host/);
    await refusal(a, [], 400, /no object/);
    await refusal(closed, task('rtt', closed, a.key), 403, /^Task forbidden by limits/);
    await refusal(a, task('throughput', a, latency[0]!.key), 422, /No tool in common/);
    await refusal(a, task('throughput', a, 'nobody.example'), 500, /^Error getting tools from nobody/);
    await world.setFault(b.key, 'dead');
    await refusal(a, task('throughput', a, b.key), 500, /Error getting tools/);
    await world.setFault(b.key, null);
    await refusal(a, task('throughput', a, closed.key), 500, /^Error while tasking .*forbidden by limits/);
  });

  test('throughput runs share a host with no other: the second waits, and at a fixed time it is 409', async () => {
    const [a, b, c] = bandwidth as [WorldHost, WorldHost, WorldHost];
    const first = await accepted(a, task('throughput', a, b.key, { duration: 'PT60S' }));
    const second = await accepted(c, task('throughput', c, b.key, { duration: 'PT60S' }));
    elapsedMs += 4 * SECOND_MS;
    const [one, two] = await Promise.all(
      [first, second].map(async (url) => (await get(`${url}/runs/first`)).json()),
    );
    expect(one.state).toBe('on-deck');
    expect(two.state).toBe('pending');
    expect(two['start-time']).toBe(one['end-time']);
    const fixed = { schedule: { start: NOW.toISOString() } };
    expect((await post(`${at(a)}/tasks`, task('throughput', a, c.key, {}, fixed))).status).toBe(409);
    const hasty = await accepted(a, task('throughput', a, c.key, {}, { schedule: { slip: 'PT1S' } }));
    const { last } = await follow(hasty);
    expect(last.json()).toMatchObject({ state: 'nonstart', result: null });
    expect(last.json().errors).toBeTypeOf('string');
    for (const url of [first, second]) expect((await send(url, { method: 'DELETE' })).status).toBe(200);
  });

  test('DELETE cancels', async () => {
    const [a, b] = bandwidth as [WorldHost, WorldHost];
    const url = await accepted(a, task('throughput', a, b.key, { duration: 'PT600S' }));
    elapsedMs += 10 * SECOND_MS;
    expect((await get(`${url}/runs/first`)).json().state).toBe('running');
    expect((await send(url, { method: 'DELETE' })).status).toBe(200);
    expect((await get(`${url}/runs/first`)).json()).toMatchObject({ state: 'canceled', result: null });
    const gone = `${at(a)}/tasks/00000000-0000-0000-0000-000000000000`;
    expect((await send(gone, { method: 'DELETE' })).status).toBe(404);
  });

  test('runs end as they are told to', async () => {
    const from = latency[0]!;
    for (const end of ['failed', 'missed', 'overdue', 'preempted', 'nonstart'] as const) {
      world.setRunEnd(from.key, end);
      const { last } = await follow(await accepted(from, task('trace', from, latency[1]!.key)));
      expect(last.json()).toMatchObject({ state: end, result: null });
    }
    world.setRunEnd(from.key, 'unsuccessful');
    const { last } = await follow(await accepted(from, task('trace', from, latency[1]!.key)));
    expect(last.json().result).toMatchObject({ succeeded: false, error: expect.any(String) });
    world.setRunEnd(from.key, 'unscheduled');
    const never = await accepted(from, task('trace', from, latency[1]!.key));
    elapsedMs += 1000 * SECOND_MS;
    expect((await get(`${never}/runs/first`)).status).toBe(404);
    world.setRunEnd(from.key, null);
    expect(() => world.setRunEnd('127.99.99.99', 'failed')).toThrow('127.99.99.99');
  });

  test('the archive on the same host answers as before, and faults hit both', async () => {
    const archive = world.archives[1]!;
    const list = `https://${archive.key}:${world.ports.https}/esmond/perfsonar/archive/?limit=1`;
    expect((await get(list)).status).toBe(200);
    const host = world.hosts.find(({ key }) => key === archive.key)!;
    await world.setFault(host.key, 'http500');
    expect((await get(`${at(host)}/api`)).status).toBe(500);
    expect((await get(list)).status).toBe(500);
    await world.setFault(host.key, null);
    expect(world.counters(host.key).byKind.pscheduler).toBeGreaterThan(0);
  });
});

test('wait holds the answer back until there is a run; closing the world ends the waiting', async () => {
  const real = await startWorld({ hosts: 20, clock: () => NOW, pScheduler: { speed: 100 } });
  try {
    const from = real.hosts.find(({ role }) => role !== 'archive')!;
    const base = `https://${from.key}:${real.ports.https}/pscheduler`;
    const answer = await post(`${base}/tasks`, task('rtt', from, '192.0.2.1'));
    expect(answer.status).toBe(200);
    const run = await get(`${answer.json()}/runs/first?wait=5`);
    expect([run.status, run.json()['task-href']]).toEqual([200, answer.json()]);
    real.setRunEnd(from.key, 'unscheduled');
    const never: string = (await post(`${base}/tasks`, task('rtt', from, '192.0.2.1'))).json();
    const waiting = get(`${never}/runs/first?wait=30`).catch(() => null);
    while (real.counters(from.key).total < 4) await new Promise((resolve) => setImmediate(resolve));
    await real.close();
    await waiting;
  } finally {
    await real.close();
  }
});

test('without the option nobody has pScheduler', async () => {
  const plain = await startWorld({ hosts: 5, clock: () => NOW });
  try {
    const [archive] = plain.archives;
    expect((await get(`https://${archive!.key}:${plain.ports.https}/pscheduler/api`)).status).toBe(404);
    expect(() => plain.setRunEnd(plain.hosts[0]!.key, 'failed')).toThrow(/without pScheduler/);
  } finally {
    await plain.close();
  }
});
