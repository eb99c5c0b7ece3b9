import { LRUCache } from 'lru-cache';
import { identifier } from '../../address.ts';
import type { Hop, Route } from '../../domain.ts';
import { fieldsOf, textOf } from './fields.ts';
import { numberOf } from './numbers.ts';

/** A hop as archives give it, with its place on the way. */
interface NumberedHop {
  ttl: number;
  hop: Hop;
}

/** Beyond this, and without an answer from there, a "hop" is nonsense: packets carry no more. */
const LARGEST_TTL = 255;

/**
 * A route of the hops that answered. Places between them belong to routers that kept silent; silence after the last
 * that answered is not told, since how long a tool went on asking says nothing of the way. Undefined where no hop
 * answered. Of several at one place (probes that were balanced over several routers) the first counts.
 */
function routeOf(answered: readonly NumberedHop[], destination: string): Route | undefined {
  const hops: Hop[] = [];
  for (const { ttl, hop } of answered) {
    if (hops[ttl - 1]?.address !== undefined || hops[ttl - 1]?.name !== undefined) continue;
    while (hops.length < ttl) hops.push({});
    hops[ttl - 1] = hop;
  }
  const last = hops.at(-1);
  return last && { hops, isReached: last.address === destination || last.name === destination };
}

function hopOf(ttl: number | null, ip: unknown, hostname: unknown, asn: unknown): NumberedHop | undefined {
  if (ttl === null || !Number.isInteger(ttl) || ttl < 1 || ttl > LARGEST_TTL) return undefined;
  const hop = routerOf(textOf(ip) ?? '', textOf(hostname) ?? '', numberOf(asn));
  return hop && { ttl, hop };
}

/** A test meets the same routers each time, and reading an address takes a microsecond or two. */
const routers = new LRUCache<string, { hop: Hop | undefined }>({ max: 20_000 });

function routerOf(ip: string, hostname: string, asn: number | null): Hop | undefined {
  const key = `${ip} ${hostname} ${asn}`;
  const known = routers.get(key);
  if (known) return known.hop;
  const address = identifier(ip);
  const name = identifier(hostname);
  const hop: Hop | undefined =
    address || name
      ? {
          ...(address?.kind === 'address' && { address: address.text }),
          ...(name?.kind === 'name' && { name: name.text }),
          ...(address?.kind === 'name' && { name: address.text }),
          // 0 is what collectors write where nobody knew.
          ...(asn !== null && Number.isInteger(asn) && asn > 0 && { asn }),
        }
      : undefined;
  routers.set(key, { hop });
  return hop;
}

const isHop = (hop: NumberedHop | undefined): hop is NumberedHop => hop !== undefined;

/** Of `packet-trace`: a list of probes, each with its `ttl`; numbers are texts in old archives. */
export function routeOfProbes(val: unknown, destination: string): Route | undefined {
  if (!Array.isArray(val)) return undefined;
  const hops = val.map(fieldsOf).map((probe) => {
    return hopOf(numberOf(probe.ttl), probe.ip, probe.hostname, fieldsOf(probe.as).number);
  });
  return routeOf(hops.filter(isHop), destination);
}

/** Of a pScheduler result: a list of ways, of which the first counts; each a list of hops, silent ones without fields. */
export function routeOfPaths(paths: unknown, destination: string): Route | undefined {
  const [first] = Array.isArray(paths) ? (paths as unknown[]) : [];
  if (!Array.isArray(first)) return undefined;
  const hops = first.map(fieldsOf).map((hop, index) => {
    return hopOf(index + 1, hop.ip, hop.hostname, fieldsOf(hop.as).number);
  });
  return routeOf(hops.filter(isHop), destination);
}

/** Of parallel lists of the hops that answered. Without `ttls` nobody knows where silent hops were. */
export function routeOfLists(
  lists: { hops: unknown; ttls: unknown; asns: unknown },
  destination: string,
): Route | undefined {
  if (!Array.isArray(lists.hops)) return undefined;
  const [ttls, asns] = [lists.ttls, lists.asns].map((list) =>
    Array.isArray(list) && list.length === (lists.hops as unknown[]).length ? list : undefined,
  );
  const hops = lists.hops.map((ip: unknown, index) => {
    return hopOf(ttls ? numberOf(ttls[index]) : index + 1, ip, undefined, asns?.[index]);
  });
  return routeOf(hops.filter(isHop), destination);
}

/** Gives the same object for the same route, so that a page of a thousand runs holds a few. */
export class Routes {
  readonly #known = new Map<string, Route>();

  same(route: Route): Route {
    const key = JSON.stringify(route);
    const known = this.#known.get(key);
    if (!known) this.#known.set(key, route);
    return known ?? route;
  }
}
