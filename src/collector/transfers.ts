/**
 * What the pool's own jobs tell of its paths: every run of a job moved its input from the access point to the execution
 * point and its output back, and the access point's history says how much, when, and to which machine.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type Htcondor, HtcondorError } from './htcondor.ts';

export interface Transfer {
  /** The same whenever this transfer is read: the job, which of its runs, and the direction. */
  id: string;
  /** Host name of the machine the job ran on. */
  executionPoint: string;
  /** `in`: from the access point to the execution point. */
  direction: 'in' | 'out';
  bytes: number;
  /** By the access point's clock, which HTCondor writes in whole seconds. */
  startedSeconds: number;
  finishedSeconds: number;
}

/** Why a transfer tells nothing of its path. */
export const TRANSFER_REJECTIONS = [
  'not-finished',
  'no-bytes',
  'too-short',
  'other-source',
  'earlier-runs-unknown',
  'no-execution-point',
  'in-the-future',
] as const;
export type TransferRejection = (typeof TRANSFER_REJECTIONS)[number];

export interface ReadTransfers {
  transfers: Transfer[];
  rejected: Partial<Record<TransferRejection, number>>;
}

/** So many jobs of a history are looked at in one read: HTCondor's own bound for who asks from afar is 50,000. */
const SCAN_LIMIT = 20_000;
/** Jobs whose runs are asked for one by one in one read. */
const MOST_SEVERAL_RUNS = 200;
const FUTURE_TOLERANCE_SECONDS = 300;
const DAY_SECONDS = 86_400;

const ATTRIBUTES = [
  ...['ClusterId', 'ProcId', 'GlobalJobId', 'NumShadowStarts', 'LastRemoteHost', 'RemoteHost'],
  ...['BytesRecvd', 'TransferInStarted', 'TransferInFinished', 'TransferInputStats'],
  ...['BytesSent', 'TransferOutStarted', 'TransferOutFinished', 'TransferOutputStats'],
];

// What is no number (an expression stands as text) is as good as absent.
const number = z.number().optional().catch(undefined);
const text = z.string().optional().catch(undefined);
const statistics = z.record(z.string(), z.unknown()).optional().catch(undefined);
const runAd = z.object({
  ClusterId: number,
  ProcId: number,
  GlobalJobId: text,
  NumShadowStarts: number,
  LastRemoteHost: text,
  RemoteHost: text,
  BytesRecvd: number,
  BytesSent: number,
  TransferInStarted: number,
  TransferInFinished: number,
  TransferInputStats: statistics,
  TransferOutStarted: number,
  TransferOutFinished: number,
  TransferOutputStats: statistics,
});
export type RunAd = z.infer<typeof runAd>;
const runAds = z.array(runAd);

/**
 * The transfers of jobs that ended at `since` or later and have left the schedd's queue. A job that ran several times is
 * told by its runs, where the schedd keeps them (JOB_EPOCH_HISTORY).
 * @throws HtcondorError
 */
export async function readTransfers(
  htcondor: Pick<Htcondor, 'history'>,
  schedd: string,
  since: Date,
  now: Date,
): Promise<ReadTransfers> {
  const sinceSeconds = Math.floor(since.getTime() / 1000);
  const query = { attributes: ATTRIBUTES, scanLimit: SCAN_LIMIT };
  const jobs = parsed(
    await htcondor.history(schedd, {
      ...query,
      constraint: `EnteredCurrentStatus >= ${sinceSeconds} && TransferInFinished > 0`,
      // The history is in the order in which jobs left the queue, and some stay there for a while when they are done.
      since: `EnteredCurrentStatus < ${sinceSeconds - DAY_SECONDS}`,
    }),
  );
  const several = jobs
    .filter((job) => runOf(job) > 1 && job.GlobalJobId !== undefined)
    .slice(0, MOST_SEVERAL_RUNS);
  const runs = several.length > 0 ? await runsOf(several) : [];
  return transfersOf([...runs, ...jobs], now);

  async function runsOf(some: readonly RunAd[]): Promise<RunAd[]> {
    const ids = some.map(({ GlobalJobId }) => JSON.stringify(GlobalJobId)).join(', ');
    try {
      return parsed(
        await htcondor.history(schedd, {
          ...query,
          constraint: `member(GlobalJobId, { ${ids} })`,
          isByRun: true,
        }),
      );
    } catch (error) {
      // Most schedds before HTCondor 24 keep no runs, and say so by failing.
      if (error instanceof HtcondorError) return [];
      throw error;
    }
  }
}

function parsed(json: string): RunAd[] {
  if (json.trim() === '') return [];
  try {
    return runAds.parse(JSON.parse(json));
  } catch {
    throw new HtcondorError('condor_history wrote something that is no list of ads');
  }
}

/** The part of `readTransfers` that asks nobody. Ads of the same run count once. */
export function transfersOf(ads: readonly RunAd[], now: Date): ReadTransfers {
  const nowSeconds = now.getTime() / 1000;
  const runs = new Map<string, RunAd>();
  for (const ad of ads) if (ad.GlobalJobId !== undefined) runs.set(runKey(ad, runOf(ad)), ad);
  const transfers: Transfer[] = [];
  const rejected: ReadTransfers['rejected'] = {};
  for (const ad of runs.values()) {
    const before = runs.get(runKey(ad, runOf(ad) - 1));
    for (const direction of ['in', 'out'] as const) {
      const found = transferOf(ad, before, direction, nowSeconds);
      if (typeof found === 'object') transfers.push(found);
      else if (found !== undefined) rejected[found] = (rejected[found] ?? 0) + 1;
    }
  }
  return { transfers, rejected };
}

const runOf = ({ NumShadowStarts = 1 }: RunAd): number => NumShadowStarts;
const runKey = ({ GlobalJobId }: RunAd, run: number): string => `${GlobalJobId} ${run}`;

/** Undefined where the run did not move anything this way, nor meant to. */
function transferOf(
  ad: RunAd,
  before: RunAd | undefined,
  direction: 'in' | 'out',
  nowSeconds: number,
): Transfer | TransferRejection | undefined {
  const isIn = direction === 'in';
  const started = isIn ? ad.TransferInStarted : ad.TransferOutStarted;
  const finished = isIn ? ad.TransferInFinished : ad.TransferOutFinished;
  if (started === undefined) return undefined;
  // A job that was put back while it moved files still has the end of an earlier transfer.
  if (finished === undefined || finished < started) return 'not-finished';
  if (finished > nowSeconds + FUTURE_TOLERANCE_SECONDS) return 'in-the-future';
  const run = runOf(ad);
  if (run > 1 && before === undefined) return 'earlier-runs-unknown';
  const total = (one: RunAd | undefined): number => (isIn ? one?.BytesRecvd : one?.BytesSent) ?? 0;
  // HTCondor adds up the bytes of all runs of a job.
  const bytes = total(ad) - total(before);
  if (bytes <= 0) return 'no-bytes';
  if (finished - started < 1) return 'too-short';
  if (wasMovedByPlugins(isIn ? ad.TransferInputStats : ad.TransferOutputStats)) return 'other-source';
  // While it runs, and in the ad of a run, LastRemoteHost is where the run before was.
  const executionPoint = /([^@]+)$/.exec(ad.RemoteHost ?? ad.LastRemoteHost ?? '')?.[1];
  if (executionPoint === undefined) return 'no-execution-point';
  return {
    ...{ id: `${ad.GlobalJobId} ${run} ${direction}`, executionPoint, direction, bytes },
    ...{ startedSeconds: started, finishedSeconds: finished },
  };
}

/** `HttpsFilesCountLastRun`, …: files that came from, or went to, somewhere else than the access point. */
function wasMovedByPlugins(counts: Record<string, unknown> = {}): boolean {
  return Object.entries(counts).some(
    ([name, count]) => /FilesCountLastRun$/i.test(name) && !/^Cedar/i.test(name) && Number(count) > 0,
  );
}

/** 0..999, the same for the same transfer: tells those apart that began or ended within one second. */
export function phaseMs({ id }: Pick<Transfer, 'id'>): number {
  return createHash('sha256').update(id).digest().readUInt32BE() % 1000;
}
