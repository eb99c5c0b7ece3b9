import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import { createServer as createListener, type Server as Listener, type Socket } from 'node:net';
import { type Certificates, makeCertificates } from './certificates.ts';
import type { Reply } from './query.ts';
import type { Ports } from './records.ts';
import { hash32, unit } from './rng.ts';

/**
 * The world's sockets: one listener per address and scheme, all on the same pair of ports, all handing their
 * connections to one HTTP server. Faults and request counters live here, so that every kind of service has them.
 */

export const FAULT_KINDS = [
  'dead',
  'blackhole',
  'slow',
  'drip',
  'http500',
  'http403',
  'selfSigned',
  'truncatedJson',
  'htmlError',
  'hugeBody',
  'wrongTypes',
] as const;

/**
 * dead: connection refused. blackhole: accepts and never says a word. slow: answers after `seconds` (default 30).
 * drip: sends one byte each `seconds` (default 1). http403: on http only. htmlError: 200 with an HTML page.
 * hugeBody: a body without end. wrongTypes: JSON whose fields have the wrong types.
 */
export interface Fault {
  kind: (typeof FAULT_KINDS)[number];
  seconds?: number;
}

export type RequestKind =
  | 'bootstrap'
  | 'lookup'
  | 'metadata'
  | 'eventTypes'
  | 'data'
  | 'search'
  | 'psconfig'
  | 'pscheduler'
  | 'other';

export interface NodeRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  scheme: 'http' | 'https';
  origin: string;
  /** The Authorization header, or ''. */
  authorization: string;
  /** The If-None-Match header, or ''. */
  ifNoneMatch: string;
  /** '' where none was sent. */
  body: string;
}

/** A machine that answers HTTP. */
export interface ServerNode {
  address: string;
  certificate: 'ca' | 'selfSigned';
  /** Which methods it takes at this path; another one is 405. Default: GET alone. */
  accepts?(method: string, path: string): boolean;
  answer(request: NodeRequest): Reply | Promise<Reply>;
}

export interface RequestCounters {
  total: number;
  byKind: Record<RequestKind, number>;
  /** The most requests this host ever had in work at the same time. */
  maxConcurrent: number;
}

export interface LoggedRequest {
  host: string;
  at: Date;
  method: string;
  scheme: 'http' | 'https';
  url: string;
  kind: RequestKind;
}

interface NodeState {
  node: ServerNode;
  fault: Fault | null;
  listeners: Listener[];
  sockets: Set<Socket>;
  inFlight: number;
  counters: RequestCounters;
}

const LOG_LIMIT = 50_000;
/** A query or a task is small; who sends more is told so. */
const MAX_BODY_BYTES = 1_000_000;

export class Servers {
  readonly ports: Ports;
  readonly caPem: string;
  readonly #states: Map<string, NodeState>;
  readonly #certificates: Certificates;
  readonly #http = createServer((request, response) => this.#serve(request, response, 'http'));
  /** One per certificate. */
  readonly #secure = new Map<string, SecureServer>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #log: LoggedRequest[] = [];
  readonly #rttMs: number;
  #closed = false;

  private constructor(
    states: Map<string, NodeState>,
    certificates: Certificates,
    ports: Ports,
    rttMs: number,
  ) {
    this.#states = states;
    this.#rttMs = rttMs;
    this.#certificates = certificates;
    this.caPem = certificates.caPem;
    this.ports = ports;
  }

  /**
   * Listens on both ports of every node's address. Ports that are 0 are chosen by the kernel, the same for all.
   * `nodesFor` gets the ports, since what the services advertise carries them.
   */
  static async start(wanted: Ports, nodesFor: (ports: Ports) => ServerNode[], rttMs = 0): Promise<Servers> {
    for (let attempt = 1; ; attempt++) {
      const ports = { http: wanted.http || (await freePort()), https: wanted.https || (await freePort()) };
      const nodes = nodesFor(ports);
      const states = new Map(nodes.map((node) => [node.address, stateOf(node)]));
      const certificates = await makeCertificates([...states.keys()], new Date());
      const servers = new Servers(states, certificates, ports, rttMs);
      try {
        for (const state of states.values()) await servers.#listen(state);
        return servers;
      } catch (error) {
        await servers.close();
        const chosen = wanted.http === 0 || wanted.https === 0;
        if (!(chosen && attempt < 10 && (error as NodeJS.ErrnoException).code === 'EADDRINUSE')) throw error;
      }
    }
  }

  /** Takes effect for the next request at the latest; null ends the fault. */
  async setFault(address: string, fault: Fault | null): Promise<void> {
    const state = this.#state(address);
    const before = state.fault?.kind;
    state.fault = fault;
    const connection = (kind: string | undefined) =>
      kind === 'dead' || kind === 'blackhole' || kind === 'selfSigned';
    if (connection(before) || connection(fault?.kind)) {
      for (const socket of state.sockets) socket.destroy();
    }
    if (fault?.kind === 'dead') await closeAll(state);
    else if (state.listeners.length === 0) await this.#listen(state);
  }

  /** The fault now in force; null where there is none. */
  fault(address: string): Fault | null {
    return this.#state(address).fault;
  }

  counters(address: string): RequestCounters {
    return structuredClone(this.#state(address).counters);
  }

  /** The latest requests, oldest first; at most 50,000. */
  log(): readonly LoggedRequest[] {
    return this.#log;
  }

  resetCounters(): void {
    this.#log.length = 0;
    for (const state of this.#states.values()) state.counters = noRequests();
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all(
      [...this.#states.values()].map((state) => {
        for (const socket of state.sockets) socket.destroy();
        return closeAll(state);
      }),
    );
  }

  #state(address: string): NodeState {
    const state = this.#states.get(address);
    if (!state) throw new RangeError(`the world has no host with address ${address}`);
    return state;
  }

  async #listen(state: NodeState): Promise<void> {
    for (const scheme of ['http', 'https'] as const) {
      const listener = createListener((socket) => void this.#connected(state, socket, scheme));
      await new Promise<void>((resolve, reject) => {
        listener.once('error', reject);
        listener.listen(this.ports[scheme], state.node.address, () => resolve());
      });
      state.listeners.push(listener);
    }
  }

  async #connected(state: NodeState, socket: Socket, scheme: 'http' | 'https'): Promise<void> {
    state.sockets.add(socket);
    socket.once('close', () => state.sockets.delete(socket));
    // A client may hang up at any time; that is its right.
    socket.on('error', () => socket.destroy());
    if (state.fault?.kind === 'blackhole') {
      // Read and forget, so that a client that gives up is noticed.
      socket.resume();
      return;
    }
    await this.#travel(state, scheme === 'http' ? 1 : 2);
    if (socket.destroyed) return;
    if (scheme === 'http') {
      this.#http.emit('connection', socket);
      return;
    }
    const kind = state.fault?.kind === 'selfSigned' ? 'selfSigned' : state.node.certificate;
    const pair = await this.#certificates.of(state.node.address, kind);
    let server = this.#secure.get(pair.cert);
    if (!server) {
      server = createSecureServer(pair, (request, response) => this.#serve(request, response, 'https'));
      this.#secure.set(pair.cert, server);
    }
    server.emit('connection', socket);
  }

  #serve(message: IncomingMessage, response: ServerResponse, scheme: 'http' | 'https'): void {
    const address = message.socket.localAddress ?? '';
    const state = this.#states.get(address);
    if (!state) {
      response.destroy();
      return;
    }
    const request = parse(message, scheme, `${address}:${this.ports[scheme]}`);
    if (!request) {
      send(response, { status: 400, contentType: 'text/plain', body: 'Bad request' });
      return;
    }
    const kind = kindOf(request.path);
    state.counters.total++;
    state.counters.byKind[kind]++;
    state.inFlight++;
    state.counters.maxConcurrent = Math.max(state.counters.maxConcurrent, state.inFlight);
    response.once('close', () => state.inFlight--);
    if (this.#log.length >= LOG_LIMIT) this.#log.splice(0, LOG_LIMIT / 2);
    const { method } = request;
    this.#log.push({ host: address, at: new Date(), method, scheme, url: message.url ?? '/', kind });
    const accepts = state.node.accepts?.(method, request.path) ?? method === 'GET';
    if (!accepts) {
      send(response, { status: 405, contentType: 'text/plain', body: 'Method not allowed' });
      return;
    }
    readBody(message, (body) => {
      if (body === null) {
        send(response, { status: 413, contentType: 'text/plain', body: 'Request entity too large' });
      } else void this.#answer(state, { ...request, body }, kind, response);
    });
  }

  async #answer(
    state: NodeState,
    request: NodeRequest,
    kind: RequestKind,
    response: ServerResponse,
  ): Promise<void> {
    const { fault } = state;
    await this.#travel(state, 1);
    if (fault?.kind === 'hugeBody') {
      endless(response);
      return;
    }
    const reply = (fault && falseReply(fault, request, kind)) ?? (await state.node.answer(request));
    if (fault?.kind === 'slow') this.#later(fault.seconds ?? 30, () => send(response, reply));
    else if (fault?.kind === 'drip') this.#drip(response, reply, fault.seconds ?? 1);
    else if (fault?.kind === 'truncatedJson') {
      send(response, { ...reply, body: reply.body.slice(0, Math.floor(reply.body.length / 2)) });
    } else send(response, reply);
  }

  /** So many round trips to the host. */
  async #travel(state: NodeState, trips: number): Promise<void> {
    if (this.#rttMs === 0) return;
    const rttMs = this.#rttMs * (0.5 + unit(hash32(state.node.address), 1));
    await new Promise<void>((resolve) => this.#later((trips * rttMs) / 1000, resolve));
  }

  #later(seconds: number, action: () => void): void {
    if (this.#closed) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, seconds * 1000);
    this.#timers.add(timer);
  }

  #drip(response: ServerResponse, reply: Reply, seconds: number): void {
    const bytes = Buffer.from(reply.body);
    response.writeHead(reply.status, { 'content-type': reply.contentType, 'content-length': bytes.length });
    response.flushHeaders();
    let sent = 0;
    const next = (): void => {
      if (response.destroyed) return;
      response.write(bytes.subarray(sent, ++sent));
      if (sent >= bytes.length) response.end();
      else this.#later(seconds, next);
    };
    if (bytes.length === 0) response.end();
    else next();
  }
}

function stateOf(node: ServerNode): NodeState {
  return { node, fault: null, listeners: [], sockets: new Set(), inFlight: 0, counters: noRequests() };
}

function noRequests(): RequestCounters {
  const byKind = {
    bootstrap: 0,
    lookup: 0,
    metadata: 0,
    eventTypes: 0,
    data: 0,
    search: 0,
    psconfig: 0,
    pscheduler: 0,
    other: 0,
  };
  return { total: 0, byKind, maxConcurrent: 0 };
}

async function closeAll(state: NodeState): Promise<void> {
  const listeners = state.listeners.splice(0);
  await Promise.all(listeners.map((l) => new Promise<void>((resolve) => l.close(() => resolve()))));
}

async function freePort(): Promise<number> {
  const listener = createListener();
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(0, '127.9.0.1', () => resolve());
  });
  const bound = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  if (bound === null || typeof bound === 'string') throw new Error('no TCP port on 127.9.0.1');
  return bound.port;
}

function kindOf(path: string): RequestKind {
  if (path.endsWith('/activehosts.json')) return 'bootstrap';
  if (path.startsWith('/lookup/')) return 'lookup';
  if (path.startsWith('/pub/')) return 'psconfig';
  if (path.startsWith('/pscheduler')) return 'pscheduler';
  if (path.startsWith('/opensearch/') || path.endsWith('/_search')) return 'search';
  const archive = /^\/esmond\/perfsonar\/archive(.*)$/.exec(path);
  if (!archive) return 'other';
  const depth = archive[1]!.split('/').filter((part) => part !== '').length;
  return depth <= 1 ? 'metadata' : depth === 2 ? 'eventTypes' : 'data';
}

/** Calls back at once where no body was announced, and with null where it is too long. */
function readBody(message: IncomingMessage, done: (body: string | null) => void): void {
  const { headers } = message;
  if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) {
    done('');
    return;
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  message.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
  });
  message.once('end', () => done(bytes > MAX_BODY_BYTES ? null : Buffer.concat(chunks).toString('utf8')));
}

function send(response: ServerResponse, reply: Reply): void {
  response.writeHead(reply.status, {
    ...reply.headers,
    'content-type': reply.contentType,
    'content-length': Buffer.byteLength(reply.body),
  });
  response.end(reply.body);
}

function page(status: number, title: string): Reply {
  const body = `<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">\n<html><head>\n<title>${title}</title>\n</head><body>\n<h1>${title}</h1>\n</body></html>\n`;
  return { status, contentType: 'text/html; charset=iso-8859-1', body };
}

/** Null where the request line or the Host header is no URL. */
function parse(message: IncomingMessage, scheme: 'http' | 'https', self: string): NodeRequest | null {
  const origin = `${scheme}://${message.headers.host ?? self}`;
  const url = URL.parse(message.url ?? '/', origin);
  try {
    return (
      url && {
        method: message.method ?? 'GET',
        path: decodeURI(url.pathname),
        query: url.searchParams,
        scheme,
        origin,
        authorization: message.headers.authorization ?? '',
        ifNoneMatch: message.headers['if-none-match'] ?? '',
        body: '',
      }
    );
  } catch {
    return null;
  }
}

/** What a faulty host says instead of its answer; null where it does answer. */
function falseReply(fault: Fault, request: NodeRequest, kind: RequestKind): Reply | null {
  if (fault.kind === 'http500') return page(500, 'Internal Server Error');
  if (fault.kind === 'htmlError') return page(200, 'Database connection failed');
  if (fault.kind === 'http403' && request.scheme === 'http') return page(403, 'Forbidden');
  if (fault.kind === 'wrongTypes') {
    const body = request.path.endsWith('/_search') ? WRONG_TYPES.search : WRONG_TYPES[kind];
    return { status: 200, contentType: 'application/json', body };
  }
  return null;
}

/** Opens an array and never closes it; stops when the client does. */
function endless(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  const chunk = '{"ts":1500000000,"val":0},'.repeat(2500);
  const pump = (): void => {
    while (!response.destroyed) {
      if (!response.write(chunk)) {
        response.once('drain', pump);
        return;
      }
    }
  };
  response.write('[');
  pump();
}

const WRONG_TYPES: Record<RequestKind, string> = {
  bootstrap: '{"hosts":{"locator":7}}',
  lookup: '[{"type":"host","uri":["lookup/host/1"],"expires":17,"host-name":{"a":1}},null,"x"]',
  metadata:
    '[{"metadata-key":17,"source":null,"destination":["127.0.0.1"],"event-types":"throughput","metadata-count-total":"many"}]',
  eventTypes: '{"event-types":0}',
  data: '[{"ts":"yesterday","val":[{"x":null}]},{"val":1},3]',
  search:
    '{"took":"1","hits":{"total":5,"hits":[{"_id":1,"_source":{"type":7,"uri":["x"],"@timestamp":{},"test":"rtt","result":[],"pscheduler":null},"sort":"now"},null,{"_source":"x"}]}}',
  psconfig:
    '{"include":{"a":1},"addresses":["x"],"groups":{"g":{"type":7,"addresses":{"a":{}}}},"tasks":[{"group":1}],"archives":{"a":"esmond"}}',
  pscheduler: '{"task":["x"],"state":7,"result":"fast","href":null}',
  other: '[]',
};
