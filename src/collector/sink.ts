import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Htcondor } from './htcondor.ts';
import { PATH_AD_TYPE, type PathAd } from './path-ad.ts';

/** Where path ads go. */
export interface AdSink {
  /** For people: what this is and where. */
  describe(): Promise<string>;
  /** Changes when everything sent before is lost (the collector was restarted). */
  epoch(): Promise<string>;
  advertise(ads: readonly PathAd[]): Promise<void>;
  withdraw(names: readonly string[]): Promise<void>;
  /** Names of the path ads that really stand there. */
  standing(): Promise<string[]>;
}

export function collectorSink(htcondor: Htcondor): AdSink {
  return {
    async describe() {
      return `the collector ${await htcondor.setting('COLLECTOR_HOST')}`;
    },
    async epoch() {
      return String(await htcondor.collectorStartTime());
    },
    async advertise(ads) {
      if (ads.length > 0) await htcondor.advertise(ads.map((ad) => ad.text).join('\n'));
    },
    withdraw: (names) => htcondor.invalidate(PATH_AD_TYPE, names),
    standing: () => htcondor.namesOf(PATH_AD_TYPE),
  };
}

/** One file an ad, for trying Lark where there is no HTCondor. Names are percent-encoded: `A>B` → `A%3EB.ad`. */
export function directorySink(directory: string): AdSink {
  const fileOf = (name: string): string => join(directory, `${encodeURIComponent(name)}.ad`);
  return {
    describe: () => Promise.resolve(`the folder ${directory}`),
    async epoch() {
      await mkdir(directory, { recursive: true });
      return 'directory';
    },
    async advertise(ads) {
      for (const ad of ads) {
        const file = fileOf(ad.name);
        await writeFile(`${file}.new`, ad.text);
        await rename(`${file}.new`, file);
      }
    },
    async withdraw(names) {
      for (const name of names) await rm(fileOf(name), { force: true });
    },
    async standing() {
      const files = await readdir(directory);
      return files
        .filter((file) => file.endsWith('.ad'))
        .map((file) => decodeURIComponent(file.slice(0, -3)));
    },
  };
}
