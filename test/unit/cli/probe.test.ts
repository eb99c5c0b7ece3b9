import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, test } from 'vitest';
import type { HostView } from '../../../src/api/view-types.ts';
import { candidatesFor, choose, measurementText } from '../../../src/cli/probe.ts';
import { HttpFailure } from '../../../src/spider/http.ts';
import { openStore } from '../../../src/store/store.ts';
import { lark } from '../../support/lark.ts';

function host(name: string, more: Partial<HostView> = {}): HostView {
  return {
    host: name,
    names: [name],
    addresses: [],
    site: null,
    method: null,
    evidence: '',
    siteNameHint: null,
    accessPolicy: 'research-education',
    lastSeen: '2026-01-10T00:00:00Z',
    ...more,
  };
}

const HOSTS: HostView[] = [
  host('unstated.a.org', { site: 'A', accessPolicy: null, addresses: ['2001:db8::1', '192.0.2.1'] }),
  host('private.a.org', { site: 'A', accessPolicy: 'private' }),
  host('public.a.org', { site: 'A', accessPolicy: 'Public' }),
  host('limited.b.org', { site: 'B', accessPolicy: 'limited' }),
  host('odd.b.org', { site: 'B', accessPolicy: 'ask Bob' }),
];
const placesOf = (text: string, options = {}) => candidatesFor(text, HOSTS, options).map(({ at }) => at);

describe('who may be tested', () => {
  it('of a site: first hosts that permit it, then those that do not say, never those that forbid it', () => {
    expect(placesOf('A')).toEqual(['public.a.org', 'unstated.a.org', '192.0.2.1']);
    expect(placesOf('A', { forcePolicy: true }).at(-1)).toBe('private.a.org');
  });

  it('a site whose hosts all forbid it; a word that is not known forbids it too', () => {
    expect(() => placesOf('B')).toThrow(
      'all hosts of B are registered with the access policy "limited, ask Bob"',
    );
    expect(placesOf('B', { forcePolicy: true })).toEqual(['limited.b.org', 'odd.b.org']);
  });

  it('a host by name, in any case, by address and by the URL of its pScheduler', () => {
    const [found] = candidatesFor('PUBLIC.a.org.', HOSTS, {});
    expect(found).toEqual({ at: 'public.a.org', aliases: ['public.a.org'] });
    expect(placesOf('2001:DB8:0::1')).toEqual(['2001:db8::1']);
    expect(candidatesFor('https://public.a.org:8443/pscheduler', HOSTS, {})).toEqual([
      { ...found, pschedulerUrl: 'https://public.a.org:8443/pscheduler' },
    ]);
    for (const name of ['private.a.org', 'https://private.a.org/pscheduler'])
      expect(() => placesOf(name)).toThrow(`${name} is registered with the access policy "private"`);
  });

  it('is said where nobody knows, and where it is against the policy', () => {
    const remark = (text: string, options = {}) => candidatesFor(text, HOSTS, options)[0]?.remark;
    expect(remark('new.example.org')).toContain('not known here');
    expect(remark('unstated.a.org')).toContain('no access policy');
    expect(remark('private.a.org', { forcePolicy: true })).toContain('against its access policy "private"');
  });

  it('is nobody by that name', () => {
    expect(() => placesOf('AA')).toThrow('"AA" is no site that has measurement hosts');
    expect(() => candidatesFor('GENEVAT1', [host('x.org', { site: 'GENEVA-T1' })], {})).toThrow(
      'did you mean "GENEVA-T1"?',
    );
  });
});

describe('which host of a site', () => {
  const never = new AbortController().signal;
  /** pScheduler answers with the version of its API at these names alone. */
  const answering = (...names: string[]) => ({
    async getJson(url: string) {
      if (names.some((name) => url === `https://${name}/pscheduler/api`)) return 6;
      if (url.includes('web')) return { welcome: true };
      throw new HttpFailure('refused', url, 'could not be reached');
    },
  });
  const at = (...places: string[]) => places.map((place) => ({ at: place, aliases: [] }));

  it('the first at which a pScheduler answers', async () => {
    const chosen = await choose(
      'A',
      at('web.org', 'b.org', 'c.org'),
      true,
      answering('b.org', 'c.org'),
      never,
    );
    expect(chosen.at).toBe('b.org');
  });

  it('none: an error that names whom it asked, but a target of pings needs none', async () => {
    const places = at('b.org', '192.0.2.1');
    await expect(choose('A', places, true, answering(), never)).rejects.toThrow('asked: b.org, 192.0.2.1');
    expect((await choose('A', places, false, answering(), never)).at).toBe('192.0.2.1');
  });
});

test('a measurement in one line', () => {
  expect(
    [
      { type: 'throughput', throughputMbps: 907.6863, retransmits: 0 } as const,
      {
        type: 'latency',
        lossRate: 0.04,
        packetsSent: 100,
        delayMs: { min: 1, median: 2, p95: 3, max: 4 },
      } as const,
      { type: 'latency', lossRate: 1, packetsSent: 100 } as const,
      { type: 'rtt', lossRate: 0, rttMs: { mean: 0.976 } } as const,
    ].map(measurementText),
  ).toEqual([
    '907.7 Mb/s, 0 retransmits',
    'one-way delay 2 ms (1 to 4), loss 4 %',
    'no packet arrived, loss 100 %',
    'round trip 0.976 ms, loss 0 %',
  ]);
});

describe('lark probe', () => {
  const UUID = '00000000-0000-4000-8000-000000000001';
  let folder: string;
  let config: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lark-probe-'));
    config = join(folder, 'lark.yaml');
    await writeFile(config, `store: { directory: ${join(folder, 'store')} }\n`);
    const store = await openStore({ directory: join(folder, 'store') });
    const known = { clientUuids: [], communities: [], domains: [], roles: [], sources: [], names: [] };
    const hosts = [
      { ...known, key: 'a', addresses: ['127.0.0.1'], accessPolicy: 'public' },
      { ...known, key: 'b', addresses: ['127.0.0.2'], accessPolicy: 'private' },
    ];
    await store.saveDiscovery({ hosts, archives: [], sources: [], expected: [] }, new Date());
    await store.close();
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  /** A pScheduler whose runs are in the given state. */
  async function pscheduler(run: object, onAsked: (line: string) => void = () => {}) {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      const line = `${request.method} ${request.url}`;
      asked.push(line);
      onAsked(line);
      const answer = request.method === 'GET' ? run : `${base}/tasks/${UUID}`;
      response.end(JSON.stringify(answer));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(
      () =>
        new Promise<void>((resolve) => {
          server.closeAllConnections();
          server.close(() => resolve());
        }),
    );
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/pscheduler`;
    return { base, asked };
  }
  const FINISHED = { state: 'finished', result: { succeeded: true, loss: 0, mean: 'PT0.005S' } };

  it('does not test a host whose policy forbids it, unless it is told to', async () => {
    const { base, asked } = await pscheduler(FINISHED);
    const args = ['--config', config, 'probe', base, '127.0.0.2', '--type', 'rtt', '--json'];
    const refused = await lark(args);
    expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
    expect(refused.stderr).toContain('127.0.0.2 is registered with the access policy "private"');
    expect(asked).toEqual([]);

    const forced = await lark([...args, '--force-policy']);
    expect(forced.exitCode, forced.stderr).toBe(0);
    expect(JSON.parse(forced.stdout)).toMatchObject({
      source: '127.0.0.1',
      destination: '127.0.0.2',
      outcome: 'measured',
      measurement: { type: 'rtt', rttMs: { mean: 5 }, lossRate: 0 },
    });
  });

  it('exits 1 with one sentence where nothing was measured', async () => {
    const { base } = await pscheduler({ state: 'preempted' });
    const { exitCode, stderr } = await lark(['--config', config, 'probe', base, '127.0.0.3']);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('lark: 127.0.0.1: the run was preempted by one of higher priority');
  });

  it('cancels the task on Ctrl-C', async () => {
    const running = Promise.withResolvers<void>();
    const { base, asked } = await pscheduler({ state: 'running' }, (line) => {
      if (line.startsWith('GET')) running.resolve();
    });
    const command = lark(['--config', config, 'probe', base, '127.0.0.3']);
    await Promise.race([running.promise, command]);
    command.kill('SIGINT');
    const { exitCode, stderr } = await command;
    expect(exitCode, stderr).toBe(130);
    expect(asked.at(-1)).toBe(`DELETE /pscheduler/tasks/${UUID}`);
  });
});
