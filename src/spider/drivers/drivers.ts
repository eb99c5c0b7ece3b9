import type { MetadataDriver } from './driver.ts';
import { elmond } from './elmond.ts';
import { esmond } from './esmond.ts';

/** Every kind of archive that is told by its answer to the metadata call. */
export const METADATA_DRIVERS: readonly MetadataDriver[] = [esmond, elmond];
