/** Collecting garbage at moments of our own: V8 does not know when a great deal of it was made, and is not missed. */
import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as (how: {
  type: 'minor' | 'major';
  flavor?: 'regular' | 'last-resort';
}) => void;

/** Of the thread that calls: what was made since the last collection or two, in a millisecond. */
export function collectYoung(): void {
  gc({ type: 'minor' });
}

/**
 * All garbage of the thread that calls; and gives the memory back to the machine, which V8 else keeps for when its heap is as
 * large again as it was at the most. Twice as long as a collection: some 100 ms.
 */
export function releaseMemory(): void {
  gc({ type: 'major', flavor: 'last-resort' });
}

/** Where more than this share of V8's heap is garbage, it is worth a collection, however large the heap. */
const GARBAGE_SHARE = 1 / 3;

/**
 * A function that collects all garbage of the thread that calls it, where there may be much of it: more than `mostBytes`, and
 * more than a third of what V8's heap held after the last time.
 */
export function garbageBound(mostBytes: number): () => void {
  let kept = held();
  return () => {
    const now = held();
    if (now.bytes < kept.bytes) kept = now;
    if (now.bytes - kept.bytes < Math.max(mostBytes, kept.heapBytes * GARBAGE_SHARE)) return;
    gc({ type: 'major' });
    kept = held();
  };
}

/** `bytes`: with the buffers outside of V8's heap that belong to what is in it. */
function held(): { bytes: number; heapBytes: number } {
  const { used_heap_size: heapBytes, external_memory: outsideBytes } = getHeapStatistics();
  return { bytes: heapBytes + outsideBytes, heapBytes };
}

let isWatched = false;

/**
 * Keeps the garbage of the thread that calls within a bound from now on, of what `garbageBound` says: it looks whenever V8 has
 * collected what is young. Other calls do nothing more. See docs/decisions/027-garbage-is-bounded.md.
 */
export function watchGarbage(mostBytes: number): void {
  if (isWatched) return;
  isWatched = true;
  setFlagsFromString('--no-incremental-marking');
  new PerformanceObserver(garbageBound(mostBytes)).observe({ entryTypes: ['gc'] });
}
