import { describe, expect, it } from 'vitest';
import { HttpFailure } from '../../../src/spider/http.ts';
import {
  type FakeEventType,
  fakeHttp,
  harvestOne,
  isMetadataCall,
  metadataElement,
  type Point,
  pointsFor,
  seconds,
} from './helpers.ts';

const NOW = new Date('2026-03-01T12:00:00Z');
const now = seconds(NOW);
const KEY = 'ab'.repeat(32);
const CHECKPOINT_KEY = `${KEY}/lossRate`;

interface Run {
  ts: number;
  /** undefined: a run without this value. */
  val: unknown;
}

/** Answers as elmond does: only /base/0, HTML 404 for the rest, `limit` counts runs and ends at 10,000. */
function archive(eventTypes: FakeEventType[], runs: Record<string, Run[]>) {
  return fakeHttp((url) => {
    if (isMetadataCall(url)) return [metadataElement('elmond', KEY, eventTypes)];
    const path = url.pathname.split(`${KEY}/`)[1] ?? '';
    if (!/^[^/]+\/[^/]+\/\d+$/.test(path)) throw new HttpFailure('http-error', url.href, 'answered 404', 404);
    const limit = Number(url.searchParams.get('limit') ?? 1000);
    const offset = Number(url.searchParams.get('offset') ?? 0);
    if (limit > 10_000) throw new HttpFailure('http-error', url.href, 'answered 400', 400);
    if (offset + limit > 10_000) throw new HttpFailure('http-error', url.href, 'answered 500', 500);
    return pointsFor(url, (runs[path] ?? []) as Point[]).filter(({ val }) => val !== undefined);
  });
}

const LOSS = [{ name: 'packet-loss-rate' }];
const dataCalls = (http: { asked: URL[] }) => http.asked.filter((url) => !isMetadataCall(url));

describe('what differs from esmond', () => {
  it('is told apart by /base/0, also where another kind was remembered', async () => {
    const http = archive(LOSS, { 'packet-loss-rate/base/0': [{ ts: now - 60, val: 0.25 }] });
    const archiveBefore = {
      key: 'archive',
      urls: ['https://archive.example.org/archive/'],
      kind: 'esmond' as const,
      sources: [],
    };
    const { report, reads } = await harvestOne(http, NOW, { archive: archiveBefore });
    expect(report).toMatchObject({ outcome: 'ok', kind: 'elmond', requests: 2 });
    expect(reads[0]!.samples).toEqual([{ at: new Date((now - 60) * 1000), value: 0.25 }]);
  });

  it('an advertised type without data is no error, and makes no series', async () => {
    const { report, reads } = await harvestOne(archive(LOSS, {}), NOW);
    expect(report).toMatchObject({ outcome: 'ok', requests: 2, seriesRead: 1, samplesRead: 0 });
    expect(reads).toEqual([]);
  });

  it('round trips: the mean, since there is no median; statistics, since base is always empty', async () => {
    const http = archive([{ name: 'histogram-rtt', summaries: ['statistics/0', 'statistics/300'] }], {
      'histogram-rtt/statistics/0': [
        { ts: now - 60, val: { minimum: 0.7, mean: 0.9, maximum: 1.3, median: null, mode: null } },
        { ts: now - 30, val: { minimum: null, mean: null, maximum: null, median: null } },
      ],
    });
    const { reads } = await harvestOne(http, NOW);
    expect(reads[0]).toMatchObject({
      series: { metric: 'rttMs', eventType: 'histogram-rtt/statistics/0' },
      samples: [{ value: 0.9 }, { value: null }],
    });
  });

  it('an old time-updated is no reason to leave a series out, unless it is over a day older than the checkpoint', async () => {
    const runs = { 'packet-loss-rate/base/0': [{ ts: now - 60, val: 0 }] };
    const read = async (timeUpdated: number) => {
      const http = archive([{ name: 'packet-loss-rate', timeUpdated }], runs);
      const checkpoints = new Map([[CHECKPOINT_KEY, new Date((now - 300) * 1000)]]);
      return (await harvestOne(http, NOW, { checkpoints })).reads.length;
    };
    expect(await read(now - 300 - 23 * 3600)).toBe(1);
    expect(await read(now - 300 - 25 * 3600)).toBe(0);
  });

  it('time-updated does not move the checkpoint: data may come after it', async () => {
    const http = archive([{ name: 'packet-loss-rate', timeUpdated: now - 5 }], {
      'packet-loss-rate/base/0': [{ ts: now - 7200, val: 0 }],
    });
    expect((await harvestOne(http, NOW)).checkpoints.get(CHECKPOINT_KEY)).toEqual(
      new Date((now - 7200) * 1000),
    );
  });

  it('a silent series is asked over its silence, up to the lookback', async () => {
    const checkpoints = new Map([[CHECKPOINT_KEY, new Date((now - 10 * 3600) * 1000)]]);
    const quiet = archive(LOSS, {});
    const first = await harvestOne(quiet, NOW, { checkpoints });
    expect(first.reads).toEqual([]);
    expect(dataCalls(quiet)[0]!.searchParams.get('time-start')).toBe(String(now - 11 * 3600));

    const old = new Map([[CHECKPOINT_KEY, new Date((now - 40 * 3600) * 1000)]]);
    const second = await harvestOne(archive(LOSS, {}), NOW, { checkpoints: old });
    expect(second.checkpoints.get(CHECKPOINT_KEY)).toEqual(new Date((now - 24 * 3600) * 1000));
  });

  it('an answer that is short because runs gave no value is not taken for the last', async () => {
    // Every 5 s a run, each third without a value: 17,280 runs in a day, of which an answer holds 10,000.
    const runs = Array.from({ length: 17_280 }, (_, index) => ({
      ts: now - 86_400 + 5 * index,
      val: index % 3 === 0 ? undefined : index / 20_000,
    }));
    const http = archive(LOSS, { 'packet-loss-rate/base/0': runs });
    const { reads, report } = await harvestOne(http, NOW);
    expect(report.outcome).toBe('ok');
    expect(reads.flatMap(({ samples }) => samples.map(({ value }) => value))).toEqual(
      runs.flatMap(({ val }) => (val === undefined ? [] : [val])),
    );
    for (const url of dataCalls(http)) expect(url.searchParams.get('offset')).toBeNull();
  });

  it('summaries, which know no limit, end all the same', async () => {
    const start = now - 86_400;
    const points = Array.from({ length: 2880 }, (_, index) => ({
      ts: start + 300 * index,
      val: { median: 1 + index },
    }));
    const http = fakeHttp((url) =>
      isMetadataCall(url)
        ? [metadataElement('elmond', KEY, [{ name: 'histogram-owdelay', summaries: ['statistics/300'] }])]
        : points,
    );
    const { reads } = await harvestOne(http, new Date((start + 2880 * 300) * 1000), {
      options: { lookbackHours: 240, windowHours: 240 },
    });
    expect(reads.flatMap(({ samples }) => samples)).toHaveLength(2880);
    expect(dataCalls(http)).toHaveLength(2);
  });
});
