import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { MAPS } from './lark-hosts.ts';
import type { AttachedPool, PoolHost } from './pool.ts';

/** What the map LARK_PATH of a host said of a path from this time on, and whether its daemons had been told. */
export interface MapEntry {
  atMs: number;
  host: string;
  path: string;
  /** Undefined: the map had no entry for it. */
  state: string | undefined;
}

/** The maps of the central manager and the access points over time, looked at several times a second. */
export interface MapWatch {
  readonly history: readonly MapEntry[];
  /** What is in force now. */
  stateOf(host: string, path: string): string | undefined;
  stop(): void;
}

const EVERY_MS = 200;

export function watchMaps(pool: AttachedPool, paths: readonly string[]): MapWatch {
  const hosts = pool.hosts.filter(({ role }) => role !== 'ep');
  const history: MapEntry[] = [];
  const last = new Map<string, string | undefined>();
  const look = (): void => {
    for (const host of hosts) {
      const map = mapInForce(host);
      if (!map) continue;
      for (const path of paths) {
        const key = `${host.name} ${path}`;
        const state = map.get(path)?.split(',')[0];
        if (last.has(key) && last.get(key) === state) continue;
        last.set(key, state);
        history.push({ atMs: Date.now(), host: host.name, path, state });
      }
    }
  };
  look();
  const timer = setInterval(look, EVERY_MS);
  return {
    history,
    stateOf: (host, path) => last.get(`${host} ${path}`),
    stop: () => clearInterval(timer),
  };
}

/** The map as its daemons have read it; undefined while they have not been told of its newest version. */
function mapInForce(host: PoolHost): Map<string, string> | undefined {
  // A host's files lie in namespaces of its own; the kernel shows them here.
  const folder = join(`/proc/${host.initPid}/root`, MAPS);
  try {
    const file = join(folder, 'LARK_PATH.map');
    const text = readFileSync(file, 'utf8');
    const seconds = Math.floor(statSync(file).mtimeMs / 1000);
    const told = JSON.parse(readFileSync(join(folder, 'reconfigured.json'), 'utf8')) as {
      files?: Record<string, number>;
    };
    if (told.files?.['LARK_PATH.map'] !== seconds) return undefined;
    const lines = text.split('\n').filter((line) => line.startsWith('* '));
    return new Map(lines.map((line) => line.split(' ').slice(1, 3) as [string, string]));
  } catch {
    return undefined; // not written yet, or just being replaced
  }
}
