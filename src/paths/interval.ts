/** Fewer residuals than this are filled up by what is usual. */
const ENOUGH = 20;
const buffer = new Float64Array(512);
const lowest = new Float64Array(64);

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
  return [Math.min(0, tenth(total, 1)), Math.max(0, -tenth(total, -1))];
}

/** Straight from 0 at a half to the percentile at 0.9, and out to its double at 1. */
const priorDistance = (share: number, percentile: number): number =>
  share < 0.9 ? (percentile * (share - 0.5)) / 0.4 : percentile * (1 + (share - 0.9) / 0.1);

/**
 * The value of rank (n + 1) / 10 in the buffer, between neighbours where that is no whole number; with a sign of −1, of
 * the negated values, which is the other end's. Only the few lowest values are sorted: they are all that is asked for.
 */
function tenth(total: number, sign: 1 | -1): number {
  const rank = Math.max(1, (total + 1) / 10);
  const wanted = Math.min(total, Math.floor(rank) + 1);
  let found = 0;
  for (let i = 0; i < total; i++) {
    const value = sign * buffer[i]!;
    if (found === wanted && value >= lowest[found - 1]!) continue;
    let place = found < wanted ? found++ : found - 1;
    while (place > 0 && lowest[place - 1]! > value) {
      lowest[place] = lowest[place - 1]!;
      place--;
    }
    lowest[place] = value;
  }
  const below = lowest[Math.floor(rank) - 1]!;
  const above = lowest[wanted - 1]!;
  return below + (above - below) * (rank - Math.floor(rank));
}
