import type { Archive, Host, Model, TestType } from './model.ts';
import { hash32, unit } from './rng.ts';

/**
 * Who is supposed to measure towards whom: the meshes that the pSConfig server publishes, as a function of the model.
 * Nearly all pairs in them are measured. Some are not, and they are what silence looks like.
 */

export interface Member {
  /** What the template calls it, in `addresses` and in groups. */
  label: string;
  /** Name or IPv4 address. */
  address: string;
  /** Null: a machine that was taken away and is still in the template. */
  host: Host | null;
  /** Not tested: by its address, or by the host the address belongs to. */
  disabled: 'address' | 'host' | null;
}

export interface MeshTask {
  name: string;
  testType: TestType | 'http';
  /** mesh: all of `a` with each other. disjoint: `a` with `b`, both ways. list: each of `a` by itself. */
  group: 'mesh' | 'disjoint' | 'list';
  a: Member[];
  b: Member[];
  /** Pairs taken out of the group. */
  excluded(source: Member, destination: Member): boolean;
  intervalSeconds: number | null;
  disabled: boolean;
}

export interface Mesh {
  name: string;
  members: Member[];
  tasks: MeshTask[];
  /** Each host writes into the archive on itself, which the template names by `{% scheduled_by_address %}`. */
  ownArchives: boolean;
}

/** One test that the meshes ask for. */
export interface ExpectedPair {
  mesh: string;
  task: string;
  testType: TestType;
  /** As the template names the ends: a name or an IPv4 address. */
  source: string;
  destination: string;
  /** Keys of the world's hosts; null for a machine that is gone. */
  sourceHost: string | null;
  destinationHost: string | null;
  sourceSite: string | null;
  destinationSite: string | null;
  /** How often it is to run; null for a background test, which always runs. */
  intervalSeconds: number | null;
  /** Expected, and nobody measures it now. Only a host that stopped has measured it before. */
  silent: boolean;
}

const SITES_PER_MESH = 10;

export function meshesOf(model: Model): Mesh[] {
  const measured = measuredPairs(model, 'ever');
  const ownArchive = new Set(model.archives.map((archive) => archive.host));
  const meshes: Mesh[] = [];
  for (let first = 0; first < model.sites.length; first += SITES_PER_MESH) {
    const sites = model.sites.slice(first, first + SITES_PER_MESH);
    const hostsOf = sites.map((site) => model.hosts.filter((host) => host.site === site));
    const bandwidth = hostsOf.map((hosts) => hosts.find((host) => host.role !== 'latency')!);
    const latency = hostsOf.map((hosts) => hosts.find((host) => host.role !== 'throughput') ?? hosts[0]!);
    const number = first / SITES_PER_MESH;
    meshes.push(community(model, measured, `mesh-${number}`, bandwidth, latency));
    const owners = bandwidth.filter((host) => ownArchive.has(host));
    if (owners.length > 1) meshes.push(own(model, measured, `own-${number}`, owners));
  }
  return meshes;
}

/** What is measured, by type and keys: now, or at any time since pScheduler came. */
function measuredPairs(model: Model, when: 'now' | 'ever'): ReadonlySet<string> {
  const pairs = new Set<string>();
  for (const archive of model.archives) {
    for (const test of archive.tests.values()) {
      if (test.ipVersion !== 4 || !test.tool.startsWith('pscheduler/')) continue;
      if (when === 'ever' || test.endSeconds === Number.POSITIVE_INFINITY) {
        pairs.add(pairKey(test.type, test.source, test.destination));
      }
    }
  }
  return pairs;
}

function pairKey(type: string, source: Host, destination: Host): string {
  return `${type} ${source.key} ${destination.key}`;
}

function memberOf(host: Host): Member {
  const nameless = host.dirt === 'ipOnly' || unit(host.id, 80) < 0.2;
  const address = nameless ? host.address4 : host.name;
  return { label: address, address, host, disabled: null };
}

function community(
  model: Model,
  measured: ReadonlySet<string>,
  name: string,
  bandwidth: Host[],
  latency: Host[],
): Mesh {
  const members = new Map([...bandwidth, ...latency].map((host) => [host, memberOf(host)]));
  const { domain } = bandwidth[0]!.site;
  const gone = (what: string, disabled: Member['disabled']): Member => ({
    label: `${what}.${domain}`,
    address: `${what}.${domain}`,
    host: null,
    disabled,
  });
  const retired = gone('ps-retired', null);
  const extra = [retired, gone('ps-spare', 'address'), gone('ps-moved', 'host')];
  const bw = [...bandwidth.map((host) => members.get(host)!), ...extra];
  const lat = latency.map((host) => members.get(host)!);
  const excluded = excluder(model, measured);
  const task = (over: Partial<MeshTask> & Pick<MeshTask, 'name' | 'testType' | 'group' | 'a'>): MeshTask => ({
    b: [],
    excluded: excluded(over.testType),
    intervalSeconds: null,
    disabled: false,
    ...over,
  });
  return {
    name,
    members: [...new Set([...bw, ...lat])],
    ownArchives: false,
    tasks: [
      task({
        name: `${name}-throughput`,
        testType: 'throughput',
        group: 'mesh',
        a: bw,
        intervalSeconds: 21_600,
      }),
      task({ name: `${name}-latency`, testType: 'latencybg', group: 'mesh', a: lat }),
      task({ name: `${name}-rtt`, testType: 'rtt', group: 'mesh', a: lat, intervalSeconds: 300 }),
      task({
        name: `${name}-trace`,
        testType: 'trace',
        group: 'disjoint',
        a: bw.slice(0, 2),
        b: bw.slice(2),
        intervalSeconds: 600,
      }),
      task({ name: `${name}-web`, testType: 'http', group: 'list', a: bw, intervalSeconds: 3600 }),
      task({ name: `${name}-old`, testType: 'throughput', group: 'mesh', a: lat, disabled: true }),
    ],
  };
}

/** The same pairs once more, by address. */
function own(model: Model, measured: ReadonlySet<string>, name: string, owners: Host[]): Mesh {
  const members = owners.map(
    (host, i): Member => ({ label: `member ${i + 1}`, address: host.address4, host, disabled: null }),
  );
  return {
    name,
    members,
    ownArchives: true,
    tasks: [
      {
        name: `${name}-throughput`,
        testType: 'throughput',
        group: 'mesh',
        a: members,
        b: [],
        excluded: excluder(model, measured)('throughput'),
        intervalSeconds: 21_600,
        disabled: false,
      },
    ],
  };
}

/** Takes out what nobody measures, but for the pairs that are to be silent. */
function excluder(model: Model, measured: ReadonlySet<string>) {
  const silent = new Set(model.silent.map(({ source, destination }) => `${source} ${destination}`));
  return (type: string) =>
    ({ host: source }: Member, { host: destination }: Member): boolean => {
      if (!source || !destination || type === 'http') return false;
      if (measured.has(pairKey(type, source, destination))) return false;
      if (silent.has(`${source.site.name} ${destination.site.name}`)) return false;
      return type !== 'rtt' || unit(hash32(model.seed, source.id), destination.id) >= 0.2;
    };
}

/**
 * What a reader of the templates must find. The legacy form knows no excludes, so that there the excluded pairs are
 * expected, too, and silent.
 */
export function expectedPairs(model: Model, format: 'psconfig' | 'meshconfig'): ExpectedPair[] {
  const measured = measuredPairs(model, 'now');
  return meshesOf(model).flatMap((mesh) =>
    mesh.tasks.flatMap((task): ExpectedPair[] => {
      const { testType } = task;
      if (task.disabled || testType === 'http') return [];
      return pairsOf(task)
        .filter(([source, destination]) => !(source.disabled || destination.disabled))
        .filter(([source, destination]) => format === 'meshconfig' || !task.excluded(source, destination))
        .map(([source, destination]) => ({
          mesh: mesh.name,
          task: task.name,
          testType,
          source: source.address,
          destination: destination.address,
          sourceHost: source.host?.key ?? null,
          destinationHost: destination.host?.key ?? null,
          sourceSite: source.host?.site.name ?? null,
          destinationSite: destination.host?.site.name ?? null,
          intervalSeconds: task.intervalSeconds,
          silent:
            !source.host ||
            !destination.host ||
            !measured.has(pairKey(testType, source.host, destination.host)),
        }));
    }),
  );
}

export function pairsOf(task: MeshTask): [Member, Member][] {
  const { a, b } = task;
  if (task.group === 'list') return [];
  const pairs: [Member, Member][] = [];
  for (const one of a) {
    for (const other of task.group === 'mesh' ? a : b) {
      if (one === other) continue;
      pairs.push([one, other]);
      if (task.group === 'disjoint') pairs.push([other, one]);
    }
  }
  return pairs;
}

/** Where each host's results go. */
export function archivesByHost(model: Model): Map<Host, Archive[]> {
  const found = new Map<Host, Archive[]>();
  for (const archive of model.archives) {
    const sources = new Set([...archive.tests.values()].map((test) => test.source));
    for (const source of sources) found.set(source, [...(found.get(source) ?? []), archive]);
  }
  return found;
}
