import diagnostics from 'node:diagnostics_channel';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { TLSSocket } from 'node:tls';
import { startWorld } from '../../testbed/world/world.ts';
import { ignoreSignals, serve } from './child.ts';
import { makeUnreachable } from './unreachable.ts';

/**
 * A world of 2026 in a process of its own: the lookup service behind `_search`, OpenSearch behind a part of the
 * archives, and a tenth of the tests in aggregated indices that want a password. Its clock stands still until it is set, so that the same request gets the same body again.
 */
export interface WorldSize {
  hosts: number;
  /** With the aggregated indices among them. */
  archives: number;
  peersPerSite: number;
  /** Round-trip time in the mean. */
  rttMs: number;
  /** Epoch milliseconds. */
  startMs: number;
  /** One archive in so many is dead (every other of them refuses, the rest drops connections), and one is slow; null: all are well. */
  faultyOneIn: number | null;
  slowSeconds: number;
}

export interface Asked {
  method: string;
  url: string;
  host: string;
  /** Empty where none was sent. */
  authorization: string;
  body: string;
}

/** Of each kind of test so many have values of their own: enough for a mixture, few enough to be made in no time. */
const ARCHETYPES = 16;

const COLLECTORS = 3;
/** Of all archives the share that none but the collectors can read. */
const COLLECTED = 0.1;
const ACCOUNT = { user: 'lark', password: 'of the bench' };

ignoreSignals();
const size = JSON.parse(process.argv[2]!) as WorldSize;
let nowMs = size.startMs;
const readable = size.archives - COLLECTORS;
const collected = Math.max(COLLECTORS, Math.round((readable * COLLECTED) / (1 - COLLECTED)));
const world = await startWorld({
  hosts: size.hosts,
  peersPerSite: size.peersPerSite,
  ownArchives: readable + collected,
  archetypes: ARCHETYPES,
  rttMs: size.rttMs,
  clock: () => new Date(nowMs),
  lookupForms: ['elasticsearch'],
  openSearch: 'mixed',
  collectors: { ...ACCOUNT, count: COLLECTORS, archives: collected },
});

// The shared one stands empty.
const listed = world.archives.slice(1);
const faults = { refusing: [] as string[], unreachable: [] as string[], slow: [] as string[] };
if (size.faultyOneIn !== null) {
  for (const [i, { key }] of listed.entries()) {
    const turn = i % (2 * size.faultyOneIn);
    if (turn === 3) faults.refusing.push(key);
    else if (turn === 3 + size.faultyOneIn) faults.unreachable.push(key);
    else if (turn % size.faultyOneIn === 7 % size.faultyOneIn) faults.slow.push(key);
  }
  for (const key of [...faults.refusing, ...faults.unreachable]) await world.setFault(key, 'dead');
  const ports = [world.ports.http, world.ports.https];
  await makeUnreachable(faults.unreachable.flatMap((host) => ports.map((port) => ({ host, port }))));
  for (const key of faults.slow) await world.setFault(key, { kind: 'slow', seconds: size.slowSeconds });
}

/** Every request that any server of this process gets: those that were answered with 200, and how many in all. */
let asked: Asked[] = [];
let total = 0;
diagnostics.subscribe('http.server.request.start', (message) => {
  const { request, response } = message as { request: IncomingMessage; response: ServerResponse };
  total++;
  const { socket, method = 'GET', url = '/' } = request;
  const scheme = socket instanceof TLSSocket ? 'https' : 'http';
  const host = socket.localAddress ?? '';
  const port = request.headers.host?.split(':').at(-1);
  const chunks: Buffer[] = [];
  if (method === 'POST') request.on('data', (chunk: Buffer) => chunks.push(chunk));
  response.once('finish', () => {
    if (response.statusCode !== 200) return;
    const body = Buffer.concat(chunks).toString();
    const { authorization = '' } = request.headers;
    asked.push({ method, url: `${scheme}://${host}:${port}${url}`, host, authorization, body });
  });
});

const handlers = {
  describe: () => ({
    searchUrl: world.searchLookup!.url,
    sitesYaml: world.sitesYaml(),
    archives: listed.map(({ key, kind, urls, testCount, openSearch }) => ({
      key,
      kind,
      urls,
      testCount,
      openSearch,
    })),
    aggregates: world.collectors.map(({ url, testCount }) => ({ url, testCount, ...ACCOUNT })),
    faults,
  }),
  setClock: (ms: number) => {
    nowMs = ms;
  },
  /** Requests since the last `take`. */
  total: () => total,
  take: () => {
    const taken = { asked, total };
    asked = [];
    total = 0;
    return taken;
  },
  cpuSeconds: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  },
};
export type WorldHandlers = typeof handlers;

serve(handlers, () => world.close());
