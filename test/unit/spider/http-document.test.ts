import type { IncomingMessage, RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { makeCertificates } from '../../../testbed/world/certificates.ts';
import { httpClient, listen, serve } from '../../support/loopback.ts';

/** Documents: asked for with conditions, and never taken from a server that cannot prove its name. */

const client = () => httpClient({ maxBodyMB: 0.1 });
const served = async (listener: RequestListener) => `http://127.0.0.1:${await serve(listener)}/`;

describe('conditional requests', () => {
  test('bring the document and what tells of its state; then only the news that it stands', async () => {
    const asked: IncomingMessage['headers'][] = [];
    const url = await served((request, response) => {
      asked.push(request.headers);
      if (request.headers['if-none-match'] === '"7"') response.writeHead(304).end();
      else
        response
          .writeHead(200, { etag: '"7"', 'last-modified': 'Sat, 21 Nov 2026 10:00:00 GMT' })
          .end('<results/>');
    });
    const http = client();
    expect(await http.getDocument(url, {})).toEqual({
      isUnchanged: false,
      text: '<results/>',
      etag: '"7"',
      lastModified: 'Sat, 21 Nov 2026 10:00:00 GMT',
    });
    const known = { etag: '"7"', lastModified: 'Sat, 21 Nov 2026 10:00:00 GMT' };
    expect(await http.getDocument(url, known)).toEqual({ isUnchanged: true });
    expect(asked[0]).not.toHaveProperty('if-none-match');
    expect(asked[1]).toMatchObject({ 'if-modified-since': 'Sat, 21 Nov 2026 10:00:00 GMT' });
    expect(asked.map(({ accept }) => accept)).toEqual(['*/*', '*/*']);
  });

  test('304 where nothing was known is no answer', async () => {
    const url = await served((_, response) => void response.writeHead(304).end());
    await expect(client().getDocument(url, {})).rejects.toMatchObject({ fault: 'http-error', status: 304 });
  });

  test('limits and errors are those of every request', async () => {
    const url = await served((request, response) => {
      if (request.url === '/large') response.end('x'.repeat(200_000));
      else response.writeHead(503).end('<title>Down for today</title>');
    });
    await expect(client().getDocument(url, {})).rejects.toThrow(/answered 503 .*Down for today/);
    await expect(client().getDocument(`${url}large`, {})).rejects.toMatchObject({ fault: 'too-large' });
  });
});

describe('certificates', () => {
  const tls = async (options: object) => {
    const certificates = await makeCertificates(['127.0.0.1'], new Date());
    const pair = await certificates.of('127.0.0.1', 'ca');
    const server = createHttpsServer({ ...pair, ...options }, (request, response) =>
      response.end((request.socket as TLSSocket).getPeerCertificate().subject?.CN ?? 'nobody'),
    );
    const port = await listen(server);
    return { url: `https://127.0.0.1:${port}/`, ca: certificates.caPem, pair };
  };

  test('are verified although measurement archives are not', async () => {
    const { url, ca } = await tls({});
    const http = client();
    await expect(http.getDocument(url, {})).rejects.toMatchObject({ fault: 'certificate' });
    expect(await http.getDocument(url, {}, { ca })).toMatchObject({ text: 'nobody' });
    // Nothing of that identity is left for others.
    await expect(http.getDocument(url, {})).rejects.toMatchObject({ fault: 'certificate' });
  });

  test('of our own are shown where the server asks', async () => {
    const { url, ca, pair } = await tls({ requestCert: true, rejectUnauthorized: false });
    const shown = await client().getDocument(url, {}, { ca, certificate: pair.cert, key: pair.key });
    expect(shown).toMatchObject({ text: '127.0.0.1' });
  });
});
