/** A process that starts a pool, says each step and then the pool's id, and waits for its end. */
import { startPool } from '../../../testbed/pool/pool.ts';

const pool = await startPool({
  executionPoints: [{ name: 'ep1', site: 'UCSD' }],
  progress: (line) => console.log(line),
});
console.log(`pool ${pool.id}`);
setInterval(() => {}, 60_000);
