import http from 'node:http';
import https from 'node:https';
import { forEachLimited, Semaphore } from '../../src/spider/limit.ts';
import type { Asked } from './world-process.ts';

/** What the spider is measured against: readers that keep nothing. */

const agents = {
  http: new http.Agent({ keepAlive: true }),
  https: new https.Agent({ keepAlive: true, rejectUnauthorized: false }),
};
const TIMEOUT_MS = 30_000;

/** Node's own client and JSON.parse. @throws for anything but 200 with JSON */
function fetchJson(method: string, url: string, body = '', authorization = ''): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const isSecure = url.startsWith('https:');
    const request = (isSecure ? https : http).request(
      url,
      {
        method,
        agent: isSecure ? agents.https : agents.http,
        timeout: TIMEOUT_MS,
        headers: {
          ...(authorization && { authorization }),
          ...(body && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('error', reject);
        response.once('end', () => {
          if (response.statusCode !== 200) return reject(new Error(`${url} answered ${response.statusCode}`));
          try {
            resolve(JSON.parse(Buffer.concat(chunks).toString()));
          } catch (error) {
            reject(error);
          }
        });
      },
    );
    request.once('timeout', () => request.destroy(new Error(`${url} took too long`)));
    request.once('error', (error) => {
      // A server may close a kept connection just as it is used again.
      if (request.reusedSocket && 'code' in error && error.code === 'ECONNRESET') {
        resolve(fetchJson(method, url, body, authorization));
      } else reject(error);
    });
    request.end(body);
  });
}

export interface Concurrency {
  all: number;
  perHost: number;
}

/** The floor: the same requests in the same order, as many at once; each body is parsed and dropped. */
export async function fetchAgain(asked: readonly Asked[], limit: Concurrency): Promise<void> {
  const slots = new Semaphore(limit.all);
  const byHost = Map.groupBy(asked, ({ host }) => host);
  await Promise.all(
    [...byHost.values()].map((requests) =>
      forEachLimited(requests, limit.perHost, async ({ method, url, body, authorization }) => {
        const release = await slots.acquire();
        try {
          await fetchJson(method, url, body, authorization);
        } finally {
          release();
        }
      }),
    ),
  );
}

interface Metadata {
  'event-types': { 'event-type': string; 'base-uri': string }[];
}

/**
 * As earlier collectors read: all metadata of an archive, then one request for each event type of each test, one
 * after the other; several archives at once. Failures are met with silence, as they met them.
 */
export async function readNaively(
  archives: readonly { urls: readonly string[] }[],
  options: { concurrency: number; fromSeconds: number; toSeconds: number; timeLimitSeconds: number },
): Promise<{ requests: number; testsRead: number; isComplete: boolean }> {
  const { fromSeconds, toSeconds } = options;
  const deadline = performance.now() + options.timeLimitSeconds * 1000;
  let requests = 0;
  let testsRead = 0;
  let isComplete = true;
  const get = async (url: string): Promise<unknown> => {
    requests++;
    return fetchJson('GET', url).catch(() => []);
  };
  await forEachLimited(archives, options.concurrency, async ({ urls }) => {
    const url = urls.find((each) => each.startsWith('https://127.'))!;
    for (let offset = 0; ; offset += PAGE) {
      const page = `time-start=${fromSeconds}&time-end=${toSeconds}&limit=${PAGE}&offset=${offset}`;
      const tests = (await get(`${url}?${page}`)) as Metadata[];
      for (const test of tests) {
        for (const type of test['event-types']) {
          if (performance.now() > deadline) {
            isComplete = false;
            return;
          }
          const data = new URL(type['base-uri'], url);
          await get(`${data.href}?time-start=${fromSeconds}&time-end=${toSeconds}`);
        }
        testsRead++;
      }
      if (tests.length < PAGE) return;
    }
  });
  return { requests, testsRead, isComplete };
}

const PAGE = 1000;
