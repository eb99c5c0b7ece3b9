import { nameKey } from './join.ts';
import type { Evidence, Subject } from './resolve.ts';
import type { SiteIndex } from './site-index.ts';

/** What may be written in a site attribute when nobody filled it in. */
const EMPTY: ReadonlySet<string> = new Set(['', 'undefined', 'unknown', 'none', 'error', 'n_a']);

/**
 * What a machine says of itself. Attributes are asked in their order, and the first whose text is a name of exactly
 * one known site is the machine's word.
 */
export function machineEvidence(
  { attributes }: Subject,
  order: readonly string[],
  index: SiteIndex,
): Evidence[] {
  for (const attribute of order) {
    const text = attributes?.[attribute];
    if (text === undefined || EMPTY.has(nameKey(text))) continue;
    const sites = sitesNamed(text, index);
    if (sites.length !== 1) continue;
    return [{ method: 'machine', sites, text: `${attribute} is "${text}"`, confidence: 0.98 }];
  }
  return [];
}

/**
 * The sites that go by a name: those whose own name it is, else those that have it as an alias. An OSG Site or
 * facility with several groups gives several.
 */
export function sitesNamed(text: string, { byName, site }: SiteIndex): string[] {
  if (site.has(text)) return [text];
  const found = byName.get(nameKey(text)) ?? [];
  const own = found.filter(({ kind }) => kind === 'name');
  return [...new Set((own.length > 0 ? own : found).map((one) => one.site))].sort();
}
