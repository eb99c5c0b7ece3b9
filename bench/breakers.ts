import { type Expr, evaluate, parseExpr, unparse } from 'classad-parser';
import { decide } from '../src/breaker/decide.ts';
import { type JudgedPath, pathFacts } from '../src/breaker/evidence.ts';
import { type Policy, parsePolicy } from '../src/breaker/policy.ts';
import type { Breaker } from '../src/domain.ts';
import { uniformNumbers } from '../testbed/random.ts';

/**
 * 10,000 paths under 5 policies, decided as in each cycle: with the states of the cycle before, some conditions
 * holding, some breakers open, a few changing. The peer is the plainest evaluation: the text of Trip and Reset parsed
 * and evaluated for each path and policy, without any state.
 */
const SITES = 101;
const PATHS = 10_000;
const ROUNDS = 15;

const POLICIES = [
  ['bulk', 'ThroughputMbps < 100', 'ThroughputMbps > 200'],
  ['slow', 'ThroughputMbpsP10 < 30 && SampleCount > 4', 'ThroughputMbpsP10 > 60'],
  ['lossy', 'LossRate > 0.02', 'LossRate < 0.005'],
  [
    'dead',
    'LossRate > 0.5 =?= true || ThroughputMbps < 1 =?= true',
    '(LossRate < 0.05 || LossRate =?= undefined) && (ThroughputMbps > 10 || ThroughputMbps =?= undefined)',
  ],
  ['far', 'RttMs > 400 && Retransmits > 1000', 'RttMs < 300 || Retransmits < 500'],
].map(([name, trip, reset]) =>
  parsePolicy(
    `Name = "${name}"\nCovers = true\nTrip = ${trip}\nReset = ${reset}\nMaxInputMB = 100`,
    'bench.ad',
  ),
);

interface Result {
  paths: number;
  policies: number;
  /** Target: 50 at most. */
  decideMs: { min: number; median: number; max: number };
  /** Everything that is not CLOSED after the last round. */
  notClosed: number;
  changedPerRound: number;
  naiveMs: { min: number; median: number; max: number };
  /** How many times as long the naive evaluation takes. */
  factor: number;
}

export async function run(progress: (line: string) => void): Promise<Result> {
  const start = new Date('2026-01-01T00:00:00Z');
  const random = uniformNumbers(7);
  let paths = world(random, start);
  let before: Breaker[] = [];
  const decideMs: number[] = [];
  const naiveMs: number[] = [];
  const changed: number[] = [];
  for (let round = -3; round < ROUNDS; round++) {
    const now = new Date(start.getTime() + (round + 4) * 300_000);
    paths = paths.map((path) => (random() < 0.02 ? measuredAgain(path, random, now) : path));
    const t0 = performance.now();
    const decision = decide(paths, POLICIES, before, { ofSite: 0.5, ofPool: 0.3 }, now);
    const t1 = performance.now();
    naive(paths, POLICIES);
    const t2 = performance.now();
    before = decision.breakers;
    progress(`round ${round}: ${(t1 - t0).toFixed(1)} ms, naive ${(t2 - t1).toFixed(1)} ms`);
    // The first rounds only warm up, and let conditions begin to hold.
    if (round < 0) continue;
    decideMs.push(t1 - t0);
    naiveMs.push(t2 - t1);
    changed.push(decision.changed.length);
  }
  const [own, peer] = [spread(decideMs), spread(naiveMs)];
  return {
    paths: PATHS,
    policies: POLICIES.length,
    decideMs: own,
    notClosed: before.filter(({ state }) => state !== 'CLOSED').length,
    changedPerRound: spread(changed).median,
    naiveMs: peer,
    factor: round2(peer.median / own.median),
  };
}

/** How many conditions hold: the sum keeps the work from being optimised away. */
function naive(paths: readonly JudgedPath[], policies: readonly Policy[]): number {
  const texts = policies.map(({ trip, reset }) => [trip, reset].map((expr: Expr) => unparse(expr)));
  let holding = 0;
  for (const path of paths) {
    for (const conditions of texts) {
      for (const text of conditions)
        if (evaluate(parseExpr(text), { my: pathFacts(path) }) === true) holding++;
    }
  }
  return holding;
}

function world(random: () => number, at: Date): JudgedPath[] {
  const paths: JudgedPath[] = [];
  for (let src = 0; src < SITES; src++) {
    for (let dst = 0; dst < SITES && paths.length < PATHS; dst++) {
      if (src === dst) continue;
      const empty = {
        srcSite: `SITE_${src}`,
        dstSite: `SITE_${dst}`,
        quality: 0.9,
        measured: true,
        metrics: {},
      };
      paths.push(measuredAgain(empty, random, at));
    }
  }
  return paths;
}

function measuredAgain(path: JudgedPath, random: () => number, at: Date): JudgedPath {
  const figures = (centre: number) => ({
    centre,
    p10: centre * 0.7,
    p90: centre * 1.2,
    sampleCount: 20,
    seriesCount: 2,
    lastMeasured: at,
  });
  const isSlow = random() < 0.05;
  return {
    ...path,
    metrics: {
      throughputMbps: figures(isSlow ? 20 + 100 * random() : 200 + 9000 * random()),
      lossRate: figures(random() < 0.03 ? 0.05 * random() : 0),
      rttMs: figures(5 + 300 * random()),
      retransmits: figures(2000 * random()),
    },
  };
}

function spread(values: number[]): { min: number; median: number; max: number } {
  const sorted = values.toSorted((a, b) => a - b);
  return {
    min: round2(sorted[0]!),
    median: round2(sorted[sorted.length >> 1]!),
    max: round2(sorted.at(-1)!),
  };
}

const round2 = (value: number): number => Math.round(value * 100) / 100;
