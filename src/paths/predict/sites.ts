/** What is known of a site besides its measurements. */
export interface SiteFacts {
  name: string;
  latitude?: number;
  longitude?: number;
  /** Largest interface registered there. */
  capacityMbps?: number;
}

const EARTH_DIAMETER_KM = 12_742;
const RADIANS = Math.PI / 180;
/** Light in fibre: 200 km in a millisecond. */
const KM_PER_MS = 200;

/** What light in a straight fibre takes from one site to the other; undefined where a place is not known. */
export function straightMs(a: SiteFacts, b: SiteFacts): number | undefined {
  if (a.latitude === undefined || a.longitude === undefined) return undefined;
  if (b.latitude === undefined || b.longitude === undefined) return undefined;
  const half = (degrees: number): number => Math.sin((degrees * RADIANS) / 2) ** 2;
  const h =
    half(b.latitude - a.latitude) +
    Math.cos(a.latitude * RADIANS) * Math.cos(b.latitude * RADIANS) * half(b.longitude - a.longitude);
  return (EARTH_DIAMETER_KM * Math.asin(Math.min(1, Math.sqrt(h)))) / KM_PER_MS;
}
