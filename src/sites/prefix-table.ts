import ipaddr from 'ipaddr.js';

/** A prefix of the table and the sites that claim it. */
export interface PrefixHit {
  prefix: string;
  sites: ReadonlySet<string>;
}

/**
 * Longest-prefix match over both families: a binary trie in one array of child numbers, two for each node, so that a
 * look-up is at most 32 or 128 array reads and makes no garbage.
 */
export class PrefixTable {
  /** `children[2 * node + bit]`: the next node, 0 for none. Node 0 is the root of IPv4, node 1 that of IPv6. */
  #children: number[] = [0, 0, 0, 0];
  #hits: (PrefixHit | undefined)[] = [undefined, undefined];

  /** Prefixes claimed for a second time join their sites. */
  add(prefix: string, site: string): void {
    const [network, length] = ipaddr.parseCIDR(prefix);
    const bytes = network.toByteArray();
    let node = bytes.length === 4 ? 0 : 1;
    for (let i = 0; i < length; i++) {
      const slot = 2 * node + bitOf(bytes, i);
      node = this.#children[slot]!;
      if (node === 0) {
        node = this.#hits.length;
        this.#children[slot] = node;
        this.#children.push(0, 0);
        this.#hits.push(undefined);
      }
    }
    const before = this.#hits[node];
    this.#hits[node] = { prefix: before?.prefix ?? prefix, sites: new Set([...(before?.sites ?? []), site]) };
  }

  /** @param address IPv4 or IPv6 in text form; undefined for what no prefix holds and for what is no address */
  longest(address: string): PrefixHit | undefined {
    const bytes = bytesOf(address);
    return bytes && this.#walk(bytes);
  }

  #walk(bytes: readonly number[]): PrefixHit | undefined {
    let node = bytes.length === 4 ? 0 : 1;
    let best = this.#hits[node];
    for (let i = 0; i < 8 * bytes.length; i++) {
      node = this.#children[2 * node + bitOf(bytes, i)]!;
      if (node === 0) break;
      best = this.#hits[node] ?? best;
    }
    return best;
  }
}

const bitOf = (bytes: readonly number[], i: number): number => (bytes[i >> 3]! >> (7 - (i & 7))) & 1;

/** Network order. Plain IPv4 text is read here, as it is nearly all there is; the library knows every other form. */
function bytesOf(address: string): number[] | undefined {
  const plain = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(address);
  if (plain && !/(^|\.)0\d/.test(address)) {
    const bytes = plain.slice(1).map(Number);
    return bytes.every((byte) => byte < 256) ? bytes : undefined;
  }
  return ipaddr.isValid(address) ? ipaddr.process(address).toByteArray() : undefined;
}
