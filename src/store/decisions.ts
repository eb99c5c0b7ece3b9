/** Breakers as they stand, every change of them, and what people said of them. */
import type { Breaker, BreakerState, BreakerTransition, Forcing } from '../domain.ts';
import type { Database } from './database.ts';
import type { PathFilter } from './estimates.ts';
import { dateFromMs, epochMs, inParts, jsonParameter, queryTuples, withoutNulls } from './values.ts';

export interface TransitionFilter extends PathFilter {
  since?: Date;
  until?: Date;
  /** Only those that were stored after the one of this id, the oldest first. */
  afterId?: number;
  limit?: number;
}

export interface StoredTransition extends BreakerTransition {
  /** Grows with each one stored. */
  id: number;
}

export interface StoredForcing extends Forcing {
  id: number;
}

export interface DecisionChanges {
  /** New breakers, and those that are not as they were. */
  changed: readonly Breaker[];
  /** Breakers that are no more. */
  gone: readonly Pick<Breaker, 'srcSite' | 'dstSite' | 'policy'>[];
  transitions: readonly BreakerTransition[];
}

/** What of a breaker goes into its memory column; dates as ms since 1970. */
const MEMORY = [
  'openings',
  'leftOpenAt',
  'conditionSince',
  'retryAt',
  'notTrippedSince',
  'goodResults',
  'countedTo',
  'tickets',
  'withholds',
  'partOf',
] as const satisfies (keyof Breaker)[];
const DATES: ReadonlySet<string> = new Set([
  'leftOpenAt',
  'conditionSince',
  'retryAt',
  'notTrippedSince',
  'countedTo',
]);

export async function saveDecisions(db: Database, changes: DecisionChanges): Promise<void> {
  await db.transaction(async (tx) => {
    // Two writers changing the same set would each miss what the other adds.
    await tx.script('lock table breakers in share row exclusive mode');
    if (changes.gone.length > 0) {
      await tx.query(
        `delete from breakers where (src_site, dst_site, policy) in (
           select "srcSite", "dstSite", policy
           from jsonb_to_recordset($1::jsonb) as breaker("srcSite" text, "dstSite" text, policy text))`,
        [jsonParameter(changes.gone)],
      );
    }
    for (const part of inParts(changes.changed)) {
      await tx.query(
        `insert into breakers (src_site, dst_site, policy, state, reason, since, memory)
         select "srcSite", "dstSite", policy, state, reason, since, memory
         from json_to_recordset($1::json) as breaker(
           "srcSite" text, "dstSite" text, policy text, state text, reason text, since timestamptz, memory json)
         on conflict (src_site, dst_site, policy) do update set
           state = excluded.state, reason = excluded.reason, since = excluded.since, memory = excluded.memory`,
        [jsonParameter(part.map((breaker) => ({ ...breaker, memory: memoryOf(breaker) })))],
      );
    }
    if (changes.transitions.length === 0) return;
    await tx.query(
      `insert into breaker_transitions (src_site, dst_site, policy, at, from_state, to_state, reason, part_of)
       select "srcSite", "dstSite", policy, at, "from", "to", reason, "partOf"
       from jsonb_to_recordset($1::jsonb) as transition(
         "srcSite" text, "dstSite" text, policy text, at timestamptz, "from" text, "to" text, reason text,
         "partOf" text)`,
      [jsonParameter(changes.transitions)],
    );
  });
}

function memoryOf(breaker: Breaker): Record<string, unknown> {
  return Object.fromEntries(
    MEMORY.flatMap((key) => {
      const value = breaker[key];
      return value === undefined ? [] : [[key, value instanceof Date ? value.getTime() : value]];
    }),
  );
}

/** By source, destination, policy. */
export async function breakers(db: Database): Promise<Breaker[]> {
  type Row = [string, string, string, BreakerState, string, number, Record<string, unknown>];
  const rows = await queryTuples<Row>(
    db,
    `src_site, dst_site, policy, state, reason, ${epochMs('since')}, memory`,
    '(select * from breakers order by src_site, dst_site, policy) as b',
  );
  return rows.map(([srcSite, dstSite, policy, state, reason, since, memory]) => {
    for (const key of Object.keys(memory)) {
      if (DATES.has(key)) memory[key] = dateFromMs(memory[key] as number);
    }
    return { srcSite, dstSite, policy, state, reason, since: dateFromMs(since), ...memory } as Breaker;
  });
}

/** Newest first; with `afterId`, oldest first. */
export async function transitions(db: Database, filter: TransitionFilter = {}): Promise<StoredTransition[]> {
  const order = filter.afterId === undefined ? 'at desc, id desc' : 'id';
  type Row = Omit<StoredTransition, 'partOf'> & { partOf: string | null };
  const rows = await db.query<Row>(
    `select id::float8 as id, src_site as "srcSite", dst_site as "dstSite", policy, at, from_state as "from",
       to_state as "to", reason, part_of as "partOf"
     from breaker_transitions
     where ($1::timestamptz is null or at >= $1)
       and ($2::text is null or src_site = $2)
       and ($3::text is null or dst_site = $3)
       and ($5::bigint is null or id > $5)
       and ($6::timestamptz is null or at < $6)
     order by ${order}
     limit $4`,
    [filter.since, filter.srcSite, filter.dstSite, filter.limit, filter.afterId, filter.until],
  );
  return rows.map((row) => withoutNulls<StoredTransition>(row));
}

/** Takes down a person's word. One that was in force for the same breakers ends. */
export async function saveForcing(db: Database, forcing: Forcing): Promise<number> {
  return db.transaction(async (tx) => {
    await tx.query(
      `update forcings set until = $4
       where src_site = $1 and dst_site = $2 and policy is not distinct from $3 and until > $4`,
      [forcing.srcSite, forcing.dstSite, forcing.policy, forcing.at],
    );
    const [row] = await tx.query<{ id: number }>(
      `insert into forcings (src_site, dst_site, policy, state, owner, reason, at, until)
       values ($1, $2, $3, $4, $5, $6, $7, $8) returning id::float8 as id`,
      [
        forcing.srcSite,
        forcing.dstSite,
        forcing.policy,
        forcing.state,
        forcing.owner,
        forcing.reason,
        forcing.at,
        forcing.until,
      ],
    );
    return row!.id;
  });
}

/** Ends what is in force for exactly this; returns how many words that were. */
export async function endForcings(
  db: Database,
  of: Pick<Forcing, 'srcSite' | 'dstSite' | 'policy'>,
  at: Date,
): Promise<number> {
  const rows = await db.query<{ id: number }>(
    `update forcings set until = $4
     where src_site = $1 and dst_site = $2 and ($3::text is null or policy = $3) and until > $4
     returning id`,
    [of.srcSite, of.dstSite, of.policy, at],
  );
  return rows.length;
}

/** Those in force at a time or later; all, the newest first, without one. */
export async function forcings(db: Database, since?: Date): Promise<StoredForcing[]> {
  type Row = Omit<StoredForcing, 'policy'> & { policy: string | null };
  const rows = await db.query<Row>(
    `select id::float8 as id, src_site as "srcSite", dst_site as "dstSite", policy, state, owner, reason, at, until
     from forcings where $1::timestamptz is null or until > $1 order by at desc, id desc`,
    [since],
  );
  return rows.map((row) => withoutNulls<StoredForcing>(row));
}
