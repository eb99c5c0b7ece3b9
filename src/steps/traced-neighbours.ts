/** The routers next to the ends of tests, joined with the store: derived again only when traces met another route. */
import { type Neighbours, neighboursOn } from '../sites/neighbours.ts';
import type { Store } from '../store/store.ts';

/** Routers stay where they are: what a trace met days ago still tells where its ends are. */
const ROUTES_DAYS = 7;

/** @throws when the store fails */
export async function tracedNeighbours(
  store: Pick<Store, 'currentRoutes' | 'currentRoutesMark'>,
  now: Date,
): Promise<Neighbours> {
  const since = new Date(now.getTime() - ROUTES_DAYS * 86_400_000);
  const mark = await store.currentRoutesMark(since);
  const before = remembered.get(store);
  if (before?.mark === mark) return before.neighbours;
  const neighbours = neighboursOn(await store.currentRoutes(since));
  remembered.set(store, { mark, neighbours });
  return neighbours;
}
const remembered = new WeakMap<object, { mark: string; neighbours: Neighbours }>();
