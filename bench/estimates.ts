import type { Metric, MetricEstimate, PathEstimate } from '../src/domain.ts';
import { estimate, type PathInput, type SeriesSamples } from '../src/paths/estimate.ts';
import { METHODS } from '../src/paths/forecast/forecaster.ts';
import { quantile } from '../src/paths/percentile.ts';
import { predict } from '../src/paths/predict/predict.ts';
import { SCALES } from '../src/paths/scale.ts';

/**
 * Estimates for 50,000 measured pairs of 1,000 sites, from scratch: throughput of 30 days, every value (four tests a
 * day, 6 million values), and loss and one-way delay of the last day, the window that estimates of them look at, in
 * five-minute readings (29 million values). Samples are made in batches, as the cycle reads them, outside of the time
 * that is measured. The plainest correct version forecasts with the same methods and the same choice by past error, each
 * written down as its definition says: it is run on some of the pairs, in turn with Lark's on the same, and compared.
 */
const SITES = 1000;
const PAIRS = Number(process.env.BENCH_PAIRS ?? 50_000);
const DAYS = 30;
const PAIRS_AT_ONCE = 500;
const PLAIN_PAIRS = 200;
const ROUNDS = 3;
const HOUR_MS = 3_600_000;
const NOW = new Date('2026-01-10T00:00:00Z');
const OPTIONS = { staleHours: 48 };

/** @param progress gets one line for each step */
export async function run(progress: (line: string) => void): Promise<object> {
  const pairs = chosenPairs();
  // Compiled code, and the collector's sizes, as in a service that has run for a while.
  for (let i = 0; i < 4; i++) estimate(inputsOf(pairs.slice(0, PAIRS_AT_ONCE)), OPTIONS, NOW);
  const rounds: { seconds: number; cpuSeconds: number }[] = [];
  let estimates: PathEstimate[] = [];
  let values = 0;
  let moreMb = 0;
  for (let round = 0; round < ROUNDS; round++) {
    estimates = [];
    globalThis.gc?.();
    const before = process.memoryUsage().rss;
    let peak = before;
    let seconds = 0;
    let cpuSeconds = 0;
    values = 0;
    for (let first = 0; first < pairs.length; first += PAIRS_AT_ONCE) {
      const inputs = inputsOf(pairs.slice(first, first + PAIRS_AT_ONCE));
      for (const { series } of inputs) for (const one of series) values += one.values.length;
      const cpu = process.cpuUsage();
      const started = performance.now();
      const made = estimate(inputs, OPTIONS, NOW);
      seconds += (performance.now() - started) / 1000;
      const { user, system } = process.cpuUsage(cpu);
      cpuSeconds += (user + system) / 1e6;
      for (const path of made) estimates.push(path);
      peak = Math.max(peak, process.memoryUsage().rss);
    }
    moreMb = Math.max(moreMb, (peak - before) / 1e6);
    rounds.push({ seconds, cpuSeconds });
    progress(`round ${round + 1}: ${estimates.length} paths in ${seconds.toFixed(2)} s`);
  }
  const middle = rounds.toSorted((a, b) => a.seconds - b.seconds)[Math.floor(ROUNDS / 2)]!;
  const plain = againstPlain(pairs.slice(0, PLAIN_PAIRS));
  progress(`plain: ${plain.plainSeconds.toFixed(2)} s for ${PLAIN_PAIRS} pairs, ${plain.ratio} times Lark's`);
  const started = performance.now();
  const predicted = predict(estimates, [], { predictPaths: 10_000 }, NOW);
  return {
    sites: SITES,
    pairs: pairs.length,
    days: DAYS,
    values,
    /** Median of the rounds. Target: 2 s at most. */
    seconds: middle.seconds,
    /** Of the same round: tells a busy machine from slow code. */
    cpuSeconds: middle.cpuSeconds,
    roundsSeconds: rounds.map(({ seconds }) => seconds),
    /** Most resident memory above that before the first batch, samples of a batch and all estimates included. Target: 300. */
    moreMemoryMb: Math.round(moreMb),
    ...plain,
    predict: { paths: predicted.length, seconds: (performance.now() - started) / 1000 },
  };
}

/** Every site measures towards as many others, spread over the rest. */
function chosenPairs(): [source: number, destination: number][] {
  return Array.from({ length: PAIRS }, (_, i) => {
    const source = i % SITES;
    return [source, (source + 1 + 19 * Math.floor(i / SITES)) % SITES];
  });
}

function inputsOf(pairs: readonly [number, number][]): PathInput[] {
  return pairs.map(([a, b]) => {
    const level = 200 + ((a * 7 + b * 13) % 90) * 100;
    const far = 2 + ((a * 31 + b * 17) % 150);
    return {
      srcSite: `Site${a}`,
      dstSite: `Site${b}`,
      series: [
        series('throughputMbps', a, b, 4 * DAYS, 6 * HOUR_MS, (noise, hour) => {
          const collapse = noise > 0.97 ? 0.2 : 1;
          return level * (0.8 + 0.2 * Math.cos((hour / 12) * Math.PI)) * (0.9 + 0.2 * noise) * collapse;
        }),
        series('lossRate', a, b, 288, HOUR_MS / 12, (noise) => (noise > 0.98 ? (noise - 0.98) / 10 : 0)),
        series('oneWayDelayMs', a, b, 288, HOUR_MS / 12, (noise) => far + 0.3 * noise),
      ],
    };
  });
}

function series(
  metric: Metric,
  a: number,
  b: number,
  count: number,
  everyMs: number,
  value: (noise: number, hour: number) => number,
): SeriesSamples {
  const atMs = new Float64Array(count);
  const values = new Float64Array(count);
  let state = (a * SITES + b) * 3 + metric.length;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    atMs[i] = NOW.getTime() - (count - i) * everyMs + (state % 60_000);
    values[i] = value(state / 2 ** 32, (atMs[i]! / HOUR_MS) % 24);
  }
  return {
    id: 1,
    metric,
    archiveKey: 'archive',
    tool: 'tool',
    source: `h${a}`,
    destination: `h${b}`,
    pair: `h${a}>h${b}`,
    atMs,
    values,
  };
}

function againstPlain(pairs: readonly [number, number][]) {
  const inputs = inputsOf(pairs);
  const times = { lark: 0, plain: 0 };
  let furthest = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const t0 = performance.now();
    const ours = estimate(inputs, OPTIONS, NOW);
    const t1 = performance.now();
    const plain = inputs.map(plainPath);
    const t2 = performance.now();
    times.lark += t1 - t0;
    times.plain += t2 - t1;
    for (const [i, path] of ours.entries()) {
      for (const metric of ['throughputMbps', 'oneWayDelayMs'] as const) {
        const figures = path.metrics[metric] as MetricEstimate;
        furthest = Math.max(furthest, Math.abs(Math.log(figures.centre / plain[i]![metric]!)));
      }
    }
  }
  return {
    plainSeconds: times.plain / 1000 / ROUNDS,
    /** How many times Lark's time the plain version took on the same pairs. */
    ratio: Math.round((10 * times.plain) / times.lark) / 10,
    /** Largest difference of a forecast between both, as a factor: rhythm and restart are left out of the plain one. */
    largestFactorApart: Math.round(1000 * Math.exp(furthest)) / 1000,
    methodsInPlain: METHODS.filter((name) => PLAIN[name] !== undefined).length,
  };
}

type Forecast = (values: readonly number[]) => number;
const median = (values: readonly number[]): number => quantile(Float64Array.from(values).sort(), 0.5);
const ewma =
  (alpha: number): Forecast =>
  (values) =>
    values.reduce((level, value, i) => (i === 0 ? value : level + alpha * (value - level)), 0);

/** Each method from its definition, over all values before the one that is forecast. */
const PLAIN: Partial<Record<(typeof METHODS)[number], Forecast>> = {
  last: (values) => values.at(-1)!,
  mean: (values) => values.reduce((sum, value) => sum + value, 0) / values.length,
  'median-5': (values) => median(values.slice(-5)),
  'median-21': (values) => median(values.slice(-21)),
  'ewma-0.1': ewma(0.1),
  'ewma-0.3': ewma(0.3),
  'ewma-0.6': ewma(0.6),
};

/** The plainest version: at each value every method looks at all values before it. */
function plainPath(input: PathInput): Partial<Record<Metric, number>> {
  return Object.fromEntries(
    input.series.map(({ metric, atMs, values }) => {
      const scale = SCALES[metric];
      const scaled =
        scale.binMs === 0 ? Array.from(values, scale.to) : hourly(atMs, values, scale.binMs).map(scale.to);
      return [metric, scale.from(plainForecast(scaled))];
    }),
  );
}

function hourly(atMs: Float64Array, values: Float64Array, binMs: number): number[] {
  const bins = Map.groupBy(atMs.keys(), (i) => Math.floor(atMs[i]! / binMs));
  return [...bins.values()].map((bin) => median(bin.map((i) => values[i]!)));
}

function plainForecast(values: readonly number[]): number {
  const methods = Object.values(PLAIN);
  const errors = methods.map((method) => {
    let weights = 0;
    let error = 0;
    for (let i = 1; i < values.length; i++) {
      const weight = 0.95 ** (values.length - 1 - i);
      error += weight * Math.abs(method(values.slice(0, i)) - values[i]!);
      weights += weight;
    }
    return error / weights + 1e-3;
  });
  const weights = errors.map((error) => error ** -16);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return methods.reduce((sum, method, i) => sum + (weights[i]! / total) * method(values), 0);
}
