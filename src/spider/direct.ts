import http from 'node:http';
import https from 'node:https';
import { createBrotliDecompress, createGunzip } from 'node:zlib';
import { type BodyMemory, expectedBytes } from './body-memory.ts';

/** A request that goes straight to its server and is answered by it alone: no proxy, no redirect. */
export interface DirectRequest {
  method: 'GET' | 'POST';
  url: string;
  /** Of the URL's scheme. */
  agent: http.Agent;
  headers: Record<string, string>;
  body: string | undefined;
  /** Limit for the body as it is after decompression. */
  maxBodyBytes: number;
  /** Limit from the request to the beginning of the answer. */
  answerLimitMs?: number;
}

export interface DirectAnswer {
  status: number;
  statusText: string;
  headers: http.IncomingHttpHeaders;
  text: string;
}

/** The body is longer than allowed. */
export class BodyTooLarge extends Error {}

/** No answer began within its limit. */
export class NoAnswer extends Error {}

/**
 * Sends a request by Node's own client: a third of the work of a whole axios request, which counts where tens of
 * thousands of small ones are sent in each cycle (docs/decisions/022-direct-requests.md).
 * @throws what Node's client gives, BodyTooLarge, NoAnswer, or the signal's reason
 */
export function sendDirectly(
  request: DirectRequest,
  memory: BodyMemory,
  signal: AbortSignal,
): Promise<DirectAnswer> {
  const { method, url, agent, body, maxBodyBytes, answerLimitMs } = request;
  const { promise, resolve, reject } = Promise.withResolvers<DirectAnswer>();
  let leave: (() => void) | undefined;
  // Who goes on listening to a kept connection would keep the body too, by these functions and their promise.
  let waiting: { resolve: typeof resolve; reject: typeof reject } | undefined = { resolve, reject };
  const headers: http.OutgoingHttpHeaders = { ...request.headers, 'Accept-Encoding': 'gzip, br' };
  if (body !== undefined) headers['Content-Length'] = Buffer.byteLength(body);
  const client = url.startsWith('https:') ? https : http;
  const sent = client.request(url, { method, agent, headers }, (answer) => {
    clearTimeout(limit);
    const { statusCode: status = 0, statusMessage: statusText = '' } = answer;
    const { headers } = answer;
    answer.once('error', fail);
    leave = memory.enter(expectedBytes(headers), (body) => {
      const plain = decompressed(answer);
      if (plain !== answer) plain.once('error', fail);
      plain.on('data', (chunk: Buffer) => {
        body.add(chunk);
        if (body.bytes > maxBodyBytes) fail(new BodyTooLarge());
      });
      plain.once('end', () => {
        waiting?.resolve({ status, statusText, headers, text: body.text() });
        forget();
      });
    });
  });
  const fail = (error: unknown): void => {
    // What happens to the connection after the answer is nobody's error any more.
    if (!waiting) return;
    waiting.reject(error);
    forget();
    sent.destroy();
  };
  const forget = (): void => {
    clearTimeout(limit);
    signal.removeEventListener('abort', onAbort);
    waiting = undefined;
    leave?.();
    leave = undefined;
  };
  const limit =
    answerLimitMs === undefined ? undefined : setTimeout(() => fail(new NoAnswer()), answerLimitMs);
  const onAbort = (): void => fail(signal.reason);
  sent.on('error', fail);
  signal.addEventListener('abort', onAbort, { once: true });
  sent.end(body);
  return promise;
}

function decompressed(answer: http.IncomingMessage): NodeJS.ReadableStream {
  const encoding = answer.headers['content-encoding'];
  if (encoding !== 'gzip' && encoding !== 'br') return answer;
  return answer.pipe(encoding === 'gzip' ? createGunzip() : createBrotliDecompress());
}
