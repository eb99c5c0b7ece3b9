import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { httpClient, listen, serve, serveTls } from '../../support/loopback.ts';

/** How Lark behaves towards the hosts that it asks. */

describe('at most two requests at once to one machine', () => {
  /** Answers after a while; `most` is how many requests it had at once. */
  function busy() {
    const seen = { now: 0, most: 0 };
    const listener: RequestListener = (_, response) => {
      seen.now += 1;
      seen.most = Math.max(seen.most, seen.now);
      setTimeout(() => {
        seen.now -= 1;
        response.end('[]');
      }, 20);
    };
    return { seen, listener };
  }
  const fourTimes = (...urls: string[]) => [...urls, ...urls, ...urls, ...urls];

  it('by its name and by its address', async () => {
    const { seen, listener } = busy();
    const port = await serve(listener);
    const http = httpClient();
    const urls = fourTimes(`http://localhost:${port}/`, `http://127.0.0.1:${port}/`);
    // Whichever addresses localhost has here, this one is what the server listens at.
    http.oneMachine(['127.0.0.1', '::1']);
    await Promise.all(urls.map((url) => http.getJson(url)));
    expect(seen.most).toBe(2);
  });

  it('by several addresses that are known to be one machine’s', async () => {
    const { seen, listener } = busy();
    const ports = await Promise.all(['127.0.0.2', '127.0.0.3'].map((address) => serve(listener, address)));
    const urls = fourTimes(`http://127.0.0.2:${ports[0]}/`, `http://127.0.0.3:${ports[1]}/`);
    const http = httpClient();
    http.oneMachine(['127.0.0.2', '127.0.0.3']);
    await Promise.all(urls.map((url) => http.getJson(url)));
    expect(seen.most).toBe(2);
  });
});

describe('what has not changed is not sent again', () => {
  /** Answers as Apache does for files; `state` is what the file holds. */
  async function file(state: { body: string; headers: Record<string, string> }) {
    const asked: IncomingMessage[] = [];
    const statuses: number[] = [];
    const port = await serve((request, response) => {
      asked.push(request);
      const { etag, 'last-modified': time } = state.headers;
      const isSame =
        (etag !== undefined && request.headers['if-none-match'] === etag) ||
        (etag === undefined && time !== undefined && request.headers['if-modified-since'] === time);
      statuses.push(isSame ? 304 : 200);
      response.writeHead(isSame ? 304 : 200, state.headers);
      response.end(isSame ? undefined : state.body);
    });
    return { url: `http://127.0.0.1:${port}/activehosts.json`, asked, statuses };
  }

  it.each([
    ['ETag', { etag: '"2a-5f"' }, { etag: '"2b-60"' }],
    [
      'Last-Modified',
      { 'last-modified': 'Sun, 01 Mar 2026 12:00:00 GMT' },
      { 'last-modified': 'Sun, 01 Mar 2026 13:00:00 GMT' },
    ],
  ])('by %s', async (_, before, after) => {
    const state = { body: '{"hosts":[1]}', headers: before as Record<string, string> };
    const { url, statuses } = await file(state);
    const http = httpClient();
    expect(await http.getJson(url)).toEqual({ hosts: [1] });
    expect(await http.getJson(url)).toEqual({ hosts: [1] });
    Object.assign(state, { body: '{"hosts":[2]}', headers: after });
    expect(await http.getJson(url)).toEqual({ hosts: [2] });
    expect((await http.getBody(url)).take()).toBe('{"hosts":[2]}');
    expect(statuses).toEqual([200, 304, 200, 304]);
  });

  it('is asked for as ever where the server gives neither, or the document is long', async () => {
    const state = { body: '[]', headers: {} as Record<string, string> };
    const { url, asked } = await file(state);
    const http = httpClient();
    await http.getJson(url);
    await http.getJson(url);
    Object.assign(state, { body: JSON.stringify('x'.repeat(2e6)), headers: { etag: '"long"' } });
    await http.getBody(url);
    await http.getBody(url);
    expect(asked.map(({ headers }) => headers['if-none-match'])).toEqual(Array(4).fill(undefined));
  });

  it('a document found by a redirect is not taken for that of the URL that was asked', async () => {
    const asked: IncomingMessage[] = [];
    const port = await serve((request, response) => {
      asked.push(request);
      if (request.url === '/a') response.writeHead(302, { location: '/b' });
      else response.setHeader('etag', '"b"');
      response.end('[]');
    });
    const http = httpClient();
    for (let n = 0; n < 2; n++) await http.getJson(`http://127.0.0.1:${port}/a`);
    expect(asked.some(({ headers }) => headers['if-none-match'] !== undefined)).toBe(false);
  });
});

describe('rules for hosts', () => {
  it('https only: plain http is not asked, nor followed to', async () => {
    let asked = 0;
    const plain = await serve((_, response) => {
      asked += 1;
      response.end('[]');
    });
    const tls = await serveTls((_, response) =>
      response.writeHead(302, { location: `http://127.0.0.1:${plain}/` }).end(),
    );
    const http = httpClient({ hosts: [{ match: '127.0.0.0/8', scheme: 'https' }] });
    for (const url of [`http://127.0.0.1:${plain}/`, `https://127.0.0.1:${tls}/`])
      await expect(http.getJson(url)).rejects.toMatchObject({
        fault: 'forbidden',
        message: expect.stringContaining('http.hosts'),
      });
    expect(asked).toBe(0);
    expect(await httpClient().getJson(`https://127.0.0.1:${tls}/`)).toEqual([]);
  });

  it('certificates: verified or accepted, whatever the default', async () => {
    const port = await serveTls((_, response) => response.end('[1]'));
    const url = `https://127.0.0.1:${port}/`;
    const verify = httpClient({ hosts: [{ match: '127.0.0.1', certificates: 'verify' }] });
    await expect(verify.getJson(url)).rejects.toMatchObject({ fault: 'certificate' });
    const accept = httpClient({
      verifyCertificates: true,
      hosts: [{ match: '127.0.0.0/16', certificates: 'accept' }],
    });
    expect(await accept.getJson(url)).toEqual([1]);
  });
});

describe('proxies and the User-Agent', () => {
  function environment(values: Record<string, string>) {
    const before = { ...process.env };
    onTestFinished(() => {
      for (const name of Object.keys(values)) {
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
      }
    });
    Object.assign(process.env, values);
  }

  it('https goes through the proxy’s tunnel, and is not read by it', async () => {
    const port = await serveTls((_, response) => response.end('["through"]'));
    const tunnels: string[] = [];
    const proxy = createServer((_, response) => response.writeHead(400).end());
    proxy.on('connect', (request, socket, head) => {
      tunnels.push(request.url!);
      const onward = connect(port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        if (head.length > 0) onward.write(head);
        onward.pipe(socket).pipe(onward);
      });
      for (const each of [socket, onward]) each.on('error', () => {});
      onTestFinished(() => [socket, onward].forEach((each) => void each.destroy()));
    });
    environment({ https_proxy: `http://127.0.0.1:${await listen(proxy)}` });
    expect(await httpClient().getJson('https://archive.example.org/x')).toEqual(['through']);
    expect(tunnels).toEqual(['archive.example.org:443']);
  });

  it('what NO_PROXY names is asked straight', async () => {
    const proxied: string[] = [];
    const proxy = await serve((request, response) => {
      proxied.push(request.url!);
      response.end('["by proxy"]');
    });
    const port = await serve((_, response) => response.end('["straight"]'));
    environment({ http_proxy: `http://127.0.0.1:${proxy}`, no_proxy: '127.0.0.1,.inside.example' });
    expect(await httpClient().getJson(`http://127.0.0.1:${port}/`)).toEqual(['straight']);
    expect(await httpClient().getJson('http://outside.example/')).toEqual(['by proxy']);
    expect(proxied).toEqual(['http://outside.example/']);
    // Nobody can tell from here whether the server behind a proxy is there.
    expect(await httpClient().connectFailure('http://192.0.2.1:9/')).toBeUndefined();
  });

  it('the User-Agent tells whom to write to', async () => {
    const agents: (string | undefined)[] = [];
    const port = await serve((request, response) => {
      agents.push(request.headers['user-agent']);
      response.end('[]');
    });
    await httpClient().getJson(`http://127.0.0.1:${port}/`);
    await httpClient({ contact: 'mailto:noc@example.org' }).getJson(`http://127.0.0.1:${port}/`);
    expect(agents).toEqual([
      'lark/0.1 (perfSONAR spider)',
      'lark/0.1 (perfSONAR spider; mailto:noc@example.org)',
    ]);
  });
});
