import { beforeEach, describe, expect, it } from 'vitest';
import { UserError } from '../../../src/errors.ts';
import type { Log } from '../../../src/log.ts';
import { HttpFailure } from '../../../src/spider/http.ts';
import { candidatesFor, choose, type ProbeHost, probePath } from '../../../src/spider/probe-path.ts';
import { quietLog } from './helpers.ts';

function host(name: string, more: Partial<ProbeHost> = {}): ProbeHost {
  return {
    names: [name],
    addresses: [],
    site: null,
    accessPolicy: 'research-education',
    pschedulerUrls: [],
    ...more,
  };
}

const HOSTS: ProbeHost[] = [
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

  it('is tested where its pScheduler is registered, at its own URL where there are several', () => {
    const urls = ['https://odd.a.org:8443/pscheduler', 'https://192.0.2.7:8443/pscheduler'];
    const odd = host('odd.a.org', { site: 'A', addresses: ['192.0.2.7'], pschedulerUrls: urls });
    const urlsOf = (text: string) => candidatesFor(text, [odd], {}).map(({ pschedulerUrl }) => pschedulerUrl);
    expect(urlsOf('A')).toEqual(urls);
    expect(urlsOf('192.0.2.7')).toEqual([urls[1]]);
    const usual = host('b.org', { pschedulerUrls: ['https://b.org/pscheduler'] });
    expect(candidatesFor('b.org', [usual], {})).toEqual([{ at: 'b.org', aliases: ['b.org'] }]);
    // A machine known by another name than the one that its pScheduler registered.
    const other = host('c.org', { pschedulerUrls: ['https://ps.c.org:444/pscheduler'] });
    expect(candidatesFor('c.org', [other], {})[0]?.pschedulerUrl).toBe('https://ps.c.org:444/pscheduler');
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
    const http = answering('b.org', 'c.org');
    const chosen = await choose('A', at('web.org', 'b.org', 'c.org'), true, { http });
    expect(chosen.at).toBe('b.org');
  });

  it('none: an error that names whom it asked, but a target of pings needs none', async () => {
    const places = at('b.org', '192.0.2.1');
    await expect(choose('A', places, true, { http: answering() })).rejects.toThrow('asked: b.org, 192.0.2.1');
    expect((await choose('A', places, false, { http: answering() })).at).toBe('192.0.2.1');
  });
});

describe('probePath', () => {
  const log: Log = { ...quietLog, info: (_, message) => said.push(message) };
  let said: string[] = [];
  beforeEach(() => {
    said = [];
  });
  const hosts = [
    host('a.org', { site: 'A', pschedulerUrls: ['https://a.org:444/pscheduler'] }),
    host('b.org', { site: 'B', accessPolicy: 'private' }),
  ];
  const uuid = '00000000-0000-4000-8000-000000000001';
  const http = () => {
    const sent: string[] = [];
    return {
      sent,
      async send(method: string, url: string) {
        sent.push(`${method} ${url}`);
        return JSON.stringify(`https://a.org:444/pscheduler/tasks/${uuid}`);
      },
      async getJson() {
        return { state: 'finished', result: { succeeded: true, loss: 0, mean: 'PT0.005S' } };
      },
    };
  };
  const deps = (used: ReturnType<typeof http>) => ({
    http: used,
    now: () => new Date('2026-03-01T12:00:00Z'),
    sleep: async () => {},
    log,
  });
  const request = { type: 'rtt', durationSeconds: 5, slipSeconds: 10 } as const;

  it('asks the registered pScheduler of the source’s site', async () => {
    const used = http();
    const result = await probePath({ ...request, source: 'A', destination: '192.0.2.9' }, hosts, deps(used));
    expect(result).toMatchObject({ outcome: 'measured', source: 'a.org', destination: '192.0.2.9' });
    expect(used.sent).toEqual(['POST https://a.org:444/pscheduler/tasks']);
    expect(said[0]).toContain('192.0.2.9 is not known here');
  });

  it('asks nobody where either end’s policy forbids it, or both ends are one host', async () => {
    const used = http();
    const ask = (source: string, destination: string) =>
      probePath({ ...request, source, destination }, hosts, deps(used));
    await expect(ask('A', 'B')).rejects.toThrow('access policy "private"');
    await expect(ask('B', 'A')).rejects.toThrow(UserError);
    await expect(ask('A', 'a.org')).rejects.toThrow('same host');
    expect(used.sent).toEqual([]);
  });
});
