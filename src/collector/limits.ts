/** Concurrency limits from what paths carry, as configuration of the negotiator. */
import { EVERY_SITE } from '../domain.ts';
import type { PathMapEntry } from './path-map.ts';
import type { DaemonFile } from './user-map.ts';

export type LimitKind = 'none' | 'path' | 'destination';

/** A site as part of a limit's name; config/htcondor/access-point-limits.conf spells it the same way. */
const limitWord = (site: string): string => site.replace(/[^A-Za-z0-9_]/g, '_');

/**
 * The file that config/htcondor/central-manager.conf includes. A path carries as many transfers as its throughput has
 * room for, one at least; a destination as many as the best path into it. A limit on jobs that a breaker sets counts
 * where it is lower. A path of unknown throughput has no limit.
 */
export function limitsFile(paths: Iterable<PathMapEntry>, kind: LimitKind, mbpsPerJob: number): DaemonFile {
  const limits = new Map<string, number>();
  for (const { srcSite, dstSite, throughputMbps, withholds } of kind === 'none' ? [] : paths) {
    if (srcSite === EVERY_SITE || dstSite === EVERY_SITE) continue;
    const carried =
      throughputMbps === undefined ? Infinity : Math.max(1, Math.floor(throughputMbps / mbpsPerJob));
    if (kind === 'path') {
      const limit = Math.min(carried, withholds?.maxJobs ?? Infinity);
      if (limit < Infinity) limits.set(`${limitWord(srcSite)}_TO_${limitWord(dstSite)}`, limit);
    } else if (carried < Infinity) {
      const name = `TO_${limitWord(dstSite)}`;
      limits.set(name, Math.max(carried, limits.get(name) ?? 0));
    }
  }
  const lines = [...limits]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, n]) => `LARK_${name}_LIMIT = ${n}\n`);
  return { file: 'limits.conf', text: `# Written by Lark: changes made here are lost.\n${lines.join('')}` };
}
