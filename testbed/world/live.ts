import { createHash } from 'node:crypto';
import { lookup } from './lookup.ts';
import type { Json } from './model.ts';
import { ARCHIVE_PATH, page, Refusal, type Reply, timeWindow } from './query.ts';
import type { LookupRecord } from './records.ts';
import { type Fault, type NodeRequest, Servers } from './servers.ts';

/**
 * A perfSONAR world whose measurements are the caller's: a bootstrap document, one lookup server that knows the hosts
 * and their archive, and an esmond archive that holds what was recorded. The spider finds and reads it as any other.
 * Of esmond's filters it has those by time.
 */
export interface LiveHost {
  name: string;
  address: string;
}

export interface LiveWorld {
  bootstrapUrl: string;
  /** The archive's address: the key for setFault. */
  archiveKey: string;
  /**
   * Takes in one run of a throughput test between two of the hosts, by name. Times are kept in whole seconds, as
   * esmond does; of two runs of one test in one second the first stays.
   */
  record(from: string, to: string, mbps: number, at: Date): void;
  setFault(key: string, fault: Fault['kind'] | null): Promise<void>;
  close(): Promise<void>;
}

const BOOTSTRAP = '127.7.0.1';
const LOOKUP = '127.7.0.2';
const ARCHIVE = '127.7.0.3';
const LEASE_MS = 2 * 3_600_000;

interface LiveTest {
  key: string;
  source: LiveHost;
  destination: LiveHost;
  /** Throughput in bit/s by epoch seconds, ascending. */
  runs: Map<number, number>;
}

/** @throws {Error} from `record` for a host that is not one of these */
export async function liveWorld(hosts: readonly LiveHost[], clock = () => new Date()): Promise<LiveWorld> {
  const tests = new Map<string, LiveTest>();
  const servers = await Servers.start({ http: 0, https: 0 }, (ports) => [
    {
      address: BOOTSTRAP,
      certificate: 'selfSigned',
      answer: () =>
        json({
          hosts: [{ locator: `http://${LOOKUP}:${ports.http}/lookup/records`, priority: 1, status: 'alive' }],
        }),
    },
    {
      address: LOOKUP,
      certificate: 'selfSigned',
      answer: ({ path, query }) => {
        const archiveUrl = `http://${ARCHIVE}:${ports.http}${ARCHIVE_PATH}/`;
        return lookup(path, query, () => records(hosts, archiveUrl, clock()));
      },
    },
    {
      address: ARCHIVE,
      certificate: 'selfSigned',
      answer: (request) => archive(request, tests, Math.floor(clock().getTime() / 1000)),
    },
  ]);
  const hostNamed = (name: string): LiveHost => {
    const host = hosts.find((each) => each.name === name);
    if (!host) throw new Error(`The live world has no host "${name}"`);
    return host;
  };
  return {
    bootstrapUrl: `http://${BOOTSTRAP}:${servers.ports.http}/lookup/activehosts.json`,
    archiveKey: ARCHIVE,
    record(from, to, mbps, at) {
      const [source, destination] = [hostNamed(from), hostNamed(to)];
      const key = createHash('md5').update(`${from}>${to}`).digest('hex');
      const test = tests.get(key) ?? { key, source, destination, runs: new Map<number, number>() };
      tests.set(key, test);
      const seconds = Math.floor(at.getTime() / 1000);
      if (!test.runs.has(seconds)) test.runs.set(seconds, Math.round(mbps * 1e6));
    },
    setFault: (key, fault) => servers.setFault(key, fault && { kind: fault }),
    close: () => servers.close(),
  };
}

function records(hosts: readonly LiveHost[], archiveUrl: string, now: Date): LookupRecord[] {
  const common = (type: string, name: string): LookupRecord => ({
    type: [type],
    uri: `lookup/${type}/${name}`,
    expires: new Date(now.getTime() + LEASE_MS).toISOString(),
    state: 'renewed',
  });
  return [
    ...hosts.map(({ name, address }) => ({
      ...common('host', name),
      'host-name': [name, address],
      'pshost-toolkitversion': ['4.4.6'],
    })),
    {
      ...common('service', 'archive'),
      'service-type': ['ma'],
      'service-name': ['Measurement Archive'],
      'service-locator': [archiveUrl],
    },
  ];
}

function archive(request: NodeRequest, tests: ReadonlyMap<string, LiveTest>, nowSeconds: number): Reply {
  try {
    const { path, query } = request;
    if (!`${path}/`.startsWith(`${ARCHIVE_PATH}/`)) throw new Refusal(404, 'Not found.');
    const [key, event, ...rest] = path
      .slice(ARCHIVE_PATH.length)
      .split('/')
      .filter((part) => part !== '');
    const window = timeWindow(query, nowSeconds);
    const within = (seconds: number) =>
      seconds >= window.begin && seconds <= (window.end ?? Number.POSITIVE_INFINITY);
    const offset = Number(query.get('offset') ?? 0);
    const limit = Number(query.get('limit') ?? 1000);
    if (key === undefined) {
      const found = [...tests.values()].filter((test) => !window.given || within(newestOf(test)));
      const elements = page(found, offset, limit).map(metadata);
      if (elements[0]) elements[0]['metadata-count-total'] = found.length;
      return json(elements);
    }
    const test = tests.get(key);
    if (!test) throw new Refusal(404, 'Not found.');
    if (event === undefined) return json(metadata(test));
    if (event !== 'throughput' || rest.join('/') !== 'base') return json([]);
    const points = [...test.runs].map(([ts, val]) => ({ ts, val })).filter(({ ts }) => within(ts));
    return json(page(points, offset, limit));
  } catch (error) {
    if (error instanceof Refusal) return json({ detail: error.message }, error.status);
    throw error;
  }
}

const newestOf = ({ runs }: LiveTest): number => Math.max(...runs.keys());

function metadata(test: LiveTest): Record<string, Json> {
  const { key, source, destination } = test;
  const uri = `${ARCHIVE_PATH}/${key}/`;
  return {
    uri,
    'metadata-key': key,
    'subject-type': 'point-to-point',
    source: source.address,
    destination: destination.address,
    'measurement-agent': source.address,
    'input-source': source.name,
    'input-destination': destination.name,
    'tool-name': 'pscheduler/iperf3',
    'pscheduler-test-type': 'throughput',
    'ip-transport-protocol': 'tcp',
    'event-types': [
      {
        'event-type': 'throughput',
        'base-uri': `${uri}throughput/base`,
        'time-updated': newestOf(test),
        summaries: [],
      },
    ],
  };
}

function json(body: Json, status = 200): Reply {
  return { status, contentType: 'application/json', body: JSON.stringify(body) };
}
