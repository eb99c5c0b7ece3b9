/** Which attributes of slots a match of a job asks about: only those are fetched. */
import { type ClassAd, ClassAdSyntaxError, type Expr, parseExpr, references } from 'classad-parser';
import { LARK_SLOT_ATTRIBUTES } from '../collector/slot-attributes.ts';

/** What is asked for in any case: what matches in most pools ask about, and what tells how a slot stands. */
export const SLOT_ATTRIBUTES: readonly string[] = [
  'Name',
  'Machine',
  'State',
  'Activity',
  'Offline',
  'SlotType',
  'PartitionableSlot',
  'Requirements',
  'START',
  'WithinResourceLimits',
  'Cpus',
  'Memory',
  'Disk',
  'GPUs',
  'TotalSlotCpus',
  'TotalSlotMemory',
  'TotalSlotDisk',
  'TotalSlotGPUs',
  'Arch',
  'OpSys',
  'OpSysAndVer',
  'FileSystemDomain',
  'HasFileTransfer',
  'LarkSite',
  ...LARK_SLOT_ATTRIBUTES,
];

/** They tell a machine's site and nothing else; a machine's name that only they ask about makes no difference. */
const SITE_EXPRESSIONS: ReadonlySet<string> = new Set(['larkhere', 'larkthere']);

/**
 * The slots' attributes that the job's and the slots' Requirements ask about, directly or through others, in lower
 * case. How they tell a slot's site is not looked into.
 * @param expressions of slots, by attribute in lower case: every text that any slot has for it
 */
export function attributesAsked(
  job: ClassAd,
  expressions: ReadonlyMap<string, ReadonlySet<string>>,
): Set<string> {
  const asked = { job: new Set<string>(), slot: new Set<string>() };
  const pending: ['job' | 'slot', string][] = [
    ['job', 'requirements'],
    ['slot', 'requirements'],
  ];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const [side, name] = next;
    if (asked[side].has(name)) continue;
    asked[side].add(name);
    if (SITE_EXPRESSIONS.has(name)) continue;
    for (const expr of side === 'job' ? ownExpr(job, name) : parsed(expressions.get(name) ?? [])) {
      const { my, target, unresolved } = references(expr, side === 'job' ? job : undefined);
      const other = side === 'job' ? 'slot' : 'job';
      for (const found of my) pending.push([side, found.toLowerCase()]);
      for (const found of target) pending.push([other, found.toLowerCase()]);
      // The slot's own, or else the job's; the job is known to have none of it.
      for (const found of unresolved) {
        pending.push(['slot', found.toLowerCase()]);
        if (side === 'slot') pending.push(['job', found.toLowerCase()]);
      }
    }
  }
  return asked.slot;
}

function ownExpr(job: ClassAd, name: string): Expr[] {
  const expr = job.get(name);
  return expr === undefined ? [] : [expr];
}

/** What cannot be read asks for nothing. */
function parsed(texts: Iterable<string>): Expr[] {
  return [...texts].flatMap((text) => {
    try {
      return [parseExpr(text)];
    } catch (error) {
      if (error instanceof ClassAdSyntaxError) return [];
      throw error;
    }
  });
}
