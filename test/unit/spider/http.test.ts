import type { IncomingMessage, RequestListener } from 'node:http';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import { HttpFailure, type HttpOptions, parseJson } from '../../../src/spider/http.ts';
import { closedPort, httpClient, listen, serve, serveTls } from '../../support/loopback.ts';
import { harvestOne } from './helpers.ts';

const client = (options: Partial<HttpOptions> = {}) =>
  httpClient({ maxBodyMB: 0.1, concurrency: 8, ...options });

/** A TCP server that does with each connection what it is told. */
const tcp = (onConnection: (socket: Socket) => void): Promise<number> =>
  listen(
    createTcpServer((socket) => {
      socket.on('error', () => {});
      onConnection(socket);
    }),
  );

async function failure(url: string, options: Partial<HttpOptions> = {}): Promise<HttpFailure> {
  const error = await client(options)
    .getJson(url)
    .then(
      () => undefined,
      (reason: unknown) => reason,
    );
  expect(error).toBeInstanceOf(HttpFailure);
  expect((error as HttpFailure).message).toContain(url);
  return error as HttpFailure;
}

describe('failures are told apart', () => {
  it('refused: nobody listens', async () => {
    expect((await failure(`http://127.0.0.1:${await closedPort()}/`)).fault).toBe('refused');
  });

  it('dns: the name does not resolve', async () => {
    expect((await failure('http://no-such-host.invalid/')).fault).toBe('dns');
  });

  it('timeout: TCP stands, TLS never does', async () => {
    const port = await tcp(() => {});
    const error = await failure(`https://127.0.0.1:${port}/`, { connectTimeoutSeconds: 0.3 });
    expect(error).toMatchObject({
      fault: 'timeout',
      message: expect.stringContaining('not connected within 0.3 s'),
    });
  });

  it('timeout: the answer drips', async () => {
    const port = await serve((_, response) => {
      const timer = setInterval(() => response.write(' '), 50);
      response.on('close', () => clearInterval(timer));
    });
    expect(await failure(`http://127.0.0.1:${port}/`, { bodyTimeoutSeconds: 0.5 })).toMatchObject({
      fault: 'timeout',
      message: expect.stringContaining('not done within 0.5 s'),
    });
  });

  it('certificate: verification is a choice for each host', async () => {
    const port = await serveTls((_, response) => response.end('[1]'));
    const url = `https://127.0.0.1:${port}/`;
    expect((await failure(url, { verifyCertificates: true })).fault).toBe('certificate');
    expect((await failure(url, { hosts: [{ match: '127.0.0.1', certificates: 'verify' }] })).fault).toBe(
      'certificate',
    );
    expect(await client({ hosts: [{ match: '127.0.0.2', certificates: 'verify' }] }).getJson(url)).toEqual([
      1,
    ]);
  });

  it('refused: plain HTTP where TLS was expected', async () => {
    const port = await serve((_, response) => response.end('[]'));
    expect(await failure(`https://127.0.0.1:${port}/`)).toMatchObject({
      fault: 'refused',
      message: expect.stringContaining('TLS'),
    });
  });

  it('forbidden and http-error, with what the server said', async () => {
    const port = await serve((request, response) => {
      response.statusCode = request.url === '/403' ? 403 : 404;
      response.end(request.url === '/json' ? '{"detail": "No such thing"}' : '<title>404 Not Found</title>');
    });
    expect(await failure(`http://127.0.0.1:${port}/403`)).toMatchObject({ fault: 'forbidden', status: 403 });
    expect((await failure(`http://127.0.0.1:${port}/json`)).message).toContain('(No such thing)');
    expect(await failure(`http://127.0.0.1:${port}/html`)).toMatchObject({
      fault: 'http-error',
      status: 404,
      message: expect.stringContaining('(404 Not Found)'),
    });
  });

  it('too-large: the body is not read to its end', async () => {
    const port = await serve((_, response) => {
      const pump = () => {
        while (!response.destroyed && response.write('x'.repeat(10_000)));
      };
      response.on('drain', pump);
      pump();
    });
    expect((await failure(`http://127.0.0.1:${port}/`)).fault).toBe('too-large');
  });

  it('truncated: the connection ends before the body does', async () => {
    const port = await serve((_, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('[{"ts":1},');
      setTimeout(() => response.destroy(), 20);
    });
    expect((await failure(`http://127.0.0.1:${port}/`)).fault).toBe('truncated');
  });

  it.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
  ])('truncated: what was compressed by %s lacks its end', async (encoding, compress) => {
    const text = JSON.stringify(Array.from({ length: 2000 }, (_, i) => Math.sin(i)));
    const port = await serve((_, response) => {
      response.writeHead(200, { 'content-encoding': encoding });
      response.end(compress(text).subarray(0, 4000));
    });
    expect((await failure(`http://127.0.0.1:${port}/`)).fault).toBe('truncated');
  });
});

describe('a server that takes connections and says nothing', () => {
  const silent = async () => {
    let asked = 0;
    const port = await tcp((socket) =>
      socket.on('data', () => {
        asked += 1;
      }),
    );
    return { url: `http://127.0.0.1:${port}`, asked: () => asked };
  };

  it('is given up after two connect limits where that was asked for, else after the limit of the body', async () => {
    const { url } = await silent();
    const http = client({ connectTimeoutSeconds: 0.1, bodyTimeoutSeconds: 0.5 });
    const hurried = http.getJson(url, undefined, { isHurried: true });
    await expect(hurried).rejects.toThrow('said nothing within 0.2 s');
    await expect(http.getJson(url)).rejects.toThrow('was not done within 0.5 s');
  });

  it('is no server whose answer begins in time and goes on for longer', async () => {
    const port = await serve((_, response) => {
      response.writeHead(200).write('[');
      setTimeout(() => response.end(']'), 1250);
    });
    const http = client({ connectTimeoutSeconds: 0.5 });
    expect(await http.getJson(`http://127.0.0.1:${port}/`, undefined, { isHurried: true })).toEqual([]);
  });

  it('is asked once, for whichever of its archive URLs, where nobody knows that the archive lives', async () => {
    const { url, asked } = await silent();
    const { report } = await harvestOne(client({ connectTimeoutSeconds: 0.1 }), new Date(), {
      archive: { key: 'a', urls: [`${url}/a/`, `${url}/b/`], sources: [] },
    });
    expect(report).toMatchObject({ outcome: 'failed', fault: 'timeout' });
    expect(asked()).toBe(1);
  });
});

describe('parseJson', () => {
  const faultOf = (body: string) => {
    try {
      parseJson(body, 'http://x/');
    } catch (error) {
      return (error as HttpFailure).fault;
    }
    return undefined;
  };

  it('tells a body that breaks off anywhere from one that is no JSON', () => {
    const whole = '[{"ts": 1500000000, "val": {"a": [1.5, "x", null, true]}}, {"ts": 2, "val": -1e3}]';
    expect(faultOf(whole)).toBeUndefined();
    for (let length = 1; length < whole.length; length++)
      expect(faultOf(whole.slice(0, length))).toBe('truncated');
  });

  it.each(['', '  ', '<!doctype html><title>Oops</title>', 'Not found', '[1,,2]', '{"a":1}}'])(
    '%j is no JSON',
    (body) => {
      expect(faultOf(body)).toBe('not-json');
    },
  );
});

describe('requests', () => {
  it('refused: a new connection is closed without an answer', async () => {
    const port = await tcp((socket) => socket.on('data', () => socket.destroy()));
    expect((await failure(`http://127.0.0.1:${port}/`)).fault).toBe('refused');
  });

  it('names itself, and asks again when a kept connection was closed under it', async () => {
    const agents: (string | undefined)[] = [];
    let connections = 0;
    const port = await tcp((socket) => {
      connections += 1;
      let requests = 0;
      socket.on('data', (data) => {
        agents.push(/user-agent: (.*)\r/i.exec(String(data))?.[1]);
        // Every connection answers once and drops the next request.
        requests += 1;
        if (requests > 1) socket.destroy();
        else setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]'), 20);
      });
    });
    const http = client();
    // Two connections are kept then, and the next request must not try its luck on the second of them.
    await Promise.all([1, 2].map((n) => http.getJson(`http://127.0.0.1:${port}/${n}`)));
    expect(await http.getJson(`http://127.0.0.1:${port}/3`)).toEqual([]);
    expect(connections).toBe(3);
    expect(agents.every((agent) => agent?.startsWith('lark/'))).toBe(true);
    expect(http.requestsByHost().get('127.0.0.1')).toBe(4);
  });

  it('keeps to the limits: over all hosts, and to one host whatever its port', async () => {
    let running = 0;
    const most = { all: 0, byHost: new Map<string, number>() };
    const byHost = new Map<string, number>();
    const listener: RequestListener = (request, response) => {
      const host = request.socket.localAddress!;
      const count = (byHost.get(host) ?? 0) + 1;
      byHost.set(host, count);
      running += 1;
      most.all = Math.max(most.all, running);
      most.byHost.set(host, Math.max(most.byHost.get(host) ?? 0, count));
      setTimeout(() => {
        running -= 1;
        byHost.set(host, byHost.get(host)! - 1);
        response.end('[]');
      }, 15);
    };
    const ports = await Promise.all([
      serve(listener, '127.0.0.2'),
      serve(listener, '127.0.0.2'),
      serve(listener, '127.0.0.3'),
    ]);
    const http = client({ concurrency: 3, perHostConcurrency: 2 });
    const urls = ports.flatMap((port, index) =>
      Array.from({ length: 6 }, (_, n) => `http://127.0.0.${index < 2 ? 2 : 3}:${port}/${n}`),
    );
    await Promise.all(urls.map((url) => http.getJson(url)));
    expect(most.all).toBe(3);
    expect([...most.byHost.values()].sort()).toEqual([2, 2]);
    expect(http.requestsByHost()).toEqual(
      new Map([
        ['127.0.0.2', 12],
        ['127.0.0.3', 6],
      ]),
    );
  });

  it('ends at once when aborted, under way or waiting, with the reason given', async () => {
    const port = await serve(() => {});
    const http = client();
    const abort = new AbortController();
    const requests = [1, 2, 3].map((n) => http.getJson(`http://127.0.0.1:${port}/${n}`, abort.signal));
    setTimeout(() => abort.abort(new Error('shutdown')), 50);
    for (const result of await Promise.allSettled(requests))
      expect(result).toMatchObject({ status: 'rejected', reason: { message: 'shutdown' } });
  });

  it.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
  ])(
    'reads %s, counts its limit after decompression, and tells where it breaks off',
    async (name, compress) => {
      const whole = compress(JSON.stringify(['x'.repeat(200_000)]));
      const port = await serve((request, response) => {
        expect(request.headers['accept-encoding']).toContain(name);
        response.writeHead(200, { 'content-encoding': name, 'content-length': whole.length });
        if (request.url === '/whole') response.end(whole);
        else response.write(whole.subarray(0, whole.length / 2), () => response.destroy());
      });
      const url = `http://127.0.0.1:${port}`;
      expect(await client({ maxBodyMB: 1 }).getJson(`${url}/whole`)).toEqual(['x'.repeat(200_000)]);
      await expect(client({ maxBodyMB: 0.1 }).getJson(`${url}/whole`)).rejects.toMatchObject({
        fault: 'too-large',
      });
      await expect(client().getJson(`${url}/half`)).rejects.toMatchObject({ fault: 'truncated' });
    },
  );

  it('goes through the proxy that the environment names', async () => {
    const seen: string[] = [];
    const port = await serve((request, response) => {
      seen.push(request.url!);
      response.end('["by proxy"]');
    });
    const before = process.env.http_proxy;
    onTestFinished(() => {
      if (before === undefined) delete process.env.http_proxy;
      else process.env.http_proxy = before;
    });
    process.env.http_proxy = `http://127.0.0.1:${port}`;
    expect(await client().getJson('http://archive.example.org/x')).toEqual(['by proxy']);
    expect(seen).toEqual(['http://archive.example.org/x']);
  });
});

describe('posting', () => {
  async function received(request: IncomingMessage): Promise<unknown> {
    let text = '';
    for await (const chunk of request) text += chunk;
    return { method: request.method, type: request.headers['content-type'], body: JSON.parse(text) };
  }

  it('sends JSON and reads JSON', async () => {
    const port = await serve(async (request, response) =>
      response.end(JSON.stringify(await received(request))),
    );
    expect(await client().postJson(`http://127.0.0.1:${port}/lookup/_search`, { size: 1 })).toEqual({
      method: 'POST',
      type: 'application/json',
      body: { size: 1 },
    });
  });

  it.each([301, 302, 307, 308])('a %i is followed with method and body', async (status) => {
    const port = await serve(async (request, response) => {
      if (request.url === '/old') response.writeHead(status, { location: '/new' }).end();
      else response.end(JSON.stringify(await received(request)));
    });
    expect(await client().postJson(`http://127.0.0.1:${port}/old`, { size: 1 })).toMatchObject({
      method: 'POST',
      body: { size: 1 },
    });
  });

  it('a server that redirects in a circle is given up', async () => {
    let asked = 0;
    const port = await serve((_, response) => {
      asked += 1;
      response.writeHead(301, { location: '/' }).end();
    });
    await expect(client().postJson(`http://127.0.0.1:${port}/`, {})).rejects.toThrow('redirects too often');
    expect(asked).toBe(4);
  });

  it('an error is the same as for a GET', async () => {
    const port = await serve((_, response) => response.writeHead(405).end('no'));
    await expect(client().postJson(`http://127.0.0.1:${port}/`, {})).rejects.toMatchObject({
      fault: 'http-error',
      status: 405,
    });
  });
});

describe('sending what changes something', () => {
  it('gives the text of the answer, and what an error said', async () => {
    const port = await serve((request, response) => {
      if (request.method === 'DELETE') response.end('OK\n');
      else response.writeHead(422).end('No tool\n in common\n');
    });
    expect(await client().send('DELETE', `http://127.0.0.1:${port}/tasks/1`)).toBe('OK\n');
    await expect(client().send('POST', `http://127.0.0.1:${port}/tasks`, {})).rejects.toMatchObject({
      status: 422,
      said: 'No tool in common',
    });
  });

  it('happens once: it is neither repeated after a dropped connection nor sent on by a redirect', async () => {
    let asked = 0;
    const port = await serve((request, response) => {
      asked += 1;
      if (request.url === '/drop') request.socket.resetAndDestroy();
      else response.writeHead(307, { location: '/elsewhere' }).end();
    });
    const http = client();
    await expect(http.send('POST', `http://127.0.0.1:${port}/drop`, {})).rejects.toMatchObject({
      fault: 'refused',
    });
    await expect(http.send('POST', `http://127.0.0.1:${port}/`, {})).rejects.toMatchObject({ status: 307 });
    expect(asked).toBe(2);
  });
});
