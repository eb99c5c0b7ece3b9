import { UserError } from '../../errors.ts';
import type { TrafficClass } from '../types.ts';
import { canonicalCidr, disjointRanges, type Family, type Range } from './ranges.ts';

/** Neighbour discovery, multicast, broadcast: what a job cannot help, and no site bills. */
export const LINK_LOCAL_CLASS = 'LinkLocal';
const LINK_LOCAL_CIDRS = ['169.254.0.0/16', '224.0.0.0/4', '255.255.255.255/32', 'fe80::/10', 'ff00::/8'];

const CLASS_NAME = /^[A-Za-z][A-Za-z0-9]{0,30}$/;

/** The site's classes, ready for a ruleset. */
export interface ClassTable {
  /** As `classNames` gives them. */
  names: string[];
  defaultClass: string;
  ipv4: Range<string>[];
  ipv6: Range<string>[];
}

interface AccountingConfig {
  classes: readonly TrafficClass[];
  defaultClass: string;
}

/**
 * Every class once: the site's in their order, the default one, LinkLocal.
 * @throws UserError where a name cannot be used, or two names are one word to ClassAds
 */
export function classNames({ classes, defaultClass }: AccountingConfig): string[] {
  const names = new Map<string, string>();
  for (const { name } of classes) {
    checkName(name);
    if (names.has(name.toLowerCase())) {
      throw new UserError(`accounting.classes: ${name} is there twice; join its cidrs in one class`);
    }
    names.set(name.toLowerCase(), name);
  }
  checkName(defaultClass);
  if (!names.has(defaultClass.toLowerCase())) names.set(defaultClass.toLowerCase(), defaultClass);
  return [...names.values(), LINK_LOCAL_CLASS];
}

/** @throws UserError as `classNames` does, and where two classes claim the same CIDR */
export function classTable(config: AccountingConfig): ClassTable {
  const names = classNames(config);
  const owners = new Map<string, string>();
  const entries: { cidr: string; value: string }[] = [];
  for (const { name, cidrs } of config.classes) {
    for (const cidr of cidrs) {
      const key = canonicalCidr(cidr);
      const owner = owners.get(key);
      if (owner && owner !== name) {
        throw new UserError(`accounting.classes: ${cidr} is in ${owner} and in ${name}; leave it in one`);
      }
      owners.set(key, name);
      entries.push({ cidr, value: name });
    }
  }
  // After the site's, which win where they are equal.
  entries.push(...LINK_LOCAL_CIDRS.map((cidr) => ({ cidr, value: LINK_LOCAL_CLASS })));
  const ranges = (family: Family) => disjointRanges(entries, family);
  const isDefault = (name: string) => name.toLowerCase() === config.defaultClass.toLowerCase();
  return { names, defaultClass: names.find(isDefault)!, ipv4: ranges('ipv4'), ipv6: ranges('ipv6') };
}

function checkName(name: string): void {
  if (!CLASS_NAME.test(name)) {
    throw new UserError(
      `accounting: "${name}" is no class name; use up to 31 letters and digits, a letter first`,
    );
  }
  if (name.toLowerCase() === LINK_LOCAL_CLASS.toLowerCase()) {
    throw new UserError(`accounting: ${LINK_LOCAL_CLASS} is Lark's own class; choose another name`);
  }
}
