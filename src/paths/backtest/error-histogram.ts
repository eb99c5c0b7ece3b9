const PER_DECADE = 400;
const DECADES_BELOW = 6;
const SIZE = PER_DECADE * (DECADES_BELOW + 5);

/** Relative errors in bins of 0.6 %: quantiles of any number of them in constant memory. */
export class ErrorHistogram {
  count = 0;
  private readonly bins = new Float64Array(SIZE + 1);

  add(error: number): void {
    const bin = Math.ceil((Math.log10(error) + DECADES_BELOW) * PER_DECADE);
    this.bins[Math.min(SIZE, Math.max(0, bin))]!++;
    this.count++;
  }

  /** NaN without errors. */
  quantile(share: number): number {
    if (this.count === 0) return Number.NaN;
    let left = share * this.count;
    let bin = 0;
    while (bin < SIZE && left > this.bins[bin]!) left -= this.bins[bin++]!;
    return bin === 0 ? 0 : 10 ** ((bin - 0.5) / PER_DECADE - DECADES_BELOW);
  }
}
