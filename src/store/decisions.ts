/** Breakers as they stand, and every change of them. */
import type { Breaker, BreakerState, BreakerTransition } from '../domain.ts';
import type { Database } from './database.ts';
import type { PathFilter } from './estimates.ts';
import { dateFromMs, epochMs, jsonParameter, queryTuples } from './values.ts';

export interface TransitionFilter extends PathFilter {
  since?: Date;
  limit?: number;
}

/** `breakers` is the full current set: what is not in it goes. `transitions` are added. */
export async function saveDecisions(
  db: Database,
  breakers: readonly Breaker[],
  transitions: readonly BreakerTransition[],
): Promise<void> {
  await db.transaction(async (tx) => {
    // Two writers replacing the same set would each miss what the other adds.
    await tx.script('lock table breakers in share row exclusive mode');
    const breakerSet = jsonParameter(breakers);
    await tx.query(
      `delete from breakers where (src_site, dst_site, policy) not in (
         select "srcSite", "dstSite", policy
         from jsonb_to_recordset($1::jsonb) as breaker("srcSite" text, "dstSite" text, policy text))`,
      [breakerSet],
    );
    await tx.query(
      `insert into breakers (src_site, dst_site, policy, state, reason, since, condition_since, max_input_mb)
       select "srcSite", "dstSite", policy, state, reason, since, "conditionSince", "maxInputMB"
       from jsonb_to_recordset($1::jsonb) as breaker(
         "srcSite" text, "dstSite" text, policy text, state text, reason text, since timestamptz,
         "conditionSince" timestamptz, "maxInputMB" float8)
       on conflict (src_site, dst_site, policy) do update set
         state = excluded.state, reason = excluded.reason, since = excluded.since,
         condition_since = excluded.condition_since, max_input_mb = excluded.max_input_mb
       where breakers is distinct from excluded`,
      [breakerSet],
    );
    await tx.query(
      `insert into breaker_transitions (src_site, dst_site, policy, at, from_state, to_state, reason)
       select "srcSite", "dstSite", policy, at, "from", "to", reason
       from jsonb_to_recordset($1::jsonb) as transition(
         "srcSite" text, "dstSite" text, policy text, at timestamptz, "from" text, "to" text, reason text)`,
      [jsonParameter(transitions)],
    );
  });
}

/** By source, destination, policy. */
export async function breakers(db: Database): Promise<Breaker[]> {
  const rows = await queryTuples<
    [string, string, string, BreakerState, string, number, number | null, number | null]
  >(
    db,
    `src_site, dst_site, policy, state, reason, ${epochMs('since')}, ${epochMs('condition_since')}, max_input_mb`,
    '(select * from breakers order by src_site, dst_site, policy) as b',
  );
  return rows.map(([srcSite, dstSite, policy, state, reason, since, conditionSince, maxInputMB]) => ({
    srcSite,
    dstSite,
    policy,
    state,
    reason,
    since: dateFromMs(since),
    ...(conditionSince !== null && { conditionSince: dateFromMs(conditionSince) }),
    ...(maxInputMB !== null && { maxInputMB }),
  }));
}

/** Newest first. */
export async function transitions(db: Database, filter: TransitionFilter = {}): Promise<BreakerTransition[]> {
  return db.query<BreakerTransition>(
    `select
       src_site as "srcSite", dst_site as "dstSite", policy, at, from_state as "from", to_state as "to", reason
     from breaker_transitions
     where ($1::timestamptz is null or at >= $1)
       and ($2::text is null or src_site = $2)
       and ($3::text is null or dst_site = $3)
     order by at desc, id desc
     limit $4`,
    [filter.since, filter.srcSite, filter.dstSite, filter.limit],
  );
}
