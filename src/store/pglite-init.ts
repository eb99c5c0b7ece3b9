/**
 * Run as a process of its own, `pglite-init.ts <directory>`: makes an empty database there. Initialising takes some
 * hundred megabytes that WebAssembly never gives back; so they go with this process.
 */
import { PGlite } from '@electric-sql/pglite';

await (await PGlite.create({ dataDir: process.argv[2]! })).close();
