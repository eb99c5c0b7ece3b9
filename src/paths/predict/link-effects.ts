import type { PairLinks } from './links.ts';

/** By how much a measured pair is off its prediction, on the scale of the model, and over which links it goes. */
export interface TracedResidual {
  /** Names the path; each one once. */
  pair: string;
  links: PairLinks;
  residual: number;
}

/** So many pairs on which nothing is wrong does each link begin with. */
const PENALTY = 1;
const ROUNDS = 25;

/**
 * What each link adds to or takes from the pairs that use it: a ridge regression of residuals on links. This is the same
 * as a mean of the residuals, drawn to 0, in which pairs count by the number of links they have in common; a link that
 * one slow pair and many usual ones share is not to blame, the one that only slow pairs share is.
 * Deterministic; the order of the residuals makes no difference.
 */
export class LinkEffects {
  private readonly effects = new Map<string, number>();

  constructor(residuals: readonly TracedResidual[]) {
    const sorted = residuals.toSorted((a, b) => (a.pair < b.pair ? -1 : 1));
    const rest = Float64Array.from(sorted, ({ residual }) => residual);
    const uses = new Map<string, { pair: number; share: number }[]>();
    for (const [pair, { links }] of sorted.entries())
      for (const [link, share] of links) {
        const known = uses.get(link);
        if (known) known.push({ pair, share });
        else uses.set(link, [{ pair, share }]);
      }
    // One link after the other takes what the others leave (Gauss and Seidel): the sum of squares only falls.
    for (let round = 0; round < ROUNDS; round++) {
      for (const [link, users] of uses) {
        const before = this.effects.get(link) ?? 0;
        let sum = 0;
        let weight = PENALTY;
        for (const { pair, share } of users) {
          sum += share * (rest[pair]! + share * before);
          weight += share * share;
        }
        const effect = sum / weight;
        for (const { pair, share } of users) rest[pair]! -= share * (effect - before);
        this.effects.set(link, effect);
      }
    }
  }

  /** What is to be added to the prediction of a pair; undefined where it shares no link with any measured pair. */
  correction(links: PairLinks): number | undefined {
    let sum: number | undefined;
    for (const [link, share] of links) {
      const effect = this.effects.get(link);
      if (effect !== undefined) sum = (sum ?? 0) + share * effect;
    }
    return sum;
  }
}
