/** HTTP over loopback: clients and servers that are closed when the test that made them is over. */
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import { generate } from 'selfsigned';
import { onTestFinished } from 'vitest';
import { createHttp, type Http, type HttpOptions } from '../../src/spider/http.ts';

/** Patient, and as trusting as with measurement archives. */
export const HTTP_OPTIONS: HttpOptions = {
  connectTimeoutSeconds: 30,
  bodyTimeoutSeconds: 60,
  maxBodyMB: 16,
  concurrency: 32,
  perHostConcurrency: 2,
  verifyCertificates: false,
  hosts: [],
  contact: '',
};

export function httpClient(options: Partial<HttpOptions> = {}): Http {
  const http = createHttp({ ...HTTP_OPTIONS, ...options });
  onTestFinished(() => http.close());
  return http;
}

/** The port at which the server listens from now on. */
export async function listen(server: Server, address = '127.0.0.1'): Promise<number> {
  const { port, close } = await listening(server, address);
  onTestFinished(close);
  return port;
}

/** A port at which nobody listens. */
export async function closedPort(): Promise<number> {
  const { port, close } = await listening(createServer(), '127.0.0.1');
  await close();
  return port;
}

export const serve = (listener: RequestListener, address?: string): Promise<number> =>
  listen(createServer(listener), address);

/** With a certificate that it signed itself. */
export async function serveTls(listener: RequestListener): Promise<number> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost.localdomain' }]);
  return listen(createTlsServer({ key, cert }, listener));
}

async function listening(server: Server, address: string) {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
  return { port: (server.address() as AddressInfo).port, close };
}
