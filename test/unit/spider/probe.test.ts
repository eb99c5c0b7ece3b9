import { describe, expect, it } from 'vitest';
import type { Archive, Fault } from '../../../src/domain.ts';
import { ClosedSearches } from '../../../src/spider/closed-searches.ts';
import { ConnectTimeout, HttpFailure } from '../../../src/spider/http.ts';
import { ARCHIVE, fakeHttp, harvestOne, isMetadataCall, metadataElement } from './helpers.ts';

const NOW = new Date('2026-08-01T12:00:00Z');
const hoursLater = (hours: number) => new Date(NOW.getTime() + hours * 3_600_000);
const tests = [metadataElement('elmond', 'k', [{ name: 'throughput' }])];
const noHits = { hits: { hits: [] } };
const isSearch = (url: URL) => url.pathname === '/opensearch/pscheduler/_search';
/** An archive whose search answers as given, and whose elmond is well. */
const elmondWith = (search: (url: URL) => unknown) =>
  fakeHttp((url) => {
    if (isSearch(url)) return search(url);
    return isMetadataCall(url) ? tests : [];
  });
const failWith = (fault: Fault, status?: number) => (url: URL) => {
  throw new HttpFailure(fault, url.href, 'failed', status);
};
const urls = ['https://ps.example.org/archive/', 'http://ps.example.org/archive/'];
const archive = (more: Partial<Archive> & { consecutiveFailures?: number } = {}): Archive => ({
  key: 'ps',
  urls,
  sources: [],
  ...more,
});

describe('OpenSearch or elmond', () => {
  it('an open search is read, and the probe is its first page', async () => {
    const http = elmondWith(() => noHits);
    const { report } = await harvestOne(http, NOW, { closedSearches: new ClosedSearches() });
    expect(report).toMatchObject({ outcome: 'ok', kind: 'opensearch', requests: 1 });
  });

  it.each<[string, (url: URL) => unknown]>([
    ['401', failWith('forbidden', 401)],
    ['403', failWith('forbidden', 403)],
    ['404', failWith('http-error', 404)],
    ['405', failWith('http-error', 405)],
    ['500', failWith('http-error', 500)],
    ['HTML', failWith('not-json')],
    ['something else', () => [{ some: 'thing' }]],
    ['nothing in time', failWith('timeout')],
    ['a part of the shards', () => ({ ...noHits, _shards: { failed: 1 } })],
  ])(
    'where it answers %s, its elmond is read in the same harvest, also where it was open before',
    async (_, search) => {
      for (const kind of ['opensearch', 'elmond', undefined] as const) {
        const { report } = await harvestOne(elmondWith(search), NOW, {
          archive: { ...ARCHIVE, ...(kind && { kind }) },
          closedSearches: new ClosedSearches(),
        });
        expect(report).toMatchObject({ outcome: 'ok', kind: 'elmond' });
        expect(report).not.toHaveProperty('fault');
      }
    },
  );

  it.each<[string, (url: URL) => unknown, number, number]>([
    ['closed for hours', failWith('forbidden', 403), 4, 8],
    ['overloaded for minutes', failWith('http-error', 503), 0.1, 0.4],
  ])('is not asked for again at every harvest, but after a while: %s', async (_, search, before, after) => {
    const closedSearches = new ClosedSearches(() => 0.5);
    const searches = async (now: Date) => {
      const http = elmondWith(search);
      await harvestOne(http, now, { closedSearches });
      return http.asked.filter(isSearch).length;
    };
    expect(await searches(NOW)).toBe(1);
    expect(await searches(hoursLater(before))).toBe(0);
    expect(await searches(hoursLater(after))).toBe(1);
  });

  it('archives that were asked together are not asked again together', () => {
    let draw = 0;
    const closed = new ClosedSearches(() => draw++ / 100);
    for (let index = 0; index < 100; index++)
      closed.add(`https://h${index}`, new HttpFailure('forbidden', 'https://h', 'answered 403', 403), NOW);
    const openAgain = (hours: number) =>
      Array.from({ length: 100 }, (_, index) => index).filter(
        (index) => !closed.has(`https://h${index}`, hoursLater(hours)),
      ).length;
    expect([openAgain(4.4), openAgain(6), openAgain(7.6)]).toEqual([0, 51, 100]);
  });

  it('is not looked for where only http is known', async () => {
    const http = elmondWith(() => noHits);
    await harvestOne(http, NOW, {
      archive: archive({ urls: [urls[1]!] }),
      closedSearches: new ClosedSearches(),
    });
    expect(http.asked.filter(isSearch)).toEqual([]);
  });
});

describe('dead hosts', () => {
  /** Every request waits until all that will come have been sent, as connections to nowhere do. */
  function blackHole() {
    const waiting: (() => void)[] = [];
    let rounds = 0;
    let timer: NodeJS.Timeout | undefined;
    const http = fakeHttp(async (url) => {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        clearTimeout(timer);
        timer = setTimeout(() => {
          rounds += 1;
          for (const end of waiting.splice(0)) end();
        }, 20);
      });
      throw new ConnectTimeout(url.href, 5);
    });
    return { http, rounds: () => rounds };
  }
  const addresses = [...urls, 'https://[2001:db8::7]/archive/', 'http://[2001:db8::7]/archive/'];

  it.each<[string, Partial<Archive> & { consecutiveFailures?: number }]>([
    ['that never answered', {}],
    ['that failed the last time', { kind: 'elmond', consecutiveFailures: 1 }],
    ['that failed, and had an open search', { kind: 'opensearch', consecutiveFailures: 3 }],
  ])('one %s costs one connect limit, whatever the number of its URLs', async (_, more) => {
    const { http, rounds } = blackHole();
    const { report } = await harvestOne(http, NOW, {
      archive: archive({ urls: addresses, ...more }),
      closedSearches: new ClosedSearches(),
    });
    expect(report).toMatchObject({ outcome: 'failed', fault: 'timeout', requests: 4 });
    expect(rounds()).toBe(1);
  });

  it('where more addresses are dead than may be asked at once, connections are tried first, and no requests', async () => {
    const { http } = blackHole();
    let tried = 0;
    const report = async (more: Partial<Archive>) => {
      const { report } = await harvestOne(
        {
          ...http,
          connectFailure: async (url) => {
            tried += 1;
            return new ConnectTimeout(url, 5);
          },
        },
        NOW,
        { archive: archive(more), closedSearches: new ClosedSearches() },
      );
      return report;
    };
    expect(await report({ urls: addresses })).toMatchObject({ fault: 'timeout', requests: 0 });
    expect(tried).toBe(4);
    // Two may be asked at once: no need.
    expect(await report({ urls: addresses.slice(0, 2) })).toMatchObject({ fault: 'timeout', requests: 2 });
    expect(tried).toBe(4);
  });

  it('one that has just died costs two', async () => {
    const { http, rounds } = blackHole();
    const { report } = await harvestOne(http, NOW, {
      archive: archive({ urls: addresses, kind: 'elmond' }),
      closedSearches: new ClosedSearches(),
    });
    expect(report).toMatchObject({ outcome: 'failed', fault: 'timeout', requests: 4 });
    expect(rounds()).toBe(2);
  });

  it('what no connection says of the search is nothing: it is asked for again', async () => {
    const closedSearches = new ClosedSearches();
    await harvestOne(blackHole().http, NOW, { archive: archive(), closedSearches });
    const http = elmondWith(() => noHits);
    const { report } = await harvestOne(http, NOW, { archive: archive(), closedSearches });
    expect(report.kind).toBe('opensearch');
  });

  it('one that lives is not asked twice at once', async () => {
    let running = 0;
    let most = 0;
    const http = fakeHttp(async (url) => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 2));
      running -= 1;
      return isSearch(url) ? undefined : [];
    });
    await harvestOne(http, NOW, {
      archive: archive({ urls: addresses, kind: 'elmond' }),
      closedSearches: new ClosedSearches(),
    });
    expect(most).toBe(1);
    expect(http.asked).toHaveLength(2);
  });

  it('https is taken where both answer, even if http is faster; the rest is given up', async () => {
    let givenUp = 0;
    const http = fakeHttp(async (url, signal) => {
      signal?.addEventListener('abort', () => {
        givenUp += 1;
      });
      if (url.hostname.includes(':')) return new Promise(() => {});
      await new Promise((resolve) => setTimeout(resolve, url.protocol === 'https:' ? 20 : 1));
      return isSearch(url) ? undefined : tests;
    });
    const { report } = await harvestOne(http, NOW, {
      archive: archive({ urls: addresses }),
      closedSearches: new ClosedSearches(),
    });
    expect(report).toMatchObject({ kind: 'elmond', url: urls[0] });
    expect(givenUp).toBeGreaterThan(1);
  });
});
