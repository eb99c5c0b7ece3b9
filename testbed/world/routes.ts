import type { Json, Test } from './model.ts';
import { mix, round, unit } from './rng.ts';
import { level, pathMtu } from './series.ts';

export interface Hop {
  ttl: number;
  /** Null for a router that keeps silent. */
  ip: string | null;
  /** Null where the measuring host did not find one. */
  hostname: string | null;
  /** Null where nobody knows whose the router is. */
  asn: number | null;
  rttMs: number | null;
  mtu: number;
}

/**
 * The way that a run's packets took. It changes with the path's level, and for good; on one path in four one of the
 * routers is balanced over two, run by run. One hop in twenty never answers, others miss a run. One run in fifty does
 * not get to the end: packets vanish somewhere, or go round between two routers.
 */
export function trace(test: Test, ts: number): Hop[] {
  const { path } = test;
  const hops: Hop[] = [];
  const lost =
    unit(test.id ^ 0x105e, ts) < 0.02 ? Math.floor(unit(test.id ^ 0x105f, ts) * path.hopCount) : null;
  const loops = lost !== null && lost >= 2 && unit(test.id ^ 0x100b, ts) < 0.3;
  for (let ttl = 1; ttl <= path.hopCount; ttl++) {
    const vanished = lost !== null && ttl > lost;
    const silent = (vanished && !loops) || isSilent(test, ttl, ts);
    hops.push(
      silent ? silentHop(test, ttl) : hopAt(test, vanished ? lost - ((ttl - lost) % 2) : ttl, ttl, ts),
    );
  }
  return hops;
}

function isSilent({ id, path }: Test, ttl: number, ts: number): boolean {
  if (ttl === path.hopCount) return false;
  return unit(path.id ^ 0x5113, ttl) < 0.05 || unit(mix(id ^ 0x5114, ttl), ts) < 0.01;
}

function silentHop(test: Test, ttl: number): Hop {
  return { ttl, ip: null, hostname: null, asn: null, rttMs: null, mtu: pathMtu(test) };
}

/** What answers at `ttl`: the router that stands at `place` of the way. */
function hopAt(test: Test, place: number, ttl: number, ts: number): Hop {
  const { path, ipVersion } = test;
  const isLast = place === path.hopCount;
  const variant = Math.floor(level(test, ts) * 10);
  const balanced = unit(path.id ^ 0xba1a, 0) < 0.25 && place === 1 + Math.floor(path.hopCount / 2);
  const lane = balanced && unit(test.id ^ 0x1a4e, ts) < 0.5 ? 0x40 : 0;
  const router = mix(path.id ^ variant ^ lane, place);
  const ip =
    ipVersion === 6
      ? `2001:db8:ffff::${((router >>> 8) & 0xffff).toString(16)}`
      : `198.18.${(router >>> 8) & 255}.${router & 255}`;
  return {
    ttl,
    ip: isLast ? test.destinationAddress : ip,
    hostname: !isLast && unit(router, 1) < 0.3 ? `r${router.toString(16)}.transit.example` : null,
    asn: unit(router, 2) < 0.12 ? null : systemAt(test, place),
    rttMs: round((2 * path.oneWayMs * ttl) / path.hopCount + unit(test.id ^ ttl, ts), 3),
    mtu: pathMtu(test),
  };
}

/** From documentation's range: the source's system, one between, the destination's. */
function systemAt({ source, destination, path }: Test, place: number): number {
  const part = Math.floor((3 * (place - 1)) / path.hopCount);
  if (part === 0) return 64_496 + (source.site.index % 8);
  return part === 1 ? 64_504 + (path.id % 4) : 64_508 + (destination.site.index % 4);
}

/** What every archive has of a hop that answered beside its address and time. */
export function hopDetails({ hostname, asn }: Hop): { [key: string]: Json } {
  return {
    ...(hostname !== null && { hostname }),
    ...(asn !== null && { as: { number: asn, owner: `AS${asn}, an example` } }),
  };
}
