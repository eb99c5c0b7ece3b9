import { hash } from 'node:crypto';
import { baseValue, ingestMs, type View } from './events.ts';
import type { Archive, Host, Json, Model, Test, TestType } from './model.ts';
import { unauthorized } from './openSearch.ts';
import type { Reply } from './query.ts';
import { unit } from './rng.ts';
import { trace } from './routes.ts';
import {
  type FieldKind,
  type SearchDocument,
  type SearchIndex,
  search,
  searchError,
  valueAt,
} from './search.ts';
import { type Histogram, latencyRun, type Run, runs, statistics, throughputBps } from './series.ts';
import type { NodeRequest } from './servers.ts';

/**
 * The aggregated Elasticsearch of WLCG and OSG: what a collector took from all archives, in one index per kind of
 * value. Field names after sand-ci/ps-ingest's templates; no real document was ever seen. Needs a password.
 *
 * `timestamp` is the start of the run in epoch ms, and nothing says when a document came in: a late one appears with
 * an old timestamp.
 */
export interface Credentials {
  user: string;
  password: string;
}

const INDICES = ['ps_throughput', 'ps_retransmits', 'ps_packetloss', 'ps_owd', 'ps_trace'] as const;
type IndexName = (typeof INDICES)[number];

const TEST_TYPE: Record<IndexName, TestType> = {
  ps_throughput: 'throughput',
  ps_retransmits: 'throughput',
  ps_packetloss: 'latencybg',
  ps_owd: 'latencybg',
  ps_trace: 'trace',
};

export function wlcgServer(
  archives: readonly Archive[],
  credentials: Credentials,
  view: () => View,
  clock: () => Date,
): (request: NodeRequest) => Reply {
  const tests = testsOnce(archives);
  const expected = `Basic ${Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64')}`;
  return (request) => {
    if (request.authorization !== expected) return unauthorized('security');
    const [names, action, ...rest] = request.path.split('/').filter((part) => part !== '');
    if (names === undefined || action !== '_search' || rest.length > 0) {
      return searchError(405, 'method_not_allowed', `the world's WLCG server only has <index>/_search`);
    }
    const wanted = new Set<IndexName>();
    for (const name of names.split(',')) {
      const pattern = new RegExp(`^${name.replace(/[^\w*-]/g, '').replace(/\*/g, '.*')}$`);
      const found = INDICES.filter((index) => pattern.test(index));
      if (found.length === 0 && !name.includes('*')) {
        return searchError(404, 'index_not_found_exception', `no such index [${name}]`);
      }
      for (const index of found) wanted.add(index);
    }
    const nowMs = clock().getTime();
    return search(indexOf(tests, wanted, view(), nowMs), request.query, request.body, nowMs);
  };
}

/** How aggregated indices hold what nobody else can read. */
export interface Collectors extends Credentials {
  /** So many of them. */
  count: number;
  /** So many archives let none but the collectors in, each one of these. */
  archives: number;
}

/** Takes archives out of a world, here and there, and gives them to the collectors; the shared archive stays. */
export function collect(
  model: Model,
  { count, archives }: Pick<Collectors, 'count' | 'archives'>,
): { model: Model; collected: Archive[][] } {
  const [, ...own] = model.archives;
  if (archives >= own.length) throw new RangeError(`of ${own.length} archives ${archives} cannot be closed`);
  const closed = Array.from({ length: archives }, (_, i) => own[Math.floor((i * own.length) / archives)]!);
  const collected = Array.from({ length: count }, (_, i) => closed.filter((_, at) => at % count === i));
  const isOpen = (archive: Archive): boolean => !closed.includes(archive);
  return { model: { ...model, archives: model.archives.filter(isOpen) }, collected };
}

/** Every test once, whatever the number of archives that hold it. Tests that ended before pScheduler are not there. */
function testsOnce(archives: readonly Archive[]): Test[] {
  const tests = new Map<string, Test>();
  for (const archive of archives) {
    for (const test of archive.tests.values()) {
      if (!test.tool.startsWith('pscheduler/')) continue;
      tests.set(`${test.id} ${test.type} ${test.sourceAddress} ${test.destinationAddress}`, test);
    }
  }
  return [...tests.values()];
}

function indexOf(tests: Test[], names: ReadonlySet<IndexName>, view: View, nowMs: number): SearchIndex {
  let first = Number.POSITIVE_INFINITY;
  for (const test of tests) first = Math.min(first, test.startSeconds);
  return {
    kindOf,
    time: { field: 'timestamp', extent: () => ({ fromMs: first * 1000, toMs: nowMs }) },
    *documents({ fromMs, toMs }) {
      for (const test of tests) {
        const mine = [...names].filter((name) => TEST_TYPE[name] === test.type);
        if (mine.length === 0) continue;
        for (const run of runs(test, Math.ceil(fromMs / 1000), Math.floor(toMs / 1000))) {
          if (!run.succeeded || ingestMs(test, run, view) > nowMs) continue;
          for (const name of mine) {
            const values = valuesOf(name, test, run);
            if (values) yield documentOf(name, test, run, values);
          }
        }
      }
    },
  };
}

function kindOf(field: string): FieldKind | undefined {
  if (field === 'timestamp') return 'date';
  if (/^(MA|(src|dest)(_host|_site|_netsite|_VO)?|hops|route-sha1)$/.test(field)) return 'keyword';
  if (/^((src|dest)_production|ipv6|push|destination_reached|path_complete|looping)$/.test(field)) {
    return 'boolean';
  }
  return /^(throughput|retransmits|packet_loss|delay_\w+|asns|rtts|ttls|n_hops|max_rtt)$/.test(field)
    ? 'number'
    : undefined;
}

function documentOf(
  name: IndexName,
  test: Test,
  run: Run,
  values: () => Record<string, Json>,
): SearchDocument {
  const timestamp = run.ts * 1000;
  const source = (): Record<string, Json> => ({
    MA: test.sourceAddress,
    src: test.sourceAddress,
    dest: test.destinationAddress,
    ...placed('src', test.source),
    ...placed('dest', test.destination),
    ipv6: test.ipVersion === 6,
    push: true,
    timestamp,
    ...values(),
  });
  let made: Record<string, Json> | undefined;
  const whole = (): Record<string, Json> => {
    made ??= source();
    return made;
  };
  return {
    get id() {
      const topic = name.replace('ps_', '');
      return hash('sha1', `${test.sourceAddress}${test.destinationAddress}${topic}${timestamp}`);
    },
    index: name,
    get(field) {
      if (field === 'timestamp') return timestamp;
      if (field === 'src') return test.sourceAddress;
      if (field === 'dest') return test.destinationAddress;
      return valueAt(whole(), field);
    },
    source: whole,
  };
}

/** Hosts that the community's database does not know have no site. */
function placed(end: 'src' | 'dest', host: Host): Record<string, Json> {
  const { site } = host;
  return {
    [`${end}_host`]: host.dirt === 'ipOnly' ? host.address4 : host.name,
    ...(site.mapped
      ? {
          [`${end}_site`]: site.name,
          [`${end}_netsite`]: site.name,
          [`${end}_VO`]: site.index % 2 === 0 ? 'ATLAS' : 'CMS',
          [`${end}_production`]: true,
        }
      : { [`${end}_production`]: false }),
  };
}

/** What the run has for the index, or null where it has nothing. */
function valuesOf(name: IndexName, test: Test, run: Run): (() => Record<string, Json>) | null {
  const { ts } = run;
  switch (name) {
    case 'ps_throughput':
      return () => {
        const retransmits = baseValue(null, test, 'packet-retransmits', run);
        return { throughput: throughputBps(test, ts), ...(retransmits === null ? {} : { retransmits }) };
      };
    case 'ps_retransmits': {
      const retransmits = baseValue(null, test, 'packet-retransmits', run);
      return retransmits === null ? null : () => ({ retransmits });
    }
    case 'ps_packetloss':
      return () => {
        const { lost, sent } = latencyRun(test, ts);
        return { packet_loss: lost / sent };
      };
    case 'ps_owd': {
      const { histogram } = latencyRun(test, ts);
      const stats = statistics(histogram);
      if (!stats) return null;
      return () => ({
        delay_mean: stats.mean,
        delay_median: collectorsMedian(histogram),
        delay_sd: stats.standardDeviation,
      });
    }
    case 'ps_trace':
      return () => traceValues(test, ts);
  }
}

/** For an even number of packets the collector adds half of the one middle value to the other. */
export function collectorsMedian(histogram: Histogram): number {
  const count = histogram.reduce((sum, [, packets]) => sum + packets, 0);
  const at = (position: number): number => {
    let seen = 0;
    for (const [ms, packets] of histogram) {
      seen += packets;
      if (position < seen) return ms;
    }
    throw new RangeError(`a histogram of ${count} packets has no packet ${position}`);
  };
  if (count % 2 === 1) return at((count - 1) / 2);
  return at(count / 2 - 1) + at(count / 2) / 2;
}

/** Silent hops are left out, and `ttls` tells where; a hop that answered without a time has 0.0, one that is nobody's 0. */
function traceValues(test: Test, ts: number): Record<string, Json> {
  const hops = trace(test, ts);
  const answered = hops.filter((hop) => hop.ip !== null);
  const addresses = answered.map((hop) => hop.ip!);
  const rtts = answered.map((hop) => (unit(test.id ^ (0x4770 + hop.ttl), ts) < 0.03 ? 0 : hop.rttMs!));
  return {
    hops: addresses,
    asns: answered.map((hop) => hop.asn ?? 0),
    rtts,
    ttls: answered.map((hop) => hop.ttl),
    n_hops: answered.length,
    max_rtt: Math.max(0, ...rtts),
    destination_reached: addresses.at(-1) === test.destinationAddress,
    path_complete: answered.length === hops.length,
    looping: new Set(addresses).size < addresses.length,
    'route-sha1': hash('sha1', addresses.join('')),
  };
}
