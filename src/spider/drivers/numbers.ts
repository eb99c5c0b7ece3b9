/** Numbers come as texts from some esmond versions. */
export function numberOf(value: unknown): number | null {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : null;
}

/** Epoch ms of a time given in epoch seconds; null for anything else, and for what must be milliseconds or nonsense. */
export function msOf(value: unknown): number | null {
  const seconds = numberOf(value);
  return seconds !== null && seconds > 0 && seconds < YEAR_2100 ? Math.round(seconds * 1000) : null;
}

export function timeOf(value: unknown): Date | null {
  const ms = msOf(value);
  return ms === null ? null : new Date(ms);
}

const YEAR_2100 = 4_102_444_800;
