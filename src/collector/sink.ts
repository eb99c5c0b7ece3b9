import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassAd, writeOld } from 'classad-parser';
import type { Htcondor } from './htcondor.ts';
import { PATH_AD_TYPE, type PathAd } from './path-ad.ts';

/** Where path ads go. */
export interface AdSink {
  /** For people: what this is and where. */
  describe(): Promise<string>;
  /** Whether it still has what was sent before: false for a collector that was restarted. */
  remembers(): Promise<boolean>;
  advertise(ads: readonly PathAd[], lifetimeSeconds: number): Promise<void>;
  withdraw(names: readonly string[]): Promise<void>;
  /** Names of the path ads that really stand there. */
  standing(): Promise<string[]>;
}

/** The MyType of the ad that tells whether a collector remembers. */
const PUBLISHER_AD_TYPE = 'LarkPublisher';

/**
 * The collector of an HTCondor pool. No attribute of the collector's own ad tells that it was restarted (23.9.6), so
 * each sending carries one more ad, `LarkPublisher`, with the same lifetime: as long as any path ad can stand, so
 * does it, and a collector without it has lost them all.
 */
export function collectorSink(htcondor: Htcondor): AdSink {
  return {
    async describe() {
      return `the collector ${await htcondor.setting('COLLECTOR_HOST')}`;
    },
    async remembers() {
      return (await htcondor.namesOf(PUBLISHER_AD_TYPE)).length > 0;
    },
    async advertise(ads, lifetimeSeconds) {
      if (ads.length === 0) return;
      const publisher = new ClassAd()
        .setString('MyType', PUBLISHER_AD_TYPE)
        .setString('Name', 'lark')
        .setInteger('ClassAdLifetime', lifetimeSeconds);
      await htcondor.advertise([...ads.map((ad) => ad.text), writeOld(publisher)].join('\n'));
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
    async remembers() {
      await mkdir(directory, { recursive: true });
      return true;
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
