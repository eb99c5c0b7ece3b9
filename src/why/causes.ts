/** What keeps a job from a slot. Evaluated as the negotiator would, clause by clause. */
import {
  type ClassAd,
  type CompiledExpr,
  compile,
  type EvaluationContext,
  type Expr,
  toNumber,
} from 'classad-parser';
import { z } from 'zod';
import { breakerCause, breakerCauseOf, type JobNeeds, type KnownPath } from './breaker-cause.ts';
import { type Clause, clausesOf, clauseWords, holds, type Side } from './clauses.ts';
import type { SlotGroup } from './slots.ts';

const clauseCause = z.object({
  kind: z.enum(['requirements', 'start']).meta({
    description: "requirements: a clause of the job's own; start: one of the slot's",
  }),
  clause: z.string(),
  found: z.string().meta({ description: 'the values that the clause met, for example' }),
});
const resourceCause = z.object({
  kind: z.enum(['too-small', 'busy']).meta({
    description: 'too-small: the slot never has so much; busy: it has, but not free now',
  }),
  resource: z.string(),
  asked: z.number().nullable(),
  most: z.number().nullable().meta({ description: 'the largest that any of these slots has, or has free' }),
});
const stateCause = z.object({
  kind: z.enum(['claimed', 'offline', 'drained', 'owner']),
});
export const cause = z.discriminatedUnion('kind', [breakerCause, clauseCause, resourceCause, stateCause]);
export type Cause = z.infer<typeof cause>;

/** The order in which causes are told: what will not pass by itself comes first. */
const RANK: readonly Cause['kind'][] = [
  'requirements',
  'start',
  'too-small',
  'drained',
  'offline',
  'owner',
  'breaker',
  'busy',
  'claimed',
];

export interface MatchWorld {
  context: Pick<EvaluationContext, 'now' | 'userMaps'>;
  paths: ReadonlyMap<string, KnownPath>;
  needs: JobNeeds;
}

interface Checked extends Clause {
  value: CompiledExpr;
}

/** The attributes that a partitionable slot has less of as it is used, and where it says how much it has in all. */
const RESOURCES: ReadonlyMap<string, readonly [name: string, total: string]> = new Map([
  ['cpus', ['Cpus', 'TotalSlotCpus']],
  ['memory', ['Memory', 'TotalSlotMemory']],
  ['disk', ['Disk', 'TotalSlotDisk']],
  ['gpus', ['GPUs', 'TotalSlotGPUs']],
]);

/** Judges one job against many slots. Conditions that slots have in common are taken apart once. */
export class Matcher {
  readonly #job: ClassAd;
  readonly #world: MatchWorld;
  readonly #ofJob: readonly Checked[];
  readonly #ofSlots = new Map<string, readonly Checked[]>();
  readonly #compiled = new Map<Expr, CompiledExpr>();

  constructor(job: ClassAd, world: MatchWorld) {
    this.#job = job;
    this.#world = world;
    this.#ofJob = this.#checked(job, 'job');
  }

  #checked(ad: ClassAd, side: Side): Checked[] {
    return clausesOf(ad, 'Requirements', side).map((clause) => ({
      ...clause,
      value: this.#compile(clause.expr),
    }));
  }

  #compile(expr: Expr): CompiledExpr {
    const known = this.#compiled.get(expr) ?? compile(expr, this.#world.context);
    this.#compiled.set(expr, known);
    return known;
  }

  #clausesOf({ ad, expressionsKey }: SlotGroup): readonly Checked[] {
    const known = this.#ofSlots.get(expressionsKey) ?? this.#checked(ad, 'slot');
    this.#ofSlots.set(expressionsKey, known);
    return known;
  }

  /** Whether the job or these slots ask for Lark's word: without that, an open breaker withholds nothing. */
  asksLark(group: SlotGroup): boolean {
    return [this.#ofJob, this.#clausesOf(group)].some((clauses) => clauses.some(directionOf));
  }

  /** All that keeps the job from these slots, what will not pass by itself first; none where they match. */
  causes(group: SlotGroup): Cause[] {
    const { ad, site } = group;
    const found = new Map<string, Cause>();
    const add = (one: Cause, key: string): unknown => found.get(key) ?? found.set(key, one);
    const { paths, needs } = this.#world;
    for (const clause of [...this.#ofJob, ...this.#clausesOf(group)]) {
      if (this.#holds(clause, ad)) continue;
      const direction = directionOf(clause);
      if (direction) {
        add(breakerCauseOf(needs, site, direction, paths), `breaker ${direction}`);
        continue;
      }
      const resource = resourceIn(clause);
      const whole = resource && this.#whole(ad);
      if (resource && whole) {
        const isBusy = whole !== ad && this.#holds(clause, whole);
        if (isBusy || isRequest(clause, resource)) {
          const most = (isBusy ? ad : whole).getNumber(resource) ?? null;
          const asked = toNumber(this.#job.evaluate(`Request${resource}`, { target: ad })) ?? null;
          add({ kind: isBusy ? 'busy' : 'too-small', resource, asked, most }, `resource ${resource}`);
          continue;
        }
      }
      const [my, target] = clause.side === 'job' ? [this.#job, ad] : [ad, this.#job];
      const words = clauseWords(clause, { ...this.#world.context, my, target });
      add(
        { kind: clause.side === 'job' ? 'requirements' : 'start', ...words },
        `${clause.side} ${words.clause}`,
      );
    }
    const state = stateCauseOf(ad, found.size > 0);
    return [...found.values(), ...(state ? [state] : [])].sort(
      (a, b) => RANK.indexOf(a.kind) - RANK.indexOf(b.kind),
    );
  }

  #holds({ side, value }: Checked, slot: ClassAd): boolean {
    return holds(side === 'job' ? value(this.#job, slot) : value(slot, this.#job));
  }

  /** The slot as if nothing of it were in use. */
  #whole(ad: ClassAd): ClassAd {
    if (ad.getBoolean('PartitionableSlot') !== true) return ad;
    const whole = ad.clone();
    for (const [name, total] of RESOURCES.values()) {
      const expr = ad.get(total);
      if (expr) whole.insert(name, expr);
    }
    return whole;
  }
}

/** Of a clause that asks for Lark's word: about the way in or the way out. */
function directionOf({ own, other }: Clause): 'in' | 'out' | undefined {
  for (const name of [...own, ...other]) {
    if (name === 'larkwithholdsin') return 'in';
    if (name === 'larkwithholdsout') return 'out';
  }
  return undefined;
}

/** The resource of the slot that a clause asks about. */
function resourceIn({ side, own, other }: Clause): string | undefined {
  const ofSlot = side === 'job' ? other : own;
  for (const [lower, [name]] of RESOURCES) if (ofSlot.has(lower)) return name;
  return undefined;
}

/** Whether the clause is about how much of it the job requests, and not a condition that somebody wrote. */
function isRequest({ side, own, other, within }: Clause, resource: string): boolean {
  const ofJob = side === 'job' ? own : other;
  return (
    ofJob.has(`request${resource.toLowerCase()}`) ||
    (side === 'slot' && within.toLowerCase() === 'withinresourcelimits')
  );
}

/** A slot's own state, as far as it keeps the job away by itself. */
function stateCauseOf(ad: ClassAd, hasOthers: boolean): Cause | undefined {
  if (ad.getBoolean('Offline')) return { kind: 'offline' };
  switch (ad.getString('State')) {
    case 'Drained':
      return { kind: 'drained' };
    case 'Owner':
      // Its START does not hold, which is told with its clause.
      return hasOthers ? undefined : { kind: 'owner' };
    case 'Claimed':
    case 'Matched':
    case 'Preempting':
      // A partitionable slot of which every part is used is told as busy.
      return ad.getBoolean('PartitionableSlot') ? undefined : { kind: 'claimed' };
    default:
      return undefined;
  }
}
