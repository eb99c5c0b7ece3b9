import type { Archive, Fault } from '../domain.ts';
import type { ArchiveDriver, ReadContext } from './drivers/driver.ts';
import { DRIVERS } from './drivers/drivers.ts';
import { metadataRangeSeconds, metadataUrl } from './drivers/esmond-metadata.ts';
import { HttpFailure } from './http.ts';

export interface OpenedArchive {
  url: string;
  takeAnswer: ReadContext['takeAnswer'];
  /** Absent where the archive answered with an empty list: there is nothing to read, whatever its kind. */
  driver?: ArchiveDriver;
}

/**
 * Finds the URL that answers and the driver that fits. The probe is the first page of the metadata call, which the
 * driver then need not ask for again. The kind found before is tried first and given up where it does not fit.
 * http is not tried once a certificate was refused: that would make verification worth nothing.
 * @throws HttpFailure: of the failures of all URLs, that which says most
 */
export async function openArchive(
  archive: Archive,
  context: Pick<ReadContext, 'getJson' | 'now' | 'checkpoints' | 'lookbackMs' | 'overlapMs'>,
): Promise<OpenedArchive> {
  const rangeSeconds = metadataRangeSeconds(context);
  const drivers = DRIVERS.toSorted(
    (a, b) => Number(b.kind === archive.kind) - Number(a.kind === archive.kind),
  );
  const failures: HttpFailure[] = [];
  for (const url of archive.urls) {
    if (url.startsWith('http:') && failures.some(({ fault }) => fault === 'certificate')) continue;
    const probeUrl = metadataUrl(url, rangeSeconds);
    try {
      const answer = await context.getJson(probeUrl);
      if (!Array.isArray(answer))
        throw new HttpFailure('unknown-archive', probeUrl, 'answered JSON that is no list of metadata');
      if (answer.length === 0) return { url, takeAnswer: once(answer) };
      const driver = drivers.find((candidate) => candidate.recognises(answer));
      if (driver) return { url, takeAnswer: once(answer), driver };
      if (isMetadata(answer))
        throw new HttpFailure(
          'bad-data',
          probeUrl,
          'answered metadata with fields that are missing or of wrong types',
        );
      throw new HttpFailure('unknown-archive', probeUrl, 'answered a list that no archive driver recognises');
    } catch (error) {
      if (!(error instanceof HttpFailure)) throw error;
      failures.push(error);
    }
  }
  const [tellingMost] = failures.toSorted((a, b) => eloquence(b.fault) - eloquence(a.fault));
  throw tellingMost ?? new HttpFailure('unknown-archive', archive.key, 'has no URL');
}

/** A time limit says more than a closed port, and any answer more than none. */
const SILENT_FAULTS: readonly Fault[] = ['dns', 'unreachable', 'refused', 'timeout'];

function eloquence(fault: Fault): number {
  const rank = SILENT_FAULTS.indexOf(fault);
  return rank === -1 ? SILENT_FAULTS.length : rank;
}

/** Elements that mean to be metadata. */
function isMetadata(answer: readonly unknown[]): boolean {
  return answer.some(
    (element) => typeof element === 'object' && element !== null && 'metadata-key' in element,
  );
}

function once(answer: readonly unknown[]): () => readonly unknown[] {
  let held = answer;
  return () => {
    const taken = held;
    held = [];
    return taken;
  };
}
