import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { HttpFailure } from '../../../src/spider/http.ts';
import { answerSeconds } from '../../../src/spider/pace.ts';
import { longestFirst } from '../../../src/steps/harvest.ts';
import { fakeHttp } from './helpers.ts';

const archive = (key: string) => ({ key, urls: [`https://${key}.example.org/archive/`], sources: [] });

describe('archives that were never read', () => {
  it('are asked a small question, and what it took is what tells', async () => {
    const http = fakeHttp(async ({ hostname, href }, signal) => {
      if (hostname.startsWith('dead')) throw new HttpFailure('refused', href, 'could not be reached');
      if (hostname.startsWith('closed')) throw new HttpFailure('forbidden', href, 'answered 403', 403);
      await sleep(hostname.startsWith('slow') ? 300 : 0, undefined, { signal });
      return [];
    });
    const signal = new AbortController().signal;
    const archives = ['quick', 'dead', 'slow', 'closed'].map(archive);
    const seconds = await answerSeconds(archives, { http, concurrency: 4, hosts: [], signal });
    expect([...seconds.keys()].sort()).toEqual(['closed', 'quick', 'slow']);
    expect(seconds.get('slow')).toBeGreaterThan(0.25);
    expect(seconds.get('slow')).toBeGreaterThan(seconds.get('quick')!);
    expect(http.asked.map(({ search }) => search)).toEqual(Array(4).fill('?limit=1'));
  });

  it('are not waited for when the cycle ends', async () => {
    const stop = new AbortController();
    const http = fakeHttp(async (_, signal) => {
      stop.abort(new Error('shutdown'));
      await sleep(60_000, undefined, { signal });
    });
    const asked = answerSeconds([archive('silent')], {
      http,
      concurrency: 4,
      hosts: [],
      signal: stop.signal,
    });
    await expect(asked).rejects.toThrow('shutdown');
  });

  it('begin first, the slowest before the others, and before all those that say nothing', () => {
    const read = (key: string, seconds: number) => ({ key, lastReport: { seconds } });
    const unread = ['quick', 'slow', 'silent'].map((key) => ({ key }));
    const paces = new Map([
      ['quick', 0.02],
      ['slow', 0.3],
    ]);
    const order = longestFirst([read('short', 1), ...unread, read('long', 60)], paces);
    expect(order.map(({ key }) => key)).toEqual(['silent', 'slow', 'quick', 'long', 'short']);
  });
});
