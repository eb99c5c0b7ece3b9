/** Collecting garbage at moments of our own: V8 does not know when a great deal of it was made, and is not missed. */
import { setFlagsFromString } from 'node:v8';
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
