import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 1;
/** Milliseconds mostly, more where many networks come and go. A job is not withheld for what its first packet can bear. */
const LIMIT_MS = 1000;
/** BR_STATE_DISABLED of linux/if_bridge.h. */
const PORT_DISABLED = '0';

/**
 * Until the kernel sends through an interface whose both ends were set up: the end that came first gets its carrier in a
 * thread of the kernel (linkwatch), which waits for the lock of all networks of the machine. Before, what is sent there is
 * dropped without a word, the answer to a job's first question for its gateway too, which is asked again a second later.
 * A bridge takes nothing from it before it has seen the same.
 * Returns at once where that cannot be told: /sys/class/net tells of the namespace in which it was mounted.
 */
export async function untilCarrier(
  name: string,
  { folder = '/sys/class/net', limitMs = LIMIT_MS } = {},
): Promise<void> {
  const read = (file: string): string | undefined => {
    try {
      return readFileSync(join(folder, name, file), 'utf8').trim();
    } catch {
      return undefined;
    }
  };
  const isReady = (): boolean => {
    const state = read('operstate');
    return state === undefined || (state === 'up' && read('brport/state') !== PORT_DISABLED);
  };
  for (const end = performance.now() + limitMs; !isReady() && performance.now() < end; ) await sleep(POLL_MS);
}
