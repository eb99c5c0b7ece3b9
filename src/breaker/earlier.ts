import type { Breaker } from '../domain.ts';

/**
 * The breakers as they were, to be taken one by one. Maps within maps rather than one map by a joined name: joining
 * and hashing fifty thousand names takes as long as all else that a decision does.
 */
export class EarlierBreakers {
  readonly #all: readonly Breaker[];
  readonly #bySource = new Map<string, Map<string, Breaker[]>>();
  readonly #taken: Breaker[] = [];

  constructor(all: readonly Breaker[]) {
    this.#all = all;
    for (const breaker of all) {
      let byDestination = this.#bySource.get(breaker.srcSite);
      if (!byDestination) {
        byDestination = new Map();
        this.#bySource.set(breaker.srcSite, byDestination);
      }
      const ofPath = byDestination.get(breaker.dstSite);
      if (ofPath) ofPath.push(breaker);
      else byDestination.set(breaker.dstSite, [breaker]);
    }
  }

  /** Of one path, one for each policy; not to be changed. */
  ofPath({ srcSite, dstSite }: { srcSite: string; dstSite: string }): readonly Breaker[] {
    return this.#bySource.get(srcSite)?.get(dstSite) ?? [];
  }

  take(ofPath: readonly Breaker[], policy: string): Breaker | undefined {
    const found = ofPath.find((breaker) => breaker.policy === policy);
    if (found) this.#taken.push(found);
    return found;
  }

  /** Those that nobody took. */
  left(): Breaker[] {
    if (this.#taken.length === this.#all.length) return [];
    const taken = new Set(this.#taken);
    return this.#all.filter((breaker) => !taken.has(breaker));
  }
}
