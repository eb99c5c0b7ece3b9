import type { AttachedPool } from './pool.ts';

/** What a job took, as the queue's history has it. Times are epoch seconds. */
export interface JobRecord {
  schedd: string;
  id: string;
  /** The site it ran at last; undefined where it never ran. */
  site: string | undefined;
  inputMiB: number;
  startedAt: number | undefined;
  endedAt: number | undefined;
  /** How long the slot was held for it, over all of its runs, and how many these were. */
  wallSeconds: number;
  runs: number;
  /** How long the input of its last run waited and moved, where HTCondor tells. */
  inputSeconds: number | undefined;
}

export interface JobBatch {
  /** Whole MB (10^6 bytes) of input; 0: none. The file is sparse, but all of it is transferred. */
  inputMB: number;
  count: number;
  seconds: number;
  /** The one site where it may run. */
  site?: string;
  /** Told apart by it afterwards: the job attribute LarkBatch. */
  batch: string;
}

const asUser = (script: string): string[] => ['runuser', '-u', 'lark', '--', 'sh', '-ec', `cd; ${script}`];

/** Submits sleeping jobs as the user `lark` of an access point. @throws what condor_submit says */
export async function submit(pool: AttachedPool, accessPoint: string, batch: JobBatch): Promise<void> {
  const { inputMB, count, seconds, site } = batch;
  const input = `input-${inputMB}.dat`;
  if (inputMB > 0) await pool.run(accessPoint, asUser(`truncate -s ${inputMB}000000 ${input}`));
  const lines = [
    'executable = /bin/sleep',
    'transfer_executable = false',
    `arguments = ${seconds}`,
    'should_transfer_files = yes',
    ...(inputMB > 0 ? [`transfer_input_files = ${input}`] : []),
    'request_cpus = 1',
    'request_memory = 32MB',
    'request_disk = 40MB',
    `+LarkBatch = "${batch.batch}"`,
    ...(site === undefined ? [] : [`requirements = TARGET.LarkSite == "${site}"`]),
    `queue ${count}`,
    '',
  ];
  await pool.run(accessPoint, asUser('condor_submit -'), { input: lines.join('\n') });
}

const HISTORY = [
  'ClusterId',
  'ProcId',
  'LarkBatch',
  'MachineAttrLarkSite0',
  'TransferInputSizeMB',
  'JobCurrentStartDate',
  'CompletionDate',
  'RemoteWallClockTime',
  'NumShadowStarts',
  'TransferInQueued',
  'TransferInStarted',
  'TransferInFinished',
];

/** The jobs of a batch that ended at an access point. */
export async function ended(pool: AttachedPool, accessPoint: string, batch: string): Promise<JobRecord[]> {
  const constraint = ['-constraint', `LarkBatch == "${batch}"`];
  const argv = ['condor_history', ...constraint, '-json', '-attributes', HISTORY.join(',')];
  const text = await pool.run(accessPoint, argv);
  const ads = JSON.parse(text.trim() || '[]') as Record<string, number & string>[];
  return ads.map((ad) => ({
    schedd: accessPoint,
    id: `${ad.ClusterId}.${ad.ProcId}`,
    site: ad.MachineAttrLarkSite0,
    inputMiB: ad.TransferInputSizeMB ?? 0,
    startedAt: ad.JobCurrentStartDate,
    endedAt: ad.CompletionDate || undefined,
    wallSeconds: ad.RemoteWallClockTime ?? 0,
    runs: ad.NumShadowStarts ?? 0,
    inputSeconds:
      ad.TransferInFinished !== undefined
        ? ad.TransferInFinished - (ad.TransferInQueued ?? ad.TransferInStarted ?? ad.TransferInFinished)
        : undefined,
  }));
}

/** How many jobs of a batch wait, run and are on hold at an access point. */
export async function queued(
  pool: AttachedPool,
  accessPoint: string,
  batch: string,
): Promise<{ idle: number; running: number; held: number }> {
  const argv = ['condor_q', '-allusers', '-constraint', `LarkBatch == "${batch}"`, '-af', 'JobStatus'];
  const states = (await pool.run(accessPoint, argv)).split('\n').map(Number);
  const count = (...wanted: number[]) => states.filter((state) => wanted.includes(state)).length;
  return { idle: count(1), running: count(2, 6), held: count(5) };
}

/** A negotiation cycle, in ms since 1970; the negotiator's log has whole seconds. */
export interface NegotiationCycle {
  startedMs: number;
  finishedMs: number;
}

/** What the negotiator's log tells: its cycles, and how many matches it made in all. */
export async function negotiations(
  pool: AttachedPool,
): Promise<{ cycles: NegotiationCycle[]; matches: number }> {
  const log = await pool.run('cm', ['sh', '-c', 'cat /var/log/condor/NegotiatorLog*']);
  const cycles: NegotiationCycle[] = [];
  let startedMs: number | undefined;
  for (const line of log.split('\n')) {
    // The hosts' clocks say UTC.
    const [, month, day, year, time] =
      /^(\d\d)\/(\d\d)\/(\d\d) (\S+) -+ \w+ Negotiation Cycle/.exec(line) ?? [];
    if (time === undefined) continue;
    const atMs = Date.parse(`20${year}-${month}-${day}T${time}Z`);
    if (line.includes('Started')) startedMs = atMs;
    else if (startedMs !== undefined) cycles.push({ startedMs, finishedMs: atMs });
  }
  return { cycles, matches: log.match(/ Matched \d/g)?.length ?? 0 };
}
