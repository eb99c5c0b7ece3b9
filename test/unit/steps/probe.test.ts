import { describe, expect, test } from 'vitest';
import type { Http } from '../../../src/spider/http.ts';
import type { PathProbeResult, ProbeHost } from '../../../src/spider/probe-path.ts';
import { createProber } from '../../../src/steps/probe.ts';
import { quietLog } from '../../support/lark.ts';

const START = Date.parse('2026-03-01T12:00:00Z');
const OPTIONS = { enabled: true, everyMinutes: 30, atOnce: 2 };
const HTTP = {} as Http;
const breaker = (dstSite: string, srcSite = 'A') => ({ srcSite, dstSite, since: new Date(START) });
const host = (site: string, accessPolicy: string | null): ProbeHost => ({
  names: [`ps.${site}.example`],
  addresses: [],
  site,
  accessPolicy,
  pschedulerUrls: [],
});

/** A prober whose tests end when they are told to. */
function probing() {
  const clock = { ms: START };
  const stop = new AbortController();
  const asked: {
    path: string;
    hosts: readonly ProbeHost[];
    end: (result: PathProbeResult | Error) => void;
  }[] = [];
  const prober = createProber({
    clock: () => new Date(clock.ms),
    log: quietLog,
    signal: stop.signal,
    test: ({ source, destination }, hosts) =>
      new Promise((resolve, reject) => {
        const end = (result: PathProbeResult | Error): void =>
          result instanceof Error ? reject(result) : resolve(result);
        asked.push({ path: `${source}>${destination}`, hosts, end });
      }),
  });
  const start = (...dst: string[]) =>
    prober.start(
      dst.map((each) => breaker(each)),
      [],
      HTTP,
      OPTIONS,
    );
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { clock, stop, asked, prober, start, settle };
}

const measured = (mbps: number): PathProbeResult => ({
  outcome: 'measured',
  measurement: { type: 'throughput', throughputMbps: mbps },
  startedAt: new Date(START),
  taskUrl: 'https://ps.A.example/pscheduler/tasks/1',
  source: 'ps.A.example',
  destination: 'ps.B.example',
});

describe('tests of half-open paths', () => {
  test('a few at once, each path not more often than it may be', async () => {
    const { clock, asked, start, settle } = probing();
    start('B', 'C', 'D');
    expect(asked.map(({ path }) => path)).toEqual(['A>B', 'A>C']);
    start('B', 'C', 'D');
    expect(asked).toHaveLength(2);
    asked[0]!.end(measured(900));
    await settle();
    start('B', 'C', 'D');
    expect(asked.map(({ path }) => path)).toEqual(['A>B', 'A>C', 'A>D']);
    asked[1]!.end(measured(900));
    asked[2]!.end(measured(900));
    await settle();
    clock.ms += 29 * 60_000;
    start('B', 'C', 'D');
    expect(asked).toHaveLength(3);
    clock.ms += 60_000;
    start('B');
    expect(asked.at(-1)!.path).toBe('A>B');
  });

  test('what they measured is taken once; what failed is nothing', async () => {
    const { asked, prober, start, settle } = probing();
    start('B', 'C');
    asked[0]!.end(measured(123));
    asked[1]!.end(new Error('nobody there may be tested'));
    await settle();
    expect(prober.results()).toMatchObject([
      {
        series: {
          archiveKey: 'probe',
          metric: 'throughputMbps',
          source: 'ps.A.example',
          destination: 'ps.B.example',
        },
        samples: [{ at: new Date(START), value: 123 }],
      },
    ]);
    expect(prober.results()).toEqual([]);
  });

  test('only hosts that permit it by their registered policy', () => {
    const { asked, prober } = probing();
    const hosts = [
      host('A', 'public'),
      host('A', null),
      host('B', 'private'),
      host('B', 'research-education'),
    ];
    prober.start([breaker('B')], hosts, HTTP, OPTIONS);
    expect(asked[0]!.hosts).toEqual([hosts[0], hosts[3]]);
  });

  test('none for whole sites, none when switched off, none at the end', () => {
    const { asked, prober, stop } = probing();
    prober.start([breaker('B', '*'), breaker('*')], [], HTTP, OPTIONS);
    prober.start([breaker('B')], [], HTTP, { ...OPTIONS, enabled: false });
    stop.abort();
    prober.start([breaker('B')], [], HTTP, OPTIONS);
    expect(asked).toEqual([]);
  });
});
