import { setTimeout as sleep } from 'node:timers/promises';
import { ended, type JobRecord, submit } from '../testbed/pool/jobs.ts';
import { type LarkPool, startLarkPool } from '../testbed/pool/lark-pool.ts';

/**
 * What a breaker is worth: the same jobs of mixed input on one pool with Lark off and with Lark on, one path of three
 * being bad. Transfers and measurements are real and share the links; a slot is held while its job's input moves. Off
 * and on take turns, so that both meet the same machine.
 */
const ROUNDS = 2;
const ACCESS_POINT = 'ap1';
const LINK_MBPS = 100;
const BAD_MBPS = 8;
const BAD_PATH = 'UNL>UCSD';
const SLEEP_SECONDS = 2;
/** Jobs by their input in MB. */
const WORKLOAD = [
  { inputMB: 1, count: 48 },
  { inputMB: 6, count: 27 },
  { inputMB: 20, count: 9 },
];
const LIFETIME_SECONDS = 12;

/** Reads of links that carry large input, too, stay above it; holding for a while keeps single ones from counting. */
const POLICY = `Name = "slow-path"
Covers = true
Trip = ThroughputMbps < 12.0
Reset = ThroughputMbps > 30.0
MinSamples = 3
MinQuality = 0.05
HoldSeconds = 4
MinOpenSeconds = 300
MaxInputMB = 3
`;

interface Run {
  makespanSeconds: number;
  /** Over all jobs: the time that slots were held and no job ran in them. */
  wastedCpuHours: number;
  /** The part of it in which input waited or moved. */
  inputCpuHours: number;
  largeJobsOnBadPath: number;
  jobsBySite: Record<string, number>;
}

interface Result {
  jobs: number;
  inputMB: number;
  linkMbps: number;
  badPathMbps: number;
  off: Run[];
  on: Run[];
  /** Off over on, of the sums of all rounds. */
  makespanRatio: number;
  wastedCpuRatio: number;
  inputCpuRatio: number;
}

/** @param progress gets one line for each step */
export async function run(progress: (line: string) => void): Promise<Result> {
  const lark = await startLarkPool({
    linkMbps: LINK_MBPS,
    policy: POLICY,
    settings: { publish: { lifetimeSeconds: LIFETIME_SECONDS } },
    // As HTCondor has it, unlike the tests' pool: a slow transfer must not hold up the others at the access point.
    condor: { ap: 'MAX_CONCURRENT_UPLOADS = 100' },
    progress,
  });
  try {
    await lark.links.shape(ACCESS_POINT, 'ep1', BAD_MBPS);
    lark.measuring.begin();
    const [off, on]: [Run[], Run[]] = [[], []];
    for (let round = 1; round <= ROUNDS; round++) {
      await untilPathIs(lark, undefined);
      off.push(await runWorkload(lark, `off${round}`));
      progress(`round ${round}, Lark off: ${told(off.at(-1)!)}`);
      await lark.service.start();
      await untilPathIs(lark, 'OPEN');
      on.push(await runWorkload(lark, `on${round}`));
      progress(`round ${round}, Lark on: ${told(on.at(-1)!)}`);
      await lark.service.kill();
    }
    type Field = 'makespanSeconds' | 'wastedCpuHours' | 'inputCpuHours';
    const sum = (runs: readonly Run[], field: Field) => runs.reduce((total, each) => total + each[field], 0);
    const ratio = (field: Field) => Math.round((100 * sum(off, field)) / sum(on, field)) / 100;
    return {
      jobs: WORKLOAD.reduce((total, { count }) => total + count, 0),
      inputMB: WORKLOAD.reduce((total, { count, inputMB }) => total + count * inputMB, 0),
      linkMbps: LINK_MBPS,
      badPathMbps: BAD_MBPS,
      off,
      on,
      makespanRatio: ratio('makespanSeconds'),
      wastedCpuRatio: ratio('wastedCpuHours'),
      inputCpuRatio: ratio('inputCpuHours'),
    };
  } finally {
    await lark.stop();
  }
}

/** Until negotiator and access point know the bad path to be so; undefined: know nothing of it. */
async function untilPathIs(lark: LarkPool, state: string | undefined): Promise<void> {
  const deadline = Date.now() + 90_000;
  while (['cm', ACCESS_POINT].some((host) => lark.maps.stateOf(host, BAD_PATH) !== state)) {
    if (Date.now() > deadline)
      throw new Error(`${BAD_PATH} did not become ${state ?? 'unknown'} within 90 s`);
    await sleep(200);
  }
}

async function runWorkload(lark: LarkPool, batch: string): Promise<Run> {
  const begunAt = Date.now() / 1000;
  for (const { inputMB, count } of WORKLOAD)
    await submit(lark.pool, ACCESS_POINT, { batch, inputMB, count, seconds: SLEEP_SECONDS });
  const total = WORKLOAD.reduce((sum, { count }) => sum + count, 0);
  let jobs: JobRecord[] = [];
  const deadline = Date.now() + 150_000;
  while (jobs.length < total) {
    if (Date.now() > deadline)
      throw new Error(`${batch}: ${jobs.length} of ${total} jobs ended within 150 s`);
    await sleep(1000);
    jobs = await ended(lark.pool, ACCESS_POINT, batch);
  }
  const sum = (of: (job: JobRecord) => number) => jobs.reduce((total, job) => total + of(job), 0);
  const bySite = Object.entries(Object.groupBy(jobs, ({ site }) => site ?? 'nowhere'));
  return {
    makespanSeconds: Math.max(...jobs.map(({ endedAt }) => endedAt!)) - Math.floor(begunAt),
    wastedCpuHours: hours(sum(({ wallSeconds }) => Math.max(0, wallSeconds - SLEEP_SECONDS))),
    inputCpuHours: hours(sum(({ inputSeconds }) => inputSeconds ?? 0)),
    largeJobsOnBadPath: jobs.filter(({ site, inputMiB }) => site === 'UCSD' && inputMiB > 3).length,
    jobsBySite: Object.fromEntries(bySite.map(([site, own]) => [site, own!.length])),
  };
}

const hours = (seconds: number): number => Math.round((seconds / 3600) * 1e4) / 1e4;

const told = ({ makespanSeconds, wastedCpuHours, largeJobsOnBadPath }: Run): string =>
  `${makespanSeconds} s, ${(wastedCpuHours * 3600).toFixed(0)} CPU seconds held without running, ` +
  `${largeJobsOnBadPath} large jobs on the bad path`;
