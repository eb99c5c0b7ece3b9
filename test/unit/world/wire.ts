import http from 'node:http';
import https from 'node:https';
import type { World, WorldArchive } from '../../../testbed/world/world.ts';

/** Plain node http(s), so that the world is tested without any of Lark's own client code. */

export interface Answer {
  status: number;
  type: string;
  body: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at foreign JSON and assert its shape.
  json(): any;
}

export interface GetOptions {
  /** A CA to verify against; without one, certificates are not verified. */
  ca?: string;
  /** Give up after this long. */
  timeoutMs?: number;
  agent?: http.Agent;
}

export interface SendOptions extends GetOptions {
  method?: string;
  headers?: Record<string, string>;
  /** Sent as JSON. */
  body?: unknown;
}

export function get(url: string, options: GetOptions = {}): Promise<Answer> {
  return send(url, options);
}

/** A POST of JSON. */
export function post(url: string, body: unknown, options: SendOptions = {}): Promise<Answer> {
  return send(url, { method: 'POST', body, ...options });
}

export function send(url: string, options: SendOptions): Promise<Answer> {
  const { ca, timeoutMs = 10_000, method = 'GET' } = options;
  const body = options.body === undefined ? undefined : JSON.stringify(options.body);
  return new Promise((resolve, reject) => {
    const client = url.startsWith('https:') ? https : http;
    const request = client.request(
      url,
      {
        method,
        headers: {
          ...(body === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
          ...options.headers,
        },
        agent: options.agent ?? false,
        signal: AbortSignal.timeout(timeoutMs),
        ...(ca === undefined ? { rejectUnauthorized: false } : { ca }),
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          resolve({
            status: response.statusCode ?? 0,
            type: response.headers['content-type'] ?? '',
            body: text,
            json: () => JSON.parse(text),
          });
        });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

/** The archive of this kind that holds the most tests, and so all types of test; the central one does not count. */
export function richest(world: World, kind: 'esmond' | 'elmond', version?: string): WorldArchive {
  const candidates = world.archives.filter(
    (archive) =>
      archive.kind === kind &&
      (version ?? archive.version) === archive.version &&
      archive.key !== '127.9.1.10',
  );
  return candidates.toSorted((a, b) => b.testCount - a.testCount)[0]!;
}

/** A moment at which every test of the world has data, far from the real clock. */
export const NOW = new Date('2026-03-10T12:34:56Z');
export const NOW_SECONDS = Math.floor(NOW.getTime() / 1000);
