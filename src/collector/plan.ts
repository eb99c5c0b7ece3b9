/** What stands in the collector under a name, as far as Lark knows. */
export interface Standing {
  contentHash: string;
  /** Undefined: it may stand there or not. */
  advertisedAt?: Date;
}

/**
 * Whether an ad must be sent: it is new, changed, or due for renewal.
 * @param renewAfterSeconds an unchanged ad is sent again when its last sending is as old as this
 */
export function isDue(
  contentHash: string,
  known: Standing | undefined,
  now: Date,
  renewAfterSeconds: number,
): boolean {
  if (known?.contentHash !== contentHash || !known.advertisedAt) return true;
  const ageMs = now.getTime() - known.advertisedAt.getTime();
  // A clock that was set back makes `advertisedAt` lie in the future: send rather than trust it.
  return ageMs < 0 || ageMs >= renewAfterSeconds * 1000;
}
