/** The slots of a pool, those that no match of a job could tell apart taken together. */
import { ClassAd, type Expr, parseAds } from 'classad-parser';

export interface SlotGroup {
  /** One of them. */
  ad: ClassAd;
  /** The same for all that have the same expressions. */
  expressionsKey: string;
  slots: number;
  /** As Lark calls it; undefined where nothing tells it. */
  site: string | undefined;
}

interface Line {
  /** As the ad spells it. */
  name: string;
  value: string;
}

/** Ads in old syntax, a blank line between two. */
const blocksOf = (text: string): string[] => text.split(/\n\s*\n/).filter((block) => block.trim() !== '');

function* linesOf(block: string): Generator<Line> {
  for (const text of block.split('\n')) {
    const cut = text.indexOf(' = ');
    if (cut > 0) yield { name: text.slice(0, cut).trim(), value: text.slice(cut + 3).trim() };
  }
}

/** What need not be parsed to know that it asks about nothing. */
const LITERAL = /^(?:"(?:[^"\\]|\\.)*"|[-+\d.][\w.+-]*|true|false|undefined)$/i;

/** By attribute, in lower case: every text that any of the slots has for it, literals left out. */
export function expressionsIn(text: string): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const block of blocksOf(text)) {
    for (const { name, value } of linesOf(block)) {
      if (LITERAL.test(value)) continue;
      const lower = name.toLowerCase();
      const known = found.get(lower);
      if (known) known.add(value);
      else found.set(lower, new Set([value]));
    }
  }
  return found;
}

/**
 * @param text as `condor_status -long` writes slots
 * @param asked attributes that make a difference, in lower case; others do not part slots
 * @param siteOf the site of a machine by its name, for slots that do not say theirs
 */
export function groupSlots(
  text: string,
  asked: ReadonlySet<string>,
  siteOf: (machine: string) => string | undefined,
): SlotGroup[] {
  const read = expressionReader();
  const groups = new Map<string, SlotGroup>();
  for (const block of blocksOf(text)) {
    const lines = [...linesOf(block)];
    let key = '';
    let expressionsKey = '';
    let machine = '';
    let site: string | undefined;
    for (const { name, value } of lines) {
      const lower = name.toLowerCase();
      if (lower === 'machine') machine = unquoted(value) ?? '';
      else if (lower === 'larksite') site = unquoted(value) ?? site;
      if (asked.has(lower) || ALWAYS.has(lower)) key += `${lower}=${value}\n`;
      if (!LITERAL.test(value)) expressionsKey += `${lower}=${value}\n`;
    }
    site ??= siteOf(machine);
    key += site ?? '';
    const group = groups.get(key);
    if (group) {
      group.slots += 1;
      continue;
    }
    const ad = new ClassAd();
    for (const { name, value } of lines) ad.insert(name, read(value));
    groups.set(key, { ad, expressionsKey, slots: 1, site });
  }
  return [...groups.values()];
}

/** Reads each text once: slots have most in common, and what is read once is compiled once. */
function expressionReader(): (text: string) => Expr {
  const known = new Map<string, Expr>();
  return (text) => {
    let expr = known.get(text);
    if (expr === undefined) {
      // As a line of an ad, since old syntax has escapes of its own.
      expr = parseAds(`X = ${text}\n`)[0]!.get('X')!;
      known.set(text, expr);
    }
    return expr;
  };
}

/** They tell how a slot stands, whatever is asked. */
const ALWAYS: ReadonlySet<string> = new Set([
  'state',
  'offline',
  'partitionableslot',
  'cpus',
  'memory',
  'gpus',
  'totalslotcpus',
  'totalslotmemory',
  'totalslotdisk',
  'totalslotgpus',
]);

const unquoted = (value: string): string | undefined => /^"(.*)"$/.exec(value)?.[1];
