import { type ClassAd, ListValue, Literal, unparseValue } from 'classad-parser';
import { integer, type ReadyAd, readyAd, string } from './path-ad.ts';

/** The MyType of site ads: which machines stand at a site. Access points make their map LARK_SITE of them. */
export const SITE_AD_TYPE = 'NetworkSite';

/** @param siteOf names of machines, as their own ads spell them → site */
export function* siteAds(siteOf: ReadonlyMap<string, string>, lifetimeSeconds: number): Generator<ReadyAd> {
  for (const [site, machines] of Map.groupBy(siteOf.keys(), (machine) => siteOf.get(machine)!)) {
    const list = machines
      .sort()
      .map((name) => unparseValue(name, 'old'))
      .join(', ');
    yield readyAd(
      site,
      string('MyType', SITE_AD_TYPE) +
        string('Name', site) +
        `Machines = { ${list} }\n` +
        integer('ClassAdLifetime', lifetimeSeconds),
    );
  }
}

/** The machines of a site ad as the collector has it. */
export function machinesOfAd(ad: ClassAd): string[] {
  const list = ad.evaluate('Machines');
  if (!(list instanceof ListValue)) return [];
  return list.items.flatMap((item) =>
    item instanceof Literal && typeof item.value === 'string' ? [item.value] : [],
  );
}
