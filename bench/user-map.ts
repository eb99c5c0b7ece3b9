import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PATH_MAP, type PathMapEntry, pathMapEntries } from '../src/collector/path-map.ts';
import { userMapFile, writeUserMap } from '../src/collector/user-map.ts';
import { type Pool, startPool } from '../testbed/pool/pool.ts';

/**
 * A map of 100,000 paths, all changed, written as "lark sync" does, and read by a real negotiator. Floor of writing: the
 * same bytes written bare and renamed. Then the negotiator's own processor time for evaluating START as config/htcondor
 * has it, against a START that holds the same jobs back by one comparison.
 */
const SITES = 317;
const ENTRIES = 100_000;
const ROUNDS = 5;
const SLOTS = 1000;
const JOBS = 20;
const MAPS = '/var/lib/lark/maps';

interface Result {
  entries: number;
  mapBytes: number;
  /** From entries to the renamed file, and the same bytes bare. */
  writeSeconds: Spread;
  bareWriteSeconds: Spread;
  ratio: number;
  /** From condor_reconfig to the negotiator's next answer, with a changed map and with the same one. */
  reconfigSeconds: Spread;
  reconfigUnchangedSeconds: Spread;
  negotiatorRssMb: { without: number; with: number };
  match: {
    slots: number;
    autoclusters: number;
    withSeconds: number;
    withoutSeconds: number;
    evaluationsPerSecond: { with: number; without: number };
  };
}

interface Spread {
  min: number;
  median: number;
  max: number;
}

/** @param progress gets one line for each step */
export async function run(progress: (line: string) => void): Promise<Result> {
  const config = (name: string) =>
    readFile(resolve(import.meta.dirname, `../config/htcondor/${name}.conf`), 'utf8');
  const withoutSync = (text: string) => text.replace(/^DAEMON_LIST = .*LARK_SYNC$/m, '');
  const pool = await startPool({
    accessPointSite: 'Site0',
    executionPoints: [{ name: 'ep1', site: 'Site1' }],
    extraConfig: {
      cm: withoutSync(await config('central-manager')),
      ap: withoutSync(await config('access-point')),
      ep: await config('execution-point'),
    },
    progress,
  });
  try {
    const { initPid } = pool.hosts.find(({ name }) => name === 'cm')!;
    const directory = join('/proc', String(initPid), 'root', MAPS);
    await mkdir(directory, { recursive: true });
    const rssBefore = await negotiatorRssMb(pool);
    const seconds: Record<'write' | 'bare' | 'load' | 'same', number[]> = {
      write: [],
      bare: [],
      load: [],
      same: [],
    };
    let bytes = 0;
    for (let round = 0; round <= ROUNDS; round++) {
      const entries = [...world(round)];
      const t0 = performance.now();
      await writeUserMap(directory, { name: PATH_MAP, entries: pathMapEntries(entries) }, new Date());
      const t1 = performance.now();
      const text = await readFile(userMapFile(directory, PATH_MAP), 'utf8');
      bytes = Buffer.byteLength(text);
      const t2 = performance.now();
      await writeFile(join(directory, 'bare.new'), text);
      await rename(join(directory, 'bare.new'), join(directory, 'bare'));
      const t3 = performance.now();
      const load = await reconfigure(pool);
      const same = await reconfigure(pool);
      progress(`round ${round}: written in ${(t1 - t0).toFixed(0)} ms, read in ${load.toFixed(2)} s`);
      // The first round warms up.
      if (round === 0) continue;
      seconds.write.push((t1 - t0) / 1000);
      seconds.bare.push((t3 - t2) / 1000);
      seconds.load.push(load);
      seconds.same.push(same);
    }
    const rssAfter = await negotiatorRssMb(pool);
    const match = await matchmaking(pool, progress);
    const [write, bare] = [spread(seconds.write), spread(seconds.bare)];
    return {
      entries: ENTRIES,
      mapBytes: bytes,
      writeSeconds: write,
      bareWriteSeconds: bare,
      ratio: round2(write.median / bare.median),
      reconfigSeconds: spread(seconds.load),
      reconfigUnchangedSeconds: spread(seconds.same),
      negotiatorRssMb: { without: rssBefore, with: rssAfter },
      match,
    };
  } finally {
    await pool.stop();
  }
}

/** Every path's throughput differs from round to round; those from Site0 are open. */
function* world(round: number): Generator<PathMapEntry> {
  let count = 0;
  for (let a = 0; a < SITES; a++) {
    for (let b = 0; b < SITES; b++) {
      if (a === b || count === ENTRIES) continue;
      count += 1;
      yield {
        srcSite: `Site${a}`,
        dstSite: `Site${b}`,
        state: a === 0 ? 'OPEN' : 'CLOSED',
        throughputMbps: 10 + ((a * 7 + b * 3 + round) % 89),
        ...(a === 0 && { withholds: { maxInputMB: 1 } }),
      };
    }
  }
}

/** The negotiator answers a question only when it is done with the reconfiguration that was asked for before. */
async function reconfigure(pool: Pool): Promise<number> {
  const started = performance.now();
  await pool.run('cm', ['condor_reconfig', '-daemon', 'negotiator']);
  await pool.run('cm', ['condor_config_val', '-negotiator', 'LARK_MAPS']);
  return (performance.now() - started) / 1000;
}

async function negotiatorRssMb(pool: Pool): Promise<number> {
  const pid = (await pool.run('cm', ['pgrep', '-x', 'condor_negotiat'])).trim();
  const status = await pool.run('cm', ['cat', `/proc/${pid}/status`]);
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1000);
}

/** Jobs of different size that every slot refuses: so each of them is tried with each slot, in each cycle. */
async function matchmaking(pool: Pool, progress: (line: string) => void): Promise<Result['match']> {
  const real = await pool.run('cm', ['condor_status', '-l', 'slot1@ep1.lark.test']);
  await pool.run('cm', ['condor_off', '-fast', '-name', 'ep1.lark.test', '-startd']).catch(() => '');
  const submit = [
    'executable = /bin/true',
    'transfer_executable = false',
    'should_transfer_files = yes',
    'request_disk = 1MB',
    'request_memory = 1MB',
  ];
  const sizes = Array.from({ length: JOBS }, (_, i) => `+TransferInputSizeMB = ${5 + i}\nqueue`);
  await pool.run('ap', ['runuser', '-u', 'lark', '--', 'sh', '-c', 'cd; condor_submit -terse -'], {
    input: [...submit, ...sizes, ''].join('\n'),
  });
  const cpuSeconds = async (start: string | undefined): Promise<number> => {
    const ads = Array.from({ length: SLOTS }, (_, i) =>
      [
        ...real
          .split('\n')
          .filter(
            (line) =>
              line !== '' &&
              !(start && /^Start =/i.test(line)) &&
              !/^(Name|Machine|LarkSite|State|Activity) =/i.test(line),
          ),
        `Name = "slot1@m${i}"`,
        `Machine = "m${i}"`,
        `LarkSite = "Site${1 + (i % (SITES - 1))}"`,
        'State = "Unclaimed"',
        'Activity = "Idle"',
        ...(start ? [`Start = ${start}`] : []),
        '',
      ].join('\n'),
    ).join('\n');
    await pool.run('cm', ['condor_advertise', '-tcp', '-multiple', 'UPDATE_STARTD_AD', '-'], {
      input: ads,
      timeoutMs: 60_000,
    });
    const cycles: number[] = [];
    const seen = new Set<string>();
    while (cycles.length < 5) {
      await sleep(1000);
      const text = await pool.run('cm', [
        'condor_status',
        '-negotiator',
        '-direct',
        'cm.lark.test',
        '-af',
        'LastNegotiationCycleTime0',
        'LastNegotiationCycleCandidateSlots0',
        'LastNegotiationCycleNumIdleJobs0',
        'LastNegotiationCycleCpuTime0',
        'LastNegotiationCyclePhase4CpuTime0',
      ]);
      const [at, slots, , , phase4] = text.trim().split(/\s+/) as [string, string, string, string, string];
      if (seen.has(at) || Number(slots) < SLOTS) continue;
      seen.add(at);
      // The first cycle with new ads also makes its autoclusters.
      if (seen.size > 1) cycles.push(Number(phase4));
      progress(`cycle over ${slots} slots: ${phase4} s`);
    }
    return spread(cycles).median;
  };
  const withLark = await cpuSeconds(undefined);
  const without = await cpuSeconds('TARGET.TransferInputSizeMB < 1');
  const evaluations = SLOTS * JOBS;
  return {
    slots: SLOTS,
    autoclusters: JOBS,
    withSeconds: withLark,
    withoutSeconds: without,
    evaluationsPerSecond: {
      with: Math.round(evaluations / withLark),
      without: Math.round(evaluations / without),
    },
  };
}

function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return {
    min: round4(sorted[0]!),
    median: round4(sorted[Math.floor(sorted.length / 2)]!),
    max: round4(sorted.at(-1)!),
  };
}
const round2 = (x: number): number => Math.round(x * 100) / 100;
const round4 = (x: number): number => Math.round(x * 10_000) / 10_000;
