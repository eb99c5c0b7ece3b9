import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassAd, writeOld } from 'classad-parser';
import type { Htcondor } from './htcondor.ts';
import { isPathName, PATH_AD_TYPE, type ReadyAd } from './path-ad.ts';
import { SITE_AD_TYPE } from './site-ad.ts';

/** Where ads of paths and sites go. */
export interface AdSink {
  /** For people: what this is and where. */
  describe(): Promise<string>;
  advertise(ads: readonly ReadyAd[]): Promise<void>;
  withdraw(names: readonly string[]): Promise<void>;
  /** Names of the path ads that really stand there. */
  standing(): Promise<string[]>;
  /** Leaves a sign that all ads were sent; it stands for `lifetimeSeconds`. */
  sign(at: Date, lifetimeSeconds: number): Promise<void>;
  /** When the sign that stands there was left. None stands after a restart, which has lost the ads as well. */
  signedAt(): Promise<Date | undefined>;
}

/** The MyType of the sign. */
export const SIGN_TYPE = 'LarkPublisher';

/**
 * The collector of an HTCondor pool. No attribute of the collector's own ad tells that it was restarted (23.9.6), so
 * the sign is one more ad, of a type of its own.
 */
export function collectorSink(htcondor: Htcondor): AdSink {
  return {
    async describe() {
      return `the collector ${await htcondor.setting('COLLECTOR_HOST')}`;
    },
    advertise: (ads) => htcondor.advertise(ads.map(({ text }) => text).join('\n')),
    sign(at, lifetimeSeconds) {
      const sign = new ClassAd()
        .setString('MyType', SIGN_TYPE)
        .setString('Name', 'lark')
        .setInteger('SignedAt', Math.floor(at.getTime() / 1000))
        .setInteger('ClassAdLifetime', lifetimeSeconds);
      return htcondor.advertise(writeOld(sign));
    },
    async signedAt() {
      const [seconds] = await htcondor.valuesOf(SIGN_TYPE, 'SignedAt');
      return seconds === undefined ? undefined : new Date(Number(seconds) * 1000);
    },
    async withdraw(names) {
      await htcondor.invalidate(PATH_AD_TYPE, names.filter(isPathName));
      await htcondor.invalidate(
        SITE_AD_TYPE,
        names.filter((name) => !isPathName(name)),
      );
    },
    standing: () => htcondor.valuesOf(PATH_AD_TYPE, 'Name'),
  };
}

/** One file an ad, for trying Lark where there is no HTCondor. Names are percent-encoded: `A>B` → `A%3EB.ad`. */
export function directorySink(directory: string): AdSink {
  const fileOf = (name: string): string => join(directory, `${encodeURIComponent(name)}.ad`);
  return {
    describe: () => Promise.resolve(`the folder ${directory}`),
    async advertise(ads) {
      await mkdir(directory, { recursive: true });
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
      await mkdir(directory, { recursive: true });
      const files = await readdir(directory);
      return files
        .filter((file) => file.endsWith('.ad'))
        .map((file) => decodeURIComponent(file.slice(0, -3)))
        .filter(isPathName);
    },
    // Files stay where they are: the sign stands as long as the folder does.
    async sign(at) {
      // There may have been no ad to make the folder for.
      await mkdir(directory, { recursive: true });
      await writeFile(join(directory, SIGN_FILE), `${at.toISOString()}\n`);
    },
    async signedAt() {
      try {
        return new Date((await readFile(join(directory, SIGN_FILE), 'utf8')).trim());
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
  };
}

const SIGN_FILE = 'signed-at';
