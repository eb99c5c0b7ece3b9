/**
 * Speed on what Lark does most: 9,900 path ads parsed from old syntax, a policy evaluated over them, machines and jobs
 * matched, ads written. Prints one JSON object. Where there is a root tree with HTCondor (see test/support/oracle.ts)
 * HTCondor's Python module does the same work in the same run, and the ratios to it are printed too.
 */
import { execFileSync } from 'node:child_process';
import { type ClassAd, compile, matches, parseAds, parseExpr, parseNewAd, writeOld } from '../src/index.ts';
import { findCondorRoot, whyNoOracle } from '../test/support/oracle.ts';
import { ORACLE_BENCH } from './oracle-bench.ts';

const ADS = 9900;
const SECONDS = 1.5;
const POLICY = 'ThroughputMbps < 100.0 || (PacketLossRate > 0.02 && Quality > 0.5) || Samples < 3';
const MACHINE =
  '[ MyType = "Machine"; Name = "slot1@worker"; Memory = 8192; Cpus = 8; Disk = 500000; Arch = "X86_64"; HasSsd = true;' +
  ' Requirements = TARGET.RequestMemory <= MY.Memory && TARGET.RequestCpus <= Cpus && TARGET.Owner != "nobody" ]';
const JOB =
  '[ MyType = "Job"; Owner = "alice"; RequestMemory = 2048; RequestCpus = 4; RequestDisk = 1000;' +
  ' Requirements = TARGET.Arch == "X86_64" && TARGET.Memory >= MY.RequestMemory && TARGET.Disk >= RequestDisk ]';

/** Path ads as Lark publishes them, the numbers from a fixed sequence. */
function pathAds(): string {
  let seed = 42;
  const random = () => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed / 2147483648;
  };
  let text = '';
  for (let i = 0; i < ADS; i++) {
    const [source, destination] = [`SITE-${i % 100}`, `SITE-${Math.floor(i / 100)}`];
    text +=
      `MyType = "NetworkPath"\nName = "${source}>${destination}"\nSrcSite = "${source}"\nDstSite = "${destination}"\n` +
      `ThroughputMbps = ${(random() * 10000).toFixed(3)}\nPacketLossRate = ${(random() * 0.05).toFixed(6)}\n` +
      `Quality = ${random().toFixed(4)}\nSamples = ${Math.floor(random() * 50)}\n` +
      `RttMs = ${(random() * 200).toFixed(2)}\nMeasured = true\nLastMeasured = ${1700000000 + i}\n\n`;
  }
  return text;
}

/** Runs a piece of work again and again for a while; pieces done a second in the best quarter of the rounds. */
function rate(pieces: number, work: () => void): number {
  const rates: number[] = [];
  const until = performance.now() + SECONDS * 1000;
  do {
    const start = performance.now();
    work();
    rates.push((pieces / (performance.now() - start)) * 1000);
  } while (performance.now() < until);
  rates.sort((a, b) => a - b);
  return Math.round(rates[Math.floor(rates.length * 0.75)]!);
}

const text = pathAds();
const ads = parseAds(text);
const policy = compile(parseExpr(POLICY));
const machine = parseNewAd(MACHINE);
const job = parseNewAd(JOB);
let kept: unknown;

const measured: Record<string, number> = {
  parseAdsPerSecond: rate(ADS, () => {
    kept = parseAds(text);
  }),
  evalsPerSecond: rate(ADS, () => {
    let selected = 0;
    for (const ad of ads) if (policy(ad) === true) selected += 1;
    kept = selected;
  }),
  matchesPerSecond: rate(10_000, () => {
    let matched = 0;
    for (let i = 0; i < 10_000; i++) if (matches(machine, job)) matched += 1;
    if (matched !== 10_000) throw new Error('the ads of the benchmark do not match');
    kept = matched;
  }),
  unparseAdsPerSecond: rate(ADS, () => {
    let length = 0;
    for (const ad of ads) length += writeOld(ad as ClassAd).length;
    kept = length;
  }),
};

const noOracle = whyNoOracle();
if (noOracle === undefined) {
  const output = execFileSync(
    'chroot',
    [findCondorRoot()!, 'python3', '-B', '-W', 'ignore', '-c', ORACLE_BENCH],
    {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', CONDOR_CONFIG: '/dev/null' },
      input: JSON.stringify({ text, policy: POLICY, machine: MACHINE, job: JOB, seconds: SECONDS }),
      timeout: 120_000,
    },
  );
  const theirs = JSON.parse(output.toString()) as Record<string, number>;
  for (const [name, value] of Object.entries(theirs)) measured[`condorPython_${name}`] = value;
  for (const [name, value] of Object.entries(theirs)) {
    measured[`ratio_${name}`] = Math.round((measured[name]! / value) * 100) / 100;
  }
} else {
  console.error(`no comparison with HTCondor: ${noOracle}`);
}
console.log(JSON.stringify(measured, null, 2));
if (kept === undefined) throw new Error('nothing was measured');
