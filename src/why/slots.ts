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

/** A line of ads, read once: slots have most of theirs in common. */
interface Line {
  id: number;
  /** As the ad spells it, and in lower case. */
  name: string;
  lower: string;
  value: string;
  isLiteral: boolean;
  expr: Expr | undefined;
}

/** Slots as lines. */
export interface SlotLines {
  slots: Line[][];
  /** Every line that any of them has. */
  lines: Line[];
}

/** What need not be parsed to know that it asks about nothing. */
const LITERAL = /^(?:"(?:[^"\\]|\\.)*"|[-+\d.][\w.+-]*|true|false|undefined)$/i;

/** @param text as `condor_status -long` writes ads: old syntax, a blank line between two */
export function slotLines(text: string): SlotLines {
  const known = new Map<string, Line>();
  const slots: Line[][] = [];
  let slot: Line[] = [];
  for (let start = 0; start < text.length; ) {
    let end = text.indexOf('\n', start);
    if (end === -1) end = text.length;
    const whole = text.slice(start, end);
    start = end + 1;
    const line = known.get(whole) ?? lineOf(whole, known.size);
    if (line) {
      known.set(whole, line);
      slot.push(line);
    } else if (slot.length > 0) {
      slots.push(slot);
      slot = [];
    }
  }
  if (slot.length > 0) slots.push(slot);
  return { slots, lines: [...known.values()] };
}

function lineOf(text: string, id: number): Line | undefined {
  const cut = text.indexOf(' = ');
  if (cut <= 0) return undefined;
  const name = text.slice(0, cut).trim();
  const value = text.slice(cut + 3).trim();
  return { id, name, lower: name.toLowerCase(), value, isLiteral: LITERAL.test(value), expr: undefined };
}

/** By attribute, in lower case: every text that any of the slots has for it, literals left out. */
export function expressionsIn({ lines }: SlotLines): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const { lower, value, isLiteral } of lines) {
    if (!isLiteral) found.set(lower, (found.get(lower) ?? new Set()).add(value));
  }
  return found;
}

/**
 * @param asked attributes that make a difference, in lower case; others do not part slots
 * @param siteOf the site of a machine by its name, for slots that do not say theirs
 */
export function groupSlots(
  { slots }: SlotLines,
  asked: ReadonlySet<string>,
  siteOf: (machine: string) => string | undefined,
): SlotGroup[] {
  const groups = new Map<string, SlotGroup>();
  for (const lines of slots) {
    let key = '';
    let expressionsKey = '';
    let machine = '';
    let site: string | undefined;
    for (const { id, lower, value, isLiteral } of lines) {
      if (lower === 'machine') machine = unquoted(value) ?? '';
      else if (lower === 'larksite') site = unquoted(value) ?? site;
      if (asked.has(lower) || ALWAYS.has(lower)) key += `${id} `;
      if (!isLiteral) expressionsKey += `${id} `;
    }
    site ??= siteOf(machine);
    key += site ?? '';
    const group = groups.get(key);
    if (group) {
      group.slots += 1;
      continue;
    }
    const ad = new ClassAd();
    for (const line of lines) ad.insert(line.name, exprOf(line));
    groups.set(key, { ad, expressionsKey, slots: 1, site });
  }
  return [...groups.values()];
}

/** What is read once is compiled once, too. */
function exprOf(line: Line): Expr {
  // As a line of an ad, since old syntax has escapes of its own.
  line.expr ??= parseAds(`X = ${line.value}\n`)[0]!.get('X')!;
  return line.expr;
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
