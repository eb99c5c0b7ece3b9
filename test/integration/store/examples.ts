/** Plain values of the domain's types, for tests to vary. */
import type {
  Archive,
  ArchiveReport,
  Breaker,
  BreakerTransition,
  Discovery,
  ExpectedTest,
  JudgedRead,
  MeasurementHost,
  PathEstimate,
  Sample,
  Series,
} from '../../../src/domain.ts';
import { inColumns } from '../../../src/judged.ts';

export const NOON = new Date('2026-11-21T12:00:00Z');
const MINUTE_MS = 60_000;

export function minutesBefore(minutes: number, time: Date = NOON): Date {
  return new Date(time.getTime() - minutes * MINUTE_MS);
}

export function daysBefore(days: number, time: Date = NOON): Date {
  return minutesBefore(days * 1440, time);
}

export function host(key: string, rest: Partial<MeasurementHost> = {}): MeasurementHost {
  return {
    key,
    names: [],
    addresses: [],
    clientUuids: [],
    clonedUuids: [],
    communities: [],
    domains: [],
    roles: [],
    pschedulerUrls: [],
    sources: [],
    ...rest,
  };
}

export function archive(key: string, rest: Partial<Archive> = {}): Archive {
  return { key, urls: [`https://${key}.example/esmond/perfsonar/archive/`], sources: ['seed'], ...rest };
}

export function expectedTest(template: string, rest: Partial<ExpectedTest> = {}): ExpectedTest {
  return {
    template,
    task: 'task',
    source: 'a.example',
    destination: '192.0.2.1',
    testType: 'rtt',
    origin: 'origin',
    ...rest,
  };
}

export function discovery(rest: Partial<Discovery> = {}): Discovery {
  return { hosts: [], archives: [], expected: [], sources: [], ...rest };
}

export function series(archiveKey: string, metadataKey: string, rest: Partial<Series> = {}): Series {
  return {
    archiveKey,
    metadataKey,
    metric: 'throughputMbps',
    source: '192.0.2.1',
    destination: '192.0.2.2',
    tool: 'bwctl/iperf3',
    eventType: 'throughput',
    ...rest,
  };
}

export function good(at: Date, value: number): Sample {
  return { at, value, verdict: 'good' };
}

export function read(of: Series, samples: Sample[], checkpoint: Date = NOON): JudgedRead {
  return inColumns({ series: of, samples, checkpoint });
}

export function report(archiveKey: string, rest: Partial<ArchiveReport> = {}): ArchiveReport {
  return { archiveKey, outcome: 'ok', requests: 3, seriesRead: 2, samplesRead: 10, seconds: 0.25, ...rest };
}

export function estimate(srcSite: string, dstSite: string, rest: Partial<PathEstimate> = {}): PathEstimate {
  return {
    srcSite,
    dstSite,
    metrics: {},
    quality: 0.5,
    sampleCount: 0,
    lastMeasured: NOON,
    measured: true,
    estimatedAt: NOON,
    ...rest,
  };
}

export function breaker(srcSite: string, dstSite: string, rest: Partial<Breaker> = {}): Breaker {
  return { srcSite, dstSite, policy: 'loss', state: 'CLOSED', reason: 'loss 0.0', since: NOON, ...rest };
}

export function transition(
  srcSite: string,
  dstSite: string,
  at: Date,
  rest: Partial<BreakerTransition> = {},
): BreakerTransition {
  return { srcSite, dstSite, policy: 'loss', at, from: 'CLOSED', to: 'OPEN', reason: 'loss 0.2', ...rest };
}
