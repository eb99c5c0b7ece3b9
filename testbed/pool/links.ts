import type { AttachedPool } from './pool.ts';

/**
 * Limits on what crosses the paths between hosts of a pool, kept by the kernel where the switch hands a packet to the
 * receiving host: one HTB class for each sender. What no limit was given for goes at the machine's own speed.
 */
export interface Links {
  /**
   * Lets `from` send `to` no more than this; a later call changes it, also for connections that stand.
   * @throws when the pool has no such host, or tc refuses
   */
  shape(from: string, to: string, mbps: number): Promise<void>;
  /** Takes the limit away again; nothing happens where there is none. */
  clear(from: string, to: string): Promise<void>;
}

/** How long a packet may wait in the queue of a limit: as long as on a road of some thousand kilometres. */
const QUEUE_SECONDS = 0.05;
/** A veth hands over up to 64 KB at once: a shorter queue would hold nothing. */
const LEAST_QUEUE_BYTES = 256 * 1024;

export function linksOf(pool: AttachedPool): Links {
  /** The receivers that have a scheduler, each with its limited senders. */
  const shaped = new Map<string, Set<string>>();
  const tc = (...args: string[]) => pool.run('switch', ['tc', ...args]);
  /** The sender's number, as class and as priority of the filter that finds it. */
  const numberOf = (name: string): number => {
    const index = pool.hosts.findIndex((host) => host.name === name);
    if (index < 0) throw new Error(`The pool has no host "${name}"`);
    return index + 1;
  };

  return {
    async shape(from, to, mbps) {
      const number = numberOf(from);
      numberOf(to);
      const senders = shaped.get(to) ?? new Set();
      if (!shaped.has(to)) {
        shaped.set(to, senders);
        await tc('qdisc', 'add', 'dev', to, 'root', 'handle', '1:', 'htb');
      }
      const flow = `1:${number.toString(16)}`;
      const rate = `${mbps}mbit`;
      await tc('class', 'replace', 'dev', to, 'parent', '1:', 'classid', flow, 'htb', 'rate', rate);
      const queue = Math.max(LEAST_QUEUE_BYTES, Math.round((mbps * 1e6 * QUEUE_SECONDS) / 8));
      await tc('qdisc', 'replace', 'dev', to, 'parent', flow, 'bfifo', 'limit', String(queue));
      if (senders.has(from)) return;
      senders.add(from);
      const match = ['match', 'ip', 'src', `${pool.hosts[number - 1]!.address}/32`];
      const filter = ['filter', 'add', 'dev', to, 'parent', '1:', 'protocol', 'ip', 'prio', String(number)];
      await tc(...filter, 'u32', ...match, 'flowid', flow);
    },
    async clear(from, to) {
      if (!shaped.get(to)?.delete(from)) return;
      const number = numberOf(from);
      await tc('filter', 'del', 'dev', to, 'parent', '1:', 'protocol', 'ip', 'prio', String(number));
      await tc('class', 'del', 'dev', to, 'classid', `1:${number.toString(16)}`);
    },
  };
}
