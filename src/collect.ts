/** Collecting garbage at moments of our own: V8 does not know when a great deal of it was made, and is not missed. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as (how: { type: 'minor' | 'major' }) => void;

/** Of the thread that calls. `minor`: what was made since the last collection or two, in a millisecond. */
export function collectGarbage(type: 'minor' | 'major'): void {
  gc({ type });
}
