import { describe, expect, it } from 'vitest';
import type { Archive, SeriesRead } from '../../../src/domain.ts';
import { type HarvestEvent, harvest } from '../../../src/spider/harvest.ts';
import { HttpFailure } from '../../../src/spider/http.ts';
import {
  ARCHIVE,
  AS_READ,
  type FakeHttp,
  fakeHttp,
  HARVEST,
  harvestOne,
  isMetadataCall,
  metadataElement,
  NoSearches,
  quietLog,
  seconds,
} from './helpers.ts';

const NOW = new Date('2026-03-01T12:00:00Z');
const now = seconds(NOW);

const points = [{ ts: now - 60, val: 1e6 }];
const tests = (count: number) =>
  Array.from({ length: count }, (_, index) =>
    metadataElement('esmond', `key-${index}`, [{ name: 'throughput' }]),
  );
/** 4,000 points of the last hour and a bit. */
const manyPoints = Array.from({ length: 4000 }, (_, index) => ({ ts: now - 4000 + index, val: 1 }));
const fail = (fault: HttpFailure['fault'], url: URL) => new HttpFailure(fault, url.href, 'failed');

const archive = (host: string, urls = [`https://${host}/archive/`]): Archive => ({
  key: host,
  urls,
  sources: [],
});

function start(
  http: FakeHttp,
  archives: Archive[],
  more: { signal?: AbortSignal; archiveTimeoutSeconds?: number } = {},
) {
  return harvest(
    archives,
    { ...HARVEST, ...more },
    {
      http,
      now: NOW,
      ...AS_READ,
      log: quietLog,
      checkpoints: async () => new Map(),
      closedSearches: new NoSearches(),
      ...(more.signal && { signal: more.signal }),
    },
  );
}

async function collect(events: AsyncIterable<HarvestEvent<SeriesRead>>) {
  const all: HarvestEvent<SeriesRead>[] = [];
  for await (const event of events) all.push(event);
  const reports = all.flatMap((event) => (event.type === 'report' ? [event.report] : []));
  const samples = all
    .flatMap((event) => (event.type === 'reads' ? event.reads : []))
    .flatMap((read) => read.samples);
  return { all, samples, report: (key: string) => reports.find(({ archiveKey }) => archiveKey === key)! };
}

const forever = (signal?: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });

describe('which URL and which kind', () => {
  const urls = ['https://ps.example.org/archive/', 'http://ps.example.org/archive/'];

  it.each(['refused', 'forbidden', 'timeout', 'not-json'] as const)(
    'http where https is %s',
    async (fault) => {
      const http = fakeHttp((url) => {
        if (url.protocol === 'https:') throw fail(fault, url);
        return isMetadataCall(url) ? tests(1) : points;
      });
      const { report } = await harvestOne(http, NOW, { archive: archive('ps', urls) });
      expect(report).toMatchObject({ outcome: 'ok', url: urls[1], kind: 'esmond', samplesRead: 1 });
    },
  );

  it('never http where the certificate is refused', async () => {
    const http = fakeHttp((url) => {
      if (url.protocol === 'https:') throw fail('certificate', url);
      return [];
    });
    const { report } = await harvestOne(http, NOW, { archive: archive('ps', urls) });
    expect(report).toMatchObject({ outcome: 'failed', fault: 'certificate' });
    const known = { ...archive('ps', urls), kind: 'esmond' as const };
    const again = await harvestOne(http, NOW, { archive: known });
    expect(again.report).toMatchObject({ outcome: 'failed', fault: 'certificate', requests: 1 });
  });

  it('of several failures the one that says most is reported', async () => {
    const http = fakeHttp((url) => {
      throw fail(url.protocol === 'https:' ? 'refused' : 'forbidden', url);
    });
    const { report } = await harvestOne(http, NOW, { archive: archive('ps', urls) });
    expect(report).toMatchObject({ outcome: 'failed', fault: 'forbidden', seriesRead: 0 });
    expect(report).not.toHaveProperty('url');
  });

  it('an empty list is an archive without news; the kind found before stays', async () => {
    const { report } = await harvestOne(
      fakeHttp(() => []),
      NOW,
      { archive: { ...ARCHIVE, kind: 'elmond' } },
    );
    expect(report).toMatchObject({ outcome: 'ok', kind: 'elmond', requests: 1 });
  });

  it.each([
    [{ hits: [] }, 'unknown-archive'],
    [[{ some: 'thing' }], 'unknown-archive'],
    [[{ 'metadata-key': 5, 'event-types': 'none' }], 'bad-data'],
  ])('%j is %s', async (answer, fault) => {
    const { report } = await harvestOne(
      fakeHttp(() => answer),
      NOW,
    );
    expect(report).toMatchObject({ outcome: 'failed', fault });
  });
});

describe('one archive among others', () => {
  it('a bad one does not stop the others', async () => {
    const http = fakeHttp((url) => {
      if (url.hostname === 'bad') throw fail('http-error', url);
      if (url.hostname === 'broken') throw new TypeError('a bug in a driver');
      return isMetadataCall(url) ? tests(2) : points;
    });
    const { report } = await collect(start(http, [archive('bad'), archive('broken'), archive('good')]));
    expect(report('bad')).toMatchObject({ outcome: 'failed', fault: 'http-error' });
    expect(report('broken')).toMatchObject({ outcome: 'failed', fault: 'bad-data' });
    expect(report('good')).toMatchObject({ outcome: 'ok', seriesRead: 2 });
  });

  it('one that takes too long is partial, and what was read is kept', async () => {
    const http = fakeHttp((url, signal) => {
      if (isMetadataCall(url)) return tests(10);
      return url.pathname.includes('key-7') ? forever(signal) : points;
    });
    const { report, samples } = await collect(start(http, [archive('slow')], { archiveTimeoutSeconds: 0.5 }));
    expect(report('slow')).toMatchObject({ outcome: 'partial', fault: 'timeout' });
    expect(report('slow').message).toBe('https://slow/archive/: was not done within 0.5 s');
    expect(samples.length).toBeGreaterThanOrEqual(7);
    expect(report('slow').samplesRead).toBe(samples.length);
  });

  it('what was read least far comes first, so that no series starves in an archive that is never done', async () => {
    const http = fakeHttp((url) => (isMetadataCall(url) ? tests(4) : points));
    const minutesAgo = (minutes: number) => new Date(NOW.getTime() - 60_000 * minutes);
    const checkpoints = new Map([
      ['key-0/throughputMbps', minutesAgo(5)],
      ['key-1/throughputMbps', minutesAgo(90)],
      ['key-3/throughputMbps', minutesAgo(30)],
    ]);
    await harvestOne(http, NOW, { checkpoints });
    const order = http.asked.slice(1).map(({ pathname }) => /key-\d/.exec(pathname)?.[0]);
    expect(order).toEqual(['key-2', 'key-1', 'key-3', 'key-0']);
  });

  it('time in which the consumer lets it wait does not count', async () => {
    const http = fakeHttp((url) => (isMetadataCall(url) ? tests(15) : manyPoints));
    const reports: HarvestEvent<SeriesRead>[] = [];
    for await (const event of start(http, [archive('a')], { archiveTimeoutSeconds: 0.5 })) {
      await new Promise((resolve) => setTimeout(resolve, 80));
      if (event.type === 'report') reports.push(event);
    }
    expect(reports).toMatchObject([{ report: { outcome: 'ok', samplesRead: 60_000 } }]);
  });

  it('a consumer that stands still stops the harvest, after a bounded number of requests', async () => {
    const http = fakeHttp((url) => (isMetadataCall(url) ? tests(200) : manyPoints));
    const events = start(http, [archive('a')]);
    await events.next();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const asked = http.asked.length;
    expect(asked).toBeLessThan(40);
    // Leaving early ends the rest.
    await events.return(undefined);
    expect(http.asked.length).toBeLessThan(asked + 5);
  });

  it('when the harvest is stopped, what was read is handed out and the rest reported', async () => {
    const stop = new AbortController();
    const http = fakeHttp((url, signal) => {
      if (url.hostname !== 'first') return forever(signal);
      return isMetadataCall(url) ? tests(1) : points;
    });
    setTimeout(() => stop.abort(), 100);
    const archives = [
      archive('first'),
      ...Array.from({ length: 8 }, (_, index) => archive(`hangs-${index}`)),
    ];
    const { report, samples } = await collect(start(http, archives, { signal: stop.signal }));
    expect(samples).toHaveLength(1);
    expect(report('first')).toMatchObject({ outcome: 'ok' });
    for (let index = 0; index < 8; index++)
      expect(report(`hangs-${index}`)).toMatchObject({ outcome: 'failed', fault: 'timeout' });
  });

  it('a store that fails ends the harvest with its error', async () => {
    const events = harvest([archive('a')], HARVEST, {
      http: fakeHttp(() => []),
      now: NOW,
      ...AS_READ,
      log: quietLog,
      checkpoints: () => Promise.reject(new Error('the store is gone')),
    });
    await expect(collect(events)).rejects.toThrow('the store is gone');
  });

  it('no more requests at once to an archive than allowed', async () => {
    let running = 0;
    let most = 0;
    const http = fakeHttp(async (url) => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 2));
      running -= 1;
      return isMetadataCall(url) ? tests(20) : points;
    });
    await collect(start(http, [archive('a')]));
    expect(most).toBe(2);
  });

  it('only the metrics that are wanted are asked for', async () => {
    const http = fakeHttp((url) =>
      isMetadataCall(url)
        ? [metadataElement('esmond', 'k', [{ name: 'throughput' }, { name: 'packet-retransmits' }])]
        : points,
    );
    const { reads } = await harvestOne(http, NOW, { options: { metrics: ['retransmits'] } });
    expect(reads.map(({ series }) => series.metric)).toEqual(['retransmits']);
    expect(http.asked).toHaveLength(2);
  });
});
