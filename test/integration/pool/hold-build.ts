/** A process that builds a root tree in the folder given, saying each step. */
import { ensureRootTree } from '../../../testbed/pool/root-tree.ts';

await ensureRootTree({ cacheDir: process.argv[2]!, progress: (line) => console.log(line) });
