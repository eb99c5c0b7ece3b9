import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

/**
 * Makes addresses behave as hosts that are switched off or behind a firewall: connections to them are never
 * established, and nothing says so. The ports listen in a thread that accepts nobody, and their queues are full; the
 * kernel then drops what comes. Lasts as long as the process.
 */
export async function makeUnreachable(places: readonly { host: string; port: number }[]): Promise<void> {
  if (places.length === 0) return;
  const worker = new Worker(new URL(import.meta.url), { workerData: places });
  worker.unref();
  await once(worker, 'message');
  // A queue of length 1 holds two; a third connection is already left to wait.
  for (const place of places) {
    for (let i = 0; i < 3; i++)
      connect(place)
        .on('error', () => {})
        .unref();
  }
}

if (!isMainThread) {
  for (const place of workerData as { host: string; port: number }[]) {
    const server = createServer();
    server.listen({ ...place, backlog: 1 });
    await once(server, 'listening');
  }
  parentPort!.postMessage('all listen');
  // From now on this thread does nothing, and accepts nothing.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
