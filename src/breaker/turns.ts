/** Half-open breakers let tickets through in turns: whose turn is when. */
import type { Policy } from './policy.ts';

/** Jobs carry a ticket of 0..99; see Breaker.tickets. */
export const TICKETS = 100;

type Turns = Pick<Policy, 'halfOpenShare' | 'halfOpenTurnSeconds'>;

const widthOf = ({ halfOpenShare }: Turns): number => Math.min(TICKETS, Math.round(halfOpenShare * TICKETS));

/**
 * Which tickets have their turn: a share of all, moving on by itself each turn, so that every job comes to its turn
 * and no more than a share can cross between two of them. The last turn of a round is cut at the end.
 * @param since when the breaker became half-open
 */
export function turnAt(policy: Turns, since: Date, now: Date): { from: number; to: number } {
  const width = widthOf(policy);
  if (width === 0) return { from: 0, to: 0 };
  const turns = Math.ceil(TICKETS / width);
  const passed = Math.floor((now.getTime() - since.getTime()) / 1000 / policy.halfOpenTurnSeconds);
  const from = (passed % turns) * width;
  return { from, to: Math.min(TICKETS, from + width) };
}

/**
 * The turn of a ticket that is under way at `now`, or else the next one; undefined where no ticket ever has one.
 * Should the breaker open or close before, it does not come.
 */
export function turnOf(
  ticket: number,
  policy: Turns,
  since: Date,
  now: Date,
): { from: Date; to: Date } | undefined {
  const width = widthOf(policy);
  if (width === 0) return undefined;
  const turns = Math.ceil(TICKETS / width);
  const turnMs = policy.halfOpenTurnSeconds * 1000;
  const passed = Math.floor((now.getTime() - since.getTime()) / turnMs);
  const mine = Math.floor(ticket / width);
  const next = passed + ((((mine - passed) % turns) + turns) % turns);
  return {
    from: new Date(since.getTime() + next * turnMs),
    to: new Date(since.getTime() + (next + 1) * turnMs),
  };
}
