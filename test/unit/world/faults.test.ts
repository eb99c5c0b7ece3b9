import http from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FAULT_KINDS } from '../../../testbed/world/servers.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { get, NOW } from './wire.ts';

let world: World;
let key: string;
let url: string;
let secure: string;

beforeAll(async () => {
  world = await startWorld({ hosts: 30, seed: 2, clock: () => NOW });
  const archive = world.archives.find(
    (a) => a.kind === 'esmond' && a.certificate === 'ca' && a.testCount > 0,
  )!;
  key = archive.key;
  url = `http://${key}:${world.ports.http}/esmond/perfsonar/archive/?time-range=86400`;
  secure = `https://${key}:${world.ports.https}/esmond/perfsonar/archive/?time-range=86400`;
});
afterAll(() => world.close());

/** With the fault on, `look`; afterwards the host must be as before. */
async function during(fault: Parameters<World['setFault']>[1], look: () => Promise<void>): Promise<void> {
  const healthy = (await get(url)).body;
  await world.setFault(key, fault);
  try {
    await look();
  } finally {
    await world.setFault(key, null);
  }
  expect((await get(url)).body).toBe(healthy);
}

const failure = (address: string, options = {}): Promise<NodeJS.ErrnoException> =>
  get(address, options).then(
    (answer) => Promise.reject(new Error(`answered ${answer.status}`)),
    (error) => error,
  );

describe('faults', () => {
  test('every kind has a test here', () => {
    expect([...FAULT_KINDS].toSorted()).toEqual([
      'blackhole',
      'dead',
      'drip',
      'htmlError',
      'http403',
      'http500',
      'hugeBody',
      'selfSigned',
      'slow',
      'truncatedJson',
      'wrongTypes',
    ]);
  });

  test('dead: connections are refused', () =>
    during('dead', async () => {
      expect((await failure(url)).code).toBe('ECONNREFUSED');
      expect((await failure(secure)).code).toBe('ECONNREFUSED');
    }));

  test('dead: connections that stand are cut', async () => {
    const agent = new http.Agent({ keepAlive: true });
    await get(url, { agent });
    await during('dead', async () => {
      expect((await failure(url, { agent })).code).toMatch(/ECONNREFUSED|ECONNRESET/);
    });
    agent.destroy();
  });

  test('blackhole: connections are taken, and nothing comes', () =>
    during('blackhole', async () => {
      for (const address of [url, secure]) {
        expect((await failure(address, { timeoutMs: 200 })).name).toMatch(/AbortError|TimeoutError/);
      }
    }));

  test('slow: the answer comes after its time', () =>
    during({ kind: 'slow', seconds: 0.2 }, async () => {
      expect((await failure(url, { timeoutMs: 50 })).name).toMatch(/AbortError|TimeoutError/);
      expect((await get(url)).json()).toBeInstanceOf(Array);
    }));

  test('drip: headers at once, the body byte by byte', () =>
    during({ kind: 'drip', seconds: 0.05 }, async () => {
      const received = await new Promise<number>((resolve, reject) => {
        const request = http.get(url, { agent: false }, (response) => {
          let bytes = 0;
          response.on('data', (chunk: Buffer) => {
            bytes += chunk.length;
            if (bytes >= 3) {
              resolve(bytes);
              request.destroy();
            }
          });
        });
        request.on('error', reject);
      });
      expect(received).toBeLessThan(10);
    }));

  test('http500', () =>
    during('http500', async () => {
      expect((await get(url)).status).toBe(500);
      expect((await get(secure)).status).toBe(500);
    }));

  test('http403: on http, while https answers', () =>
    during('http403', async () => {
      expect((await get(url)).status).toBe(403);
      expect((await get(secure)).status).toBe(200);
    }));

  test("selfSigned: who verifies against the world's CA is refused, before he was not", async () => {
    expect((await get(secure, { ca: world.caPem })).status).toBe(200);
    await during('selfSigned', async () => {
      expect((await failure(secure, { ca: world.caPem })).code).toMatch(/SELF_SIGNED/);
      expect((await get(secure)).status).toBe(200);
    });
  });

  test('most archives are self-signed without any fault', async () => {
    const own = world.archives.filter((archive) => archive.certificate === 'selfSigned');
    expect(own.length).toBeGreaterThan(world.archives.length / 2);
    const address = `https://${own[0]!.key}:${world.ports.https}/`;
    expect((await failure(address, { ca: world.caPem })).code).toMatch(/SELF_SIGNED/);
  });

  test('truncatedJson: half an answer, as if it were whole', () =>
    during('truncatedJson', async () => {
      const answer = await get(url);
      expect([answer.status, answer.type]).toEqual([200, 'application/json']);
      expect(() => answer.json()).toThrow(SyntaxError);
    }));

  test('htmlError: a page in place of JSON, with status 200', () =>
    during('htmlError', async () => {
      const answer = await get(url);
      expect(answer.status).toBe(200);
      expect(answer.type).toMatch(/^text\/html/);
    }));

  test('hugeBody: never ends', () =>
    during('hugeBody', async () => {
      const bytes = await new Promise<number>((resolve, reject) => {
        const request = http.get(url, { agent: false }, (response) => {
          let received = 0;
          response.on('data', (chunk: Buffer) => {
            received += chunk.length;
            if (received > 20e6) {
              request.destroy();
              resolve(received);
            }
          });
          response.on('end', () => reject(new Error('the body ended')));
        });
        request.on('error', reject);
      });
      expect(bytes).toBeGreaterThan(20e6);
    }));

  test('wrongTypes: JSON that fits no schema, for every kind of request', async () => {
    await during('wrongTypes', async () => {
      expect((await get(url)).json()[0]['metadata-key']).toBe(17);
      const data = (
        await get(`http://${key}:${world.ports.http}/esmond/perfsonar/archive/a/throughput/base`)
      ).json();
      expect(data[0].ts).toBe('yesterday');
    });
    for (const [node, path] of [
      [world.bootstrap, '/lookup/activehosts.json'],
      [world.lookups[0]!, '/lookup/records'],
    ] as const) {
      await world.setFault(node, 'wrongTypes');
      const body = (await get(`http://${node}:${world.ports.http}${path}`)).body;
      await world.setFault(node, null);
      expect(body).not.toBe((await get(`http://${node}:${world.ports.http}${path}`)).body);
    }
  });

  test('a request that is no URL is refused and harms nobody', async () => {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const options = { host: key, port: world.ports.http, path: '/%E0%A4%A', agent: false as const };
      http.get(options, (response) => resolve(response.resume().statusCode)).on('error', reject);
    });
    expect(status).toBe(400);
    expect((await get(url)).status).toBe(200);
  });

  test('a host that is not there is a mistake', async () => {
    await expect(world.setFault('127.99.99.99', 'dead')).rejects.toThrow('127.99.99.99');
  });
});

describe('counters', () => {
  test('tell requests by kind and the most at one time', async () => {
    world.resetCounters();
    await world.setFault(key, { kind: 'slow', seconds: 0.1 });
    await Promise.all([get(url), get(url), get(secure)]);
    await world.setFault(key, null);
    await get(url);
    expect(world.counters(key)).toEqual({
      total: 4,
      maxConcurrent: 3,
      byKind: expect.objectContaining({ bootstrap: 0, lookup: 0, metadata: 4, data: 0, other: 0 }),
    });
    expect(
      world
        .requests()
        .map((entry) => entry.scheme)
        .toSorted(),
    ).toEqual(['http', 'http', 'http', 'https']);
    expect(world.requests().every((entry) => entry.host === key && entry.kind === 'metadata')).toBe(true);
    await get(`http://${world.lookups[0]}:${world.ports.http}/lookup/records?type=host`);
    expect(world.counters(world.lookups[0]!).byKind.lookup).toBe(1);
  });
});
