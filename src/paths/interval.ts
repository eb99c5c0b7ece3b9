/** Fewer residuals than this are filled up by what is usual. */
const ENOUGH = 20;
const buffer = new Float64Array(512);

/**
 * The 80 % interval around a forecast: quantiles of what earlier forecasts missed by (split conformal prediction: with
 * n exchangeable residuals the next lies below the one of rank r with probability r / (n + 1)). Where there are few,
 * the rest up to 20 comes of the prior, so that two lucky forecasts do not make a narrow interval.
 *
 * @param prior how far the 10th and 90th percentiles are usually below and above
 * @returns offsets to the forecast, the lower ≤ 0 ≤ the upper
 */
export function intervalOf(
  residuals: Float64Array,
  count: number,
  prior: readonly [below: number, above: number],
): [below: number, above: number] {
  const total = Math.max(count, ENOUGH);
  for (let i = 0; i < count; i++) buffer[i] = residuals[i]!;
  for (let i = count; i < total; i++) {
    const share = (i - count + 0.5) / (total - count);
    buffer[i] = share < 0.5 ? -priorDistance(1 - share, prior[0]) : priorDistance(share, prior[1]);
  }
  const sorted = buffer.subarray(0, total).sort();
  return [Math.min(0, atRank(sorted, 0.1)), Math.max(0, atRank(sorted, 0.9))];
}

/** Straight from 0 at a half to the percentile at 0.9, and out to its double at 1. */
const priorDistance = (share: number, percentile: number): number =>
  share < 0.9 ? (percentile * (share - 0.5)) / 0.4 : percentile * (1 + (share - 0.9) / 0.1);

/** The value of rank share × (n + 1), between neighbours where that is no whole number. */
function atRank(sorted: Float64Array, share: number): number {
  const rank = Math.min(sorted.length, Math.max(1, share * (sorted.length + 1)));
  const low = Math.floor(rank);
  const below = sorted[low - 1]!;
  const above = sorted[Math.min(low, sorted.length - 1)]!;
  return below + (above - below) * (rank - low);
}
