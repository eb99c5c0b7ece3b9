import { archivesByHost, type Member, type Mesh, type MeshTask, meshesOf, pairsOf } from './meshes.ts';
import type { Archive, Host, Json, Model } from './model.ts';
import { ARCHIVE_PATH, type Reply } from './query.ts';
import type { Ports } from './records.ts';
import type { NodeRequest } from './servers.ts';

/**
 * A pSConfig server: `/pub/config` lists the meshes (one of them gone), `/pub/config/<mesh>` is a template,
 * `?format=meshconfig` the same in the form of before 2018, `/pub/auto/<host>` lists a host's own meshes.
 */
export function psconfigServer(model: Model, ports: Ports): (request: NodeRequest) => Reply {
  // Made when somebody asks: most worlds are never asked.
  let made: { meshes: Mesh[]; archives: Map<Host, Archive[]> } | undefined;
  return ({ path, query, origin }) => {
    made ??= { meshes: meshesOf(model), archives: archivesByHost(model) };
    const { meshes, archives } = made;
    const [root, kind, name, ...rest] = path.split('/').filter((part) => part !== '');
    if (root !== 'pub' || rest.length > 0) return notFound();
    const url = (mesh: string): string => `${origin}/pub/config/${mesh}`;
    if (kind === 'config' && name === undefined) {
      return json([{ include: [...meshes.map((mesh) => url(mesh.name)), url('gone')] }]);
    }
    if (kind === 'auto' && name !== undefined) {
      const mine = meshes.filter((mesh) =>
        mesh.members.some(
          ({ address, host }) => address === name || host?.name === name || host?.key === name,
        ),
      );
      return mine.length > 0 ? json([{ include: mine.map((mesh) => url(mesh.name)) }]) : notFound();
    }
    if (kind !== 'config') return notFound();
    if (name === 'common') return json(common(model, ports));
    const mesh = meshes.find((candidate) => candidate.name === name);
    if (!mesh) return notFound();
    switch (query.get('format') ?? 'psconfig') {
      case 'psconfig':
        return json(template(mesh, archives, ports, url('common')));
      case 'meshconfig':
        return json(meshConfig(mesh, archives, ports));
      default:
        return { status: 400, contentType: 'text/plain', body: 'format must be psconfig or meshconfig' };
    }
  };
}

// --- templates

/** What the templates include: the archives that are not a host's own. */
function common(model: Model, ports: Ports): Json {
  return {
    archives: {
      central: archiveObject(model.archives[0]!, 1, ports),
      bus: {
        archiver: 'rabbitmq',
        data: { _url: 'amqp://127.9.1.20:5672/', 'routing-key': 'perfsonar', _meta: {} },
      },
    },
  };
}

function template(mesh: Mesh, archives: Map<Host, Archive[]>, ports: Ports, commonUrl: string): Json {
  const named = new Map<Archive, string>();
  const hosts: Record<string, Json> = {};
  for (const { label, host, disabled } of mesh.members) {
    const mine = (host && archives.get(host)) ?? [];
    const names = mine.map((archive) => {
      if (archive.key === '127.9.1.10') return 'central';
      if (!named.has(archive)) named.set(archive, `host-archive${named.size}`);
      return named.get(archive)!;
    });
    hosts[label] = {
      ...(names.length > 0 && !mesh.ownArchives ? { archives: names } : {}),
      ...(disabled === 'host' ? { disabled: true } : {}),
    };
  }
  const list: Record<string, Json> = Object.fromEntries(
    [...named].map(([archive, name], i) => [name, archiveObject(archive, i, ports)]),
  );
  if (mesh.ownArchives) {
    list.own = {
      archiver: 'http',
      data: {
        schema: 2,
        _url: `https://{% scheduled_by_address %}:${ports.https}/logstash`,
        op: 'put',
        _headers: { 'x-ps-observer': '{% scheduled_by_address %}', 'content-type': 'application/json' },
      },
    };
  }
  return {
    _meta: { 'display-name': mesh.name },
    include: [commonUrl],
    archives: list,
    addresses: Object.fromEntries(mesh.members.map((member) => [member.label, addressObject(member)])),
    hosts,
    groups: Object.fromEntries(mesh.tasks.map((task) => [task.name, groupObject(task)])),
    tests: Object.fromEntries(
      mesh.tasks.map((task) => [task.name, { type: task.testType, spec: specOf(task) }]),
    ),
    schedules: Object.fromEntries(
      mesh.tasks.flatMap(({ name, intervalSeconds: seconds }) =>
        seconds === null
          ? []
          : [[name, { repeat: duration(seconds), slip: duration(seconds / 2), sliprand: true }]],
      ),
    ),
    tasks: Object.fromEntries(
      mesh.tasks.map((task) => [
        task.name,
        {
          group: task.name,
          test: task.name,
          ...(task.intervalSeconds === null ? {} : { schedule: task.name }),
          archives: mesh.ownArchives ? ['own'] : ['bus'],
          ...(task.testType === 'throughput' ? { tools: ['iperf3', 'nuttcp'] } : {}),
          ...(task.disabled ? { disabled: true } : {}),
          _meta: { 'display-name': task.name },
        },
      ]),
    ),
  };
}

function addressObject({ label, address, host, disabled }: Member): Json {
  return {
    address,
    host: label,
    ...(disabled === 'address' ? { disabled: true } : {}),
    _meta: { 'display-name': host?.site.freeTextName ?? 'former host', organization: host?.site.name ?? '' },
  };
}

/** An esmond archive has its URL; one that takes results over http has its reading side, if at all, in a `_meta`. */
function archiveObject(archive: Archive, number: number, ports: Ports): Json {
  const esmond = `https://${archive.key}:${ports.https}${ARCHIVE_PATH}`;
  if (archive.kind === 'esmond') {
    return {
      archiver: 'esmond',
      data: { url: esmond, 'measurement-agent': '{% scheduled_by_address %}', schema: 1 },
    };
  }
  const meta = { esmond_url: `${esmond}/` };
  const data = {
    schema: 2,
    _url: `https://${archive.key}:${ports.https}/logstash`,
    op: 'put',
    _headers: { 'x-ps-observer': '{% scheduled_by_address %}', 'content-type': 'application/json' },
  };
  if (number % 3 === 0) return { archiver: 'http', data: { ...data, _meta: meta } };
  if (number % 3 === 1) return { archiver: 'http', data, _meta: meta };
  return { archiver: 'http', data };
}

function groupObject(task: MeshTask): Json {
  const names = (members: Member[]): Json => members.map(({ label }) => ({ name: label }));
  const targets = Map.groupBy(
    pairsOf(task).filter(([source, destination]) => task.excluded(source, destination)),
    ([source]) => source.label,
  );
  const excludes = [...targets].map(([source, pairs]) => ({
    'local-address': { name: source },
    'target-addresses': pairs.map(([, { label }]) => ({ name: label })),
  }));
  return {
    type: task.group,
    ...(task.group === 'disjoint'
      ? { 'a-addresses': names(task.a), 'b-addresses': names(task.b) }
      : { addresses: names(task.a) }),
    ...(excludes.length > 0 ? { excludes } : {}),
  };
}

function specOf({ testType }: MeshTask): Json {
  if (testType === 'http') return { schema: 1, host: '{% address[0] %}', url: 'https://www.example.org/' };
  const ends = { source: '{% address[0] %}', dest: '{% address[1] %}', 'ip-version': 4 };
  switch (testType) {
    case 'throughput':
      return { schema: 1, ...ends, duration: 'PT20S', omit: 'PT5S' };
    case 'latencybg':
      return { schema: 1, ...ends, 'packet-interval': 0.1, 'packet-count': 600, 'bucket-width': 0.001 };
    case 'rtt':
      return { schema: 1, ...ends, count: 10, length: 1000 };
    case 'trace':
      return { schema: 1, ...ends, 'probe-type': 'udp' };
  }
}

function duration(seconds: number): string {
  return seconds % 3600 === 0
    ? `PT${seconds / 3600}H`
    : seconds % 60 === 0
      ? `PT${seconds / 60}M`
      : `PT${seconds}S`;
}

// --- the legacy form

const LEGACY_TYPES: Record<string, string> = {
  throughput: 'perfsonarbuoy/bwctl',
  latencybg: 'perfsonarbuoy/owamp',
  rtt: 'pinger',
  trace: 'traceroute',
};

function meshConfig(mesh: Mesh, archives: Map<Host, Archive[]>, ports: Ports): Json {
  const live = mesh.members.filter(({ disabled }) => disabled === null);
  const bySite = Map.groupBy(live, ({ host }) => host?.site.name ?? 'Former sites');
  return {
    description: mesh.name,
    administrators: [],
    organizations: [...bySite].map(([site, members]) => ({
      description: site,
      sites: [
        {
          description: site,
          location: locationOf(members[0]!),
          hosts: members.map(({ address, host }) => ({
            addresses: [address],
            description: host?.site.freeTextName ?? 'former host',
            toolkit_url: `https://${address}/toolkit/`,
            measurement_archives: ((host && archives.get(host)) ?? []).flatMap((archive) =>
              Object.values(LEGACY_TYPES).map((type) => {
                const url = `https://${archive.key}:${ports.https}${ARCHIVE_PATH}/`;
                return { type, read_url: url, write_url: url };
              }),
            ),
          })),
        },
      ],
    })),
    tests: mesh.tasks.filter((task) => LEGACY_TYPES[task.testType] !== undefined).map(legacyTest),
  };
}

function legacyTest(task: MeshTask): Json {
  const addresses = (members: Member[]): string[] =>
    members.filter(({ disabled }) => disabled === null).map(({ address }) => address);
  const parameters: Record<string, Json> = {
    type: LEGACY_TYPES[task.testType]!,
    ipv4_only: 1,
    force_bidirectional: 1,
  };
  if (task.intervalSeconds !== null) parameters[intervalKey(task)] = task.intervalSeconds;
  return {
    description: task.name,
    ...(task.disabled ? { disabled: 1 } : {}),
    members:
      task.group === 'disjoint'
        ? { type: 'disjoint', a_members: addresses(task.a), b_members: addresses(task.b) }
        : { type: 'mesh', members: addresses(task.a) },
    parameters,
  };
}

function locationOf({ host }: Member): Json {
  return host ? { city: host.site.city, country: host.site.country } : {};
}

/** The three kinds of agent never agreed on a word. */
function intervalKey({ testType }: MeshTask): string {
  return testType === 'throughput' ? 'interval' : 'test_interval';
}

function json(body: Json): Reply {
  return { status: 200, contentType: 'application/json', body: JSON.stringify(body) };
}

function notFound(): Reply {
  return { status: 404, contentType: 'text/html', body: '<html><body><h1>Not Found</h1></body></html>' };
}
