import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../errors.ts';
import type { Store } from '../store/store.ts';
import { eventOf } from './breakers.ts';

/** How often the store is asked for what is new. Several processes may write to it, so nobody can tell. */
const ASK_EVERY_MS = 1000;
/** A comment goes out when nothing else did for so long: proxies cut what is silent. */
const SILENT_MS = 15_000;
const AT_ONCE = 500;

/**
 * Transitions of breakers as server-sent events, the oldest first, until the reader goes away or `signal` is aborted.
 * Each has its id, so that a reader who comes back with `Last-Event-ID` misses none.
 * @param afterId the last one that the reader has; undefined: only those to come
 */
export async function sendEvents(
  store: Store,
  response: ServerResponse,
  afterId: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const ended = AbortSignal.any([signal, gone.signal]);
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
  });
  response.write('retry: 3000\n\n');
  let last = afterId ?? (await store.transitions({ limit: 1 }))[0]?.id ?? 0;
  let silentMs = 0;
  try {
    while (!ended.aborted) {
      const found = await store.transitions({ afterId: last, limit: AT_ONCE });
      for (const transition of found) {
        const event = eventOf(transition);
        const text = `id: ${event.id}\nevent: breaker\ndata: ${JSON.stringify(event)}\n\n`;
        last = event.id;
        if (!response.write(text)) await drained(response, ended);
      }
      silentMs = found.length > 0 ? 0 : silentMs + ASK_EVERY_MS;
      if (silentMs >= SILENT_MS) {
        response.write(': still here\n\n');
        silentMs = 0;
      }
      if (found.length < AT_ONCE) await sleep(ASK_EVERY_MS, undefined, { signal: ended });
    }
  } catch (error) {
    if (!ended.aborted)
      response.write(`event: error\ndata: ${JSON.stringify({ message: messageOf(error) })}\n\n`);
  } finally {
    response.end();
  }
}

function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    response.once('drain', () => {
      signal.removeEventListener('abort', stop);
      resolve();
    });
  });
}
