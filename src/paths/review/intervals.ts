/** So many of the newest gaps tell how often a test is run. */
const GAPS = 21;
const FEWEST_GAPS = 2;

/** The usual time between samples, ms: the median of the newest gaps. Undefined where there are too few. */
export function usualInterval(atMs: Float64Array): number | undefined {
  const first = Math.max(1, atMs.length - GAPS);
  const count = atMs.length - first;
  if (count < FEWEST_GAPS) return undefined;
  const gaps = new Float64Array(count);
  for (let i = 0; i < count; i++) gaps[i] = atMs[first + i]! - atMs[first + i - 1]!;
  return gaps.sort()[count >> 1];
}
