import { describe, expect, it } from 'vitest';
import { type DiscoverOptions, discover, type Known } from '../../../src/spider/discover.ts';
import { ConnectTimeout, HttpFailure } from '../../../src/spider/http.ts';
import { fakeHttp, quietLog } from './helpers.ts';

const NOW = new Date('2026-03-01T12:00:00Z');
const expires = '2026-03-01T13:00:00.000Z';
const BOOTSTRAP = 'http://bootstrap.example.org/activehosts.json';
const NOTHING = { hosts: [], archives: [] };

type Record_ = Record<string, unknown>;
const hostRecord = (address: string): Record_ => ({
  type: ['host'],
  uri: address,
  expires,
  'host-name': [address],
});

/** Lookup servers by host name, behind a bootstrap document that lists them. */
function lookupServers(servers: Record<string, (url: URL) => unknown>, listed: unknown[]) {
  return fakeHttp((url) => (url.href === BOOTSTRAP ? { hosts: listed } : servers[url.hostname]?.(url)));
}

const run = (http: ReturnType<typeof fakeHttp>, options: Partial<DiscoverOptions> = {}) =>
  discover({ bootstrapUrls: [BOOTSTRAP], lookupUrls: [], seeds: [], ...options }, NOTHING, {
    http,
    now: NOW,
    log: quietLog,
  });

describe('discover', () => {
  it('asks all alive servers, each for hosts, archives and pSchedulers, interfaces, and never for persons', async () => {
    const http = lookupServers({ a: () => [hostRecord('192.0.2.1')], b: () => [hostRecord('192.0.2.2')] }, [
      { locator: 'http://a/lookup/records', status: 'alive', priority: 100 },
      { locator: 'http://b/lookup/records/', status: 'alive', priority: '50' },
      { locator: 'http://c/lookup/records', status: 'unreachable' },
      { locator: 'http://d/lookup/records', status: 'unknown' },
      { status: 'alive' },
      'nonsense',
    ]);
    const { hosts, sources } = await run(http);
    expect(hosts.map(({ key }) => key)).toEqual(['192.0.2.1', '192.0.2.2']);
    expect(hosts[0]!.sources).toEqual(['http://a/lookup/records']);
    const queries = [
      'type=host',
      'type=service&service-type=ma,pscheduler,owamp,twamp,bwctl,mp-owamp,mp-bwctl,ping,traceroute',
      'type=interface',
    ];
    expect(http.asked.map(({ href }) => href).sort()).toEqual(
      [
        BOOTSTRAP,
        ...['a', 'b'].flatMap((name) => queries.map((query) => `http://${name}/lookup/records?${query}`)),
      ].sort(),
    );
    expect(sources.every(({ ok }) => ok)).toBe(true);
  });

  it('a server that is named twice is asked once', async () => {
    const http = lookupServers({ a: () => [] }, [{ locator: 'http://a/lookup/records/', status: 'alive' }]);
    await run(http, { lookupUrls: ['http://a/lookup/records', 'http://a/lookup/records/'] });
    expect(http.asked).toHaveLength(4);
  });

  it('every failure is a report, and what the others said is used', async () => {
    const http = lookupServers(
      {
        good: () => [hostRecord('192.0.2.1')],
        dead: (url) => {
          throw new HttpFailure('refused', url.href, 'could not be reached');
        },
        odd: () => ({ message: 'POST only' }),
        half: (url) => {
          if (url.searchParams.get('type') !== 'host')
            throw new HttpFailure('http-error', url.href, 'answered 503', 503);
          return [hostRecord('192.0.2.4')];
        },
      },
      ['good', 'dead', 'odd', 'half'].map((name) => ({ locator: `http://${name}/r`, status: 'alive' })),
    );
    const { hosts, sources } = await run(http, { bootstrapUrls: [BOOTSTRAP, 'http://gone.example.org/'] });
    expect(hosts.map(({ key }) => key)).toEqual(['192.0.2.1', '192.0.2.4']);
    expect(sources.map(({ source, ok, records, fault }) => [source, ok, records, fault])).toEqual([
      [BOOTSTRAP, true, 4, undefined],
      ['http://gone.example.org/', false, 0, 'http-error'],
      ['http://good/r', true, 3, undefined],
      ['http://dead/r', false, 0, 'refused'],
      ['http://odd/r', false, 0, 'bad-data'],
      ['http://half/r', false, 1, 'http-error'],
    ]);
    expect(sources[3]!.message).toBe('http://dead/r?type=host could not be reached');
  });

  it('a lookup server to which no connection stands is asked once, and costs one connect limit', async () => {
    const http = fakeHttp((url) => {
      throw new ConnectTimeout(url.href, 5);
    });
    const lookupUrls = ['http://dead/lookup/records'];
    const { sources } = await run(http, {
      bootstrapUrls: [],
      lookupUrls,
      searchUrls: ['http://gone/lookup/_search'],
    });
    expect(sources.map(({ fault }) => fault)).toEqual(['timeout', 'timeout']);
    expect(http.asked).toHaveLength(2);
  });

  it('what the servers add to what was asked for is left out', async () => {
    const person = { type: ['person'], uri: 'p', expires, 'person-name': ['A. N. Other'] };
    const http = lookupServers({ a: () => [hostRecord('192.0.2.1'), person] }, [
      { locator: 'http://a/r', status: 'alive' },
    ]);
    expect(JSON.stringify(await run(http))).not.toContain('Other');
  });

  it('seeds need no lookup server, and join what the lookup servers know', async () => {
    const http = lookupServers({ a: () => [hostRecord('192.0.2.1')] }, [
      { locator: 'http://a/r', status: 'alive' },
    ]);
    const { hosts, archives, sources } = await run(http, {
      seeds: [
        { archive: 'https://ps.example.org/esmond/perfsonar/archive', host: '192.0.2.1' },
        { archive: 'http://198.51.100.7/archive/' },
        { archive: 'ps.example.org' },
      ],
    });
    expect(hosts).toMatchObject([
      { key: '198.51.100.7' },
      { key: 'ps.example.org', addresses: ['192.0.2.1'], sources: ['http://a/r', 'seeds'] },
    ]);
    expect(archives).toMatchObject([
      { urls: ['http://198.51.100.7/archive/'], hostKey: '198.51.100.7', sources: ['seeds'] },
      { urls: ['https://ps.example.org/esmond/perfsonar/archive/'], hostKey: 'ps.example.org' },
    ]);
    expect(sources.at(-1)).toEqual({
      source: 'seeds',
      ok: false,
      records: 2,
      fault: 'bad-data',
      message: 'the seeds hold "ps.example.org": an archive is given by its http(s) base URL',
    });
  });

  it('keys stay as they were known', async () => {
    const http = lookupServers({}, []);
    const seeds = [{ archive: 'https://198.51.100.7/archive/', host: 'ps.example.org' }];
    const first = await run(http, { seeds });
    const known = {
      hosts: first.hosts.map((host) => ({ ...host, key: 'the host' })),
      archives: first.archives.map((archive) => ({
        ...archive,
        key: 'the archive',
        kind: 'esmond' as const,
      })),
    };
    const second = await discover({ bootstrapUrls: [], lookupUrls: [], seeds }, known, {
      http,
      now: NOW,
      log: quietLog,
    });
    expect(second).toMatchObject({
      hosts: [{ key: 'the host' }],
      archives: [{ key: 'the archive', hostKey: 'the host', kind: 'esmond' }],
    });
  });

  describe('a source that fails', () => {
    const record = (names: string[], more: Record_ = {}): Record_ => ({
      ...hostRecord(names[0]!),
      'host-name': names,
      'client-uuid': ['U-1'],
      ...more,
    });
    const archive = (url: string): Record_ => ({
      type: ['service'],
      uri: url,
      expires,
      'service-type': ['ma'],
      'service-locator': [url],
      'client-uuid': ['U-1'],
    });
    const down = (url: URL): never => {
      throw new HttpFailure('refused', url.href, 'could not be reached');
    };
    const [A, B] = ['http://a/r', 'http://b/r'];

    /** A: the host's name, and its archive by name. B: its address, its archive by address, and another host. */
    const full = async () => {
      const { hosts, archives } = await both(
        NOTHING,
        (url) => answers(url, [record(['ps.example.org'])], [archive('https://ps.example.org/archive/')]),
        (url) =>
          answers(
            url,
            [record(['192.0.2.1']), hostRecord('192.0.2.9')],
            [archive('https://192.0.2.1/archive/')],
          ),
      );
      const met = <T>(list: T[]) => list.map((each) => ({ ...each, lastSeen: NOW }));
      return { hosts: met(hosts), archives: met(archives) };
    };
    const answers = (url: URL, hosts: Record_[], services: Record_[]) =>
      ({ host: hosts, service: services })[url.searchParams.get('type')!] ?? [];
    const both = (known: Known, a: (url: URL) => unknown, b: (url: URL) => unknown) =>
      discover({ lookupUrls: [A, B] }, known, {
        http: fakeHttp((url) => (url.hostname === 'a' ? a : b)(url)),
        now: new Date(NOW.getTime() + 1000),
        log: quietLog,
      });
    const nameOnly = (url: URL) =>
      answers(url, [record(['ps.example.org'])], [archive('https://ps.example.org/archive/')]);
    const answered = new Map([
      [A, NOW],
      [B, NOW],
    ]);

    it('takes nothing from what others still tell of; what it alone told is not met', async () => {
      const known = await full();
      expect(known.hosts.map(({ key }) => key)).toEqual(['192.0.2.9', 'ps.example.org']);
      const { hosts, archives } = await both({ ...known, answered }, nameOnly, down);
      expect(hosts).toMatchObject([
        { key: 'ps.example.org', names: ['ps.example.org'], addresses: ['192.0.2.1'] },
      ]);
      expect(archives).toHaveLength(1);
      expect(archives[0]!.urls).toEqual(['https://ps.example.org/archive/', 'https://192.0.2.1/archive/']);
    });

    it('is forgotten where it did not answer for long, or no more told of the host when it did', async () => {
      const known = await full();
      const bare = [{ names: ['ps.example.org'], addresses: [] }];
      const long = await both({ ...known, answered: new Map([[A, NOW]]) }, nameOnly, down);
      expect(long.hosts).toMatchObject(bare);
      const later = new Map([...answered, [B, new Date(NOW.getTime() + 1)]]);
      expect((await both({ ...known, answered: later }, nameOnly, down)).hosts).toMatchObject(bare);
    });

    it('one that answers without a host has the last word', async () => {
      const known = await full();
      const { hosts } = await both({ ...known, answered }, nameOnly, () => []);
      expect(hosts).toMatchObject([{ names: ['ps.example.org'], addresses: [] }]);
    });
  });

  it('ends with the signal’s reason, whatever source is being asked', async () => {
    const signal = AbortSignal.abort(new Error('shutdown'));
    const http = lookupServers({}, []);
    const sources = {
      bootstrapUrls: [BOOTSTRAP],
      lookupUrls: ['http://a/lookup/records'],
      searchUrls: ['http://a/lookup/_search'],
      psconfigUrls: ['http://a/pub/config'],
    };
    const deps = { http, now: NOW, log: quietLog, signal };
    await expect(discover(sources, NOTHING, deps)).rejects.toThrow('shutdown');
  });

  it('a source that is left out is not asked', async () => {
    const http = lookupServers({}, []);
    expect(await discover({}, NOTHING, { http, now: NOW, log: quietLog })).toEqual({
      hosts: [],
      archives: [],
      expected: [],
      sources: [],
    });
    expect(http.asked).toEqual([]);
  });
});
