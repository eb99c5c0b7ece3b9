/**
 * The part of a cycle that is about what the pool's own jobs moved: read from the histories of the access points, stored
 * as samples, and handed to the estimates as evidence. See paths/fusion-windows.ts for how a transfer is stored.
 */
import { ClassAdSyntaxError, parseJsonAds } from 'classad-parser';
import { type Htcondor, HtcondorError } from '../collector/htcondor.ts';
import { phaseMs, readTransfers, type Transfer } from '../collector/transfers.ts';
import type { Config } from '../config.ts';
import {
  type Archive,
  type ArchiveReport,
  pathName,
  type Sample,
  type SeriesRead,
  TRANSFER_TOOL,
} from '../domain.ts';
import { inColumns } from '../judged.ts';
import type { Log } from '../log.ts';
import type { PathInput } from '../paths/estimate.ts';
import { transferEvidence } from '../paths/fusion.ts';
import {
  type Columns,
  type MovedFiles,
  pairedTransfers,
  TRANSFER_EVENTS,
  type TransferSeries,
} from '../paths/fusion-windows.ts';
import type { PathSeries } from '../paths/pairs.ts';
import type { Store } from '../store/store.ts';
import { siteUserMap } from './pool.ts';

const HOUR_MS = 3_600_000;
/** Before the last good read, what is read again: clocks differ, and schedds restart. */
const OVERLAP_MS = HOUR_MS;
/** Access points that are not reached must not hold up the cycle: the others are read in the next one. */
const MOST_SECONDS = 60;

interface Deps {
  store: Store;
  htcondor: Htcondor | undefined;
  config: Config;
  now: Date;
  log: Log;
  signal: AbortSignal;
}

/** Discovery and harvest are about archives that are asked by URL; the history of a schedd has none. */
export const hasUrl = ({ urls }: Pick<Archive, 'urls'>): boolean => urls.length > 0;

const archiveOf = (schedd: string): string => `htcondor:${schedd}`;

/**
 * Reads the histories that are due, the longest unread first. One that cannot be read costs a warning. Machines that no
 * cycle has located yet are left for the next read, which begins an hour before this one.
 * @throws when the store fails
 */
export async function readPoolTransfers(deps: Deps): Promise<{ warnings: string[] }> {
  const { store, htcondor, config, now, log, signal } = deps;
  if (!htcondor || !config.transfers.enabled) return { warnings: [] };
  const siteOf = await machineSites(store);
  // The first cycle of all knows no machine yet.
  if (siteOf.size === 0) return { warnings: [] };
  const warnings: string[] = [];
  try {
    const known = new Map((await store.archives()).map((each) => [each.key, each]));
    const readAt = (schedd: string): number => known.get(archiveOf(schedd))?.lastReport?.at.getTime() ?? 0;
    const due = (await schedds(htcondor))
      .filter(({ name }) => now.getTime() - readAt(name) >= config.transfers.everyMinutes * 60_000)
      .sort((a, b) => readAt(a.name) - readAt(b.name));
    const begun = performance.now();
    for (const { name, machine } of due) {
      if (signal.aborted || performance.now() - begun > MOST_SECONDS * 1000) break;
      const site = siteOf.get(machine.toLowerCase());
      if (site === undefined) continue;
      const last = known.get(archiveOf(name))?.lastSuccessAt?.getTime() ?? 0;
      const earliest = now.getTime() - config.harvest.lookbackHours * HOUR_MS;
      const since = new Date(Math.max(last - OVERLAP_MS, earliest));
      await store.saveArchives([{ key: archiveOf(name), urls: [], sources: ['the pool'] }], now);
      const started = performance.now();
      const report: ArchiveReport = {
        ...{ archiveKey: archiveOf(name), outcome: 'ok', requests: 1, seriesRead: 0, samplesRead: 0 },
        seconds: 0,
      };
      try {
        const found = await readTransfers(htcondor, name, since, now);
        const { reads, unmapped } = transferReads(found.transfers, archiveOf(name), site, siteOf, now);
        await store.saveReads(reads.map(inColumns), now);
        report.seriesRead = reads.length;
        report.samplesRead = reads.reduce((sum, { samples }) => sum + samples.length, 0);
        const { transfers, rejected } = found;
        log.debug({ schedd: name, transfers: transfers.length, rejected, unmapped }, "jobs' transfers read");
      } catch (error) {
        if (!(error instanceof HtcondorError)) throw error;
        report.outcome = 'failed';
        report.message = `the transfers of ${name} could not be read: ${error.message}`;
        warnings.push(report.message);
      }
      report.seconds = (performance.now() - started) / 1000;
      await store.saveArchiveReport(report, now);
    }
  } catch (error) {
    if (!(error instanceof HtcondorError || error instanceof ClassAdSyntaxError)) throw error;
    warnings.push(`the pool's access points could not be listed: ${error.message}`);
  }
  return { warnings };
}

async function schedds(htcondor: Htcondor): Promise<{ name: string; machine: string }[]> {
  const ads = parseJsonAds(await htcondor.ads('MyType == "Scheduler"', ['Name', 'Machine']));
  return ads.flatMap((ad) => {
    const [name, machine] = [ad.getString('Name'), ad.getString('Machine')];
    return name && machine ? [{ name, machine }] : [];
  });
}

/** By name in lower case. */
async function machineSites(store: Store): Promise<Map<string, string>> {
  const machines = await store.machines();
  const located = machines.map((machine) => ({ ...machine, subject: machine.key }));
  const { entries } = siteUserMap(machines, located);
  return new Map([...entries].map(([name, site]) => [name.toLowerCase(), site]));
}

/**
 * What is stored of the transfers of one access point. Those that stayed within its site are left out: they cross no
 * path. `unmapped` are those whose machine has no site.
 */
export function transferReads(
  transfers: readonly Transfer[],
  archiveKey: string,
  site: string,
  siteOf: ReadonlyMap<string, string>,
  now: Date,
): { reads: SeriesRead<Sample>[]; unmapped: number } {
  const reads = new Map<string, SeriesRead<Sample>>();
  let unmapped = 0;
  for (const transfer of transfers) {
    const { executionPoint, direction, bytes, startedSeconds, finishedSeconds } = transfer;
    const other = siteOf.get(executionPoint.toLowerCase());
    if (other === undefined) unmapped++;
    if (other === undefined || other === site) continue;
    const [source, destination] = direction === 'in' ? [site, other] : [other, site];
    const value = (bytes * 8) / 1e6 / (finishedSeconds - startedSeconds);
    const phase = phaseMs(transfer);
    for (const [eventType, seconds] of [
      [TRANSFER_EVENTS[0], startedSeconds],
      [TRANSFER_EVENTS[1], finishedSeconds],
    ] as const) {
      const metadataKey = `${pathName({ srcSite: source, dstSite: destination })} ${eventType}`;
      const read = reads.get(metadataKey) ?? {
        series: {
          ...{ archiveKey, metadataKey, source, destination, eventType },
          ...{ tool: TRANSFER_TOOL, metric: 'throughputMbps' as const },
        },
        samples: [],
        checkpoint: now,
      };
      reads.set(metadataKey, read);
      read.samples.push({ at: new Date(seconds * 1000 + phase), value, verdict: 'good' });
    }
  }
  for (const { samples } of reads.values()) samples.sort((a, b) => a.at.getTime() - b.at.getTime());
  return { reads: [...reads.values()], unmapped };
}

/** The inputs of estimates, each with what the pool's transfers say of its path. */
export async function withTransferEvidence(
  store: Store,
  paths: readonly (PathSeries | undefined)[],
  inputs: readonly PathInput[],
  { windowHours }: Config['estimate'],
  now: Date,
): Promise<readonly PathInput[]> {
  const crossed = new Map(
    paths.flatMap((path) => (path?.transfers ? [[pathName(path), path.transfers]] : [])),
  );
  if (crossed.size === 0) return inputs;
  const ids = [...crossed.values()].flatMap((series) => series.map(({ id }) => id));
  const samples = await store.samples(ids, new Date(now.getTime() - windowHours * HOUR_MS));
  return withTransfersOf(inputs, crossed, samples);
}

/**
 * The part of `withTransferEvidence` that reads nothing.
 * @param crossed the series of transfers, by path
 * @param samples of their window, by series
 */
export function withTransfersOf(
  inputs: readonly PathInput[],
  crossed: ReadonlyMap<string, readonly TransferSeries[]>,
  samples: ReadonlyMap<number, Columns>,
): PathInput[] {
  return inputs.map((input) => {
    const byAccessPoint = Map.groupBy(crossed.get(pathName(input)) ?? [], ({ archiveKey }) => archiveKey);
    const moved = [...byAccessPoint.values()].flatMap((series): MovedFiles[] => {
      const [started, finished] = TRANSFER_EVENTS.map((event) => {
        const id = series.find((one) => one.event === event)?.id;
        return id === undefined ? undefined : samples.get(id);
      });
      return started && finished ? pairedTransfers(started, finished) : [];
    });
    const evidence = transferEvidence(moved, input.series);
    return evidence ? { ...input, evidence: [evidence] } : input;
  });
}
