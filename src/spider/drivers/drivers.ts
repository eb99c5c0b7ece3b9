import type { ArchiveDriver } from './driver.ts';
import { elmond } from './elmond.ts';
import { esmond } from './esmond.ts';

/** Every kind of archive that can be read. */
export const DRIVERS: readonly ArchiveDriver[] = [esmond, elmond];
