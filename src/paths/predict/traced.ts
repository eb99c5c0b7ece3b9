import { LinkEffects, type TracedResidual } from './link-effects.ts';
import type { PairLinks } from './links.ts';
import type { Cells } from './site-model.ts';

/** On the scale of the model; undefined where it has nothing to tell of the pair. */
export type PairModel = (source: number, destination: number) => number | undefined;

/** Knows the links of a pair of site numbers, and its name. */
export interface Ways {
  linksOf: (source: number, destination: number) => PairLinks | undefined;
  nameOf: (source: number, destination: number) => string;
}

/**
 * After so many rounds the two agree: what slow links take is not put down to the sites at their ends, and the other way
 * round.
 */
const ROUNDS = 4;

/**
 * A model of sites and links together: what pairs miss their prediction by is put down to the links they share, then the
 * sites are looked at again without it.
 * @param sites the model that `modelOf` makes of the cells
 * @returns tells only of pairs that share a link with a measured one
 */
export function withLinks(
  cells: Cells,
  modelOf: (cells: Cells) => PairModel,
  sites: PairModel,
  { linksOf, nameOf }: Ways,
): PairModel {
  let model = sites;
  let effects = effectsOf(cells, model);
  for (let round = 1; round < ROUNDS; round++) {
    const values = cells.values.map((value, i) => value - (correction(i) ?? 0));
    model = modelOf({ ...cells, values });
    effects = effectsOf(cells, model);
  }
  return (source, destination) => {
    const links = linksOf(source, destination);
    const ofLinks = links && effects.correction(links);
    const ofSites = ofLinks === undefined ? undefined : model(source, destination);
    return ofSites === undefined ? undefined : ofSites + ofLinks!;
  };

  function correction(i: number): number | undefined {
    const links = linksOf(cells.sources[i]!, cells.destinations[i]!);
    return links && effects.correction(links);
  }

  function effectsOf({ sources, destinations, values }: Cells, model: PairModel): LinkEffects {
    const residuals: TracedResidual[] = [];
    for (let i = 0; i < values.length; i++) {
      const [source, destination] = [sources[i]!, destinations[i]!];
      const links = linksOf(source, destination);
      const predicted = links && model(source, destination);
      if (!links || predicted === undefined) continue;
      residuals.push({ pair: nameOf(source, destination), links, residual: values[i]! - predicted });
    }
    return new LinkEffects(residuals);
  }
}
