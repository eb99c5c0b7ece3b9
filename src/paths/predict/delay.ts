import { type Cells, type PairFeatures, SiteModel } from './site-model.ts';
import { type SiteFacts, straightMs } from './sites.ts';

/** A detour can undercut what two other paths add up to, and clocks are a little off: bounds get this much room. */
const ROOM = 1.25;

/**
 * The delay of any pair: as measured the other way where it was, which goes through the same cables; else from the
 * straight line between the two and what each adds, held within what the delays over common neighbours k allow:
 * |d(i,k) − d(k,j)| ≤ d(i,j) ≤ d(i,k) + d(k,j). Where the places are not known, what common neighbours allow is all.
 */
export class DelayModel {
  private readonly sites: readonly SiteFacts[];
  private readonly model: SiteModel;
  /** For each site, the other end and the delay of what is measured from or to it. */
  private readonly near: Map<number, number>[];

  /** @param cells delays, or half round-trip times, in ms */
  constructor(cells: Cells, sites: readonly SiteFacts[]) {
    this.sites = sites;
    this.near = sites.map(() => new Map<number, number>());
    for (let i = 0; i < cells.values.length; i++) {
      const [a, b, ms] = [cells.sources[i]!, cells.destinations[i]!, cells.values[i]!];
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        const known = this.near[from]!.get(to);
        this.near[from]!.set(to, known === undefined ? ms : Math.sqrt(known * ms));
      }
    }
    const logs = { ...cells, values: cells.values.map((ms) => Math.log(ms)) };
    this.model = new SiteModel(logs, sites.length, new DelayFeatures(sites), {
      rank: 0,
      rounds: 6,
      huber: 0.3,
    });
  }

  /** In ms; undefined where nothing tells. */
  value(source: number, destination: number): number | undefined {
    const back = this.near[source]!.get(destination);
    if (back !== undefined) return back;
    let most = Infinity;
    let least = 0;
    const [few, many] = [this.near[source]!, this.near[destination]!];
    for (const [neighbour, ms] of few) {
      const other = many.get(neighbour);
      if (other === undefined) continue;
      most = Math.min(most, ms + other);
      least = Math.max(least, Math.abs(ms - other));
    }
    if (straightMs(this.sites[source]!, this.sites[destination]!) === undefined)
      return most === Infinity ? undefined : Math.sqrt(Math.max(least, most / 4) * most);
    const modelled = Math.exp(this.model.value(source, destination));
    return Math.min(most * ROOM, Math.max(least / ROOM, modelled));
  }
}

class DelayFeatures implements PairFeatures {
  readonly count = 4;
  private readonly sites: readonly SiteFacts[];

  constructor(sites: readonly SiteFacts[]) {
    this.sites = sites;
  }

  fill(row: Float64Array, source: number, destination: number): void {
    const straight = straightMs(this.sites[source]!, this.sites[destination]!);
    const log = Math.log(1 + (straight ?? 0));
    row[0] = 1;
    row[1] = straight === undefined ? 1 : 0;
    row[2] = log;
    row[3] = Math.max(0, log - 2);
  }

  slope(): number {
    return 0;
  }
}
