import { identifier } from '../../address.ts';
import type { Series } from '../../domain.ts';

/** What an archive says of a test's two ends: as it reports them, and as they were configured. */
export interface ReportedEndpoints {
  source: string;
  destination: string;
  inputSource?: string | undefined;
  inputDestination?: string | undefined;
}

export type Endpoints = Pick<
  Series,
  'source' | 'destination' | 'sourceName' | 'destinationName' | 'ipVersion'
>;

/** A test's endpoints: their addresses (or the texts the archive has instead), and the names they were given. */
export function endpointsOf(reported: ReportedEndpoints): Endpoints {
  const source = identifier(reported.source);
  const destination = identifier(reported.destination);
  const sourceName = nameOf(reported.inputSource, reported.source);
  const destinationName = nameOf(reported.inputDestination, reported.destination);
  const address = [source, destination].find((end) => end?.kind === 'address')?.text;
  return {
    source: source?.text ?? reported.source.toLowerCase(),
    destination: destination?.text ?? reported.destination.toLowerCase(),
    ...(sourceName !== undefined && { sourceName }),
    ...(destinationName !== undefined && { destinationName }),
    ...(address !== undefined && { ipVersion: address.includes(':') ? 6 : 4 }),
  };
}

function nameOf(...texts: (string | undefined)[]): string | undefined {
  return texts.map((text) => identifier(text ?? '')).find((found) => found?.kind === 'name')?.text;
}
