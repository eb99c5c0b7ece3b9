/** What stands in the collector under a name, as far as Lark knows. */
export interface Standing {
  contentHash: string;
  advertisedAt: Date;
}

export interface PublicationPlan {
  /** Names to send: new, changed, or due for renewal. */
  advertise: string[];
  /** Names to take away: they stand, but are no longer wanted. */
  withdraw: string[];
}

/**
 * What must be said to the collector so that exactly the wanted ads stand there.
 * @param wanted name → hash of the ad's content
 * @param renewAfterSeconds an unchanged ad is sent again when its last sending is as old as this
 */
export function planPublication(
  wanted: ReadonlyMap<string, string>,
  standing: ReadonlyMap<string, Standing>,
  now: Date,
  renewAfterSeconds: number,
): PublicationPlan {
  const renewBefore = now.getTime() - renewAfterSeconds * 1000;
  const advertise: string[] = [];
  for (const [name, contentHash] of wanted) {
    const known = standing.get(name);
    // A clock that was set back makes `advertisedAt` lie in the future: send rather than trust it.
    const fresh = known && known.advertisedAt.getTime() > renewBefore && known.advertisedAt <= now;
    if (!fresh || known.contentHash !== contentHash) advertise.push(name);
  }
  const withdraw = [...standing.keys()].filter((name) => !wanted.has(name));
  return { advertise, withdraw };
}
