import { ClassAd, type CompiledExpr, compile, references, toNumber } from 'classad-parser';
import type { Metric, PathEstimate } from '../domain.ts';
import type { Evidence } from './machine.ts';
import type { Policy } from './policy.ts';

/** A path as a breaker may judge it: `metrics` holds only what is fresh. */
export type JudgedPath = Pick<PathEstimate, 'srcSite' | 'dstSite' | 'metrics' | 'quality' | 'measured'>;

/** The attributes of the path ad that come of a metric. Policies speak of paths in these names. */
export const METRIC_ATTRIBUTES: readonly [name: string, metric: Metric, figure: 'centre' | 'p10' | 'p90'][] =
  [
    ['ThroughputMbps', 'throughputMbps', 'centre'],
    ['ThroughputMbpsP10', 'throughputMbps', 'p10'],
    ['ThroughputMbpsP90', 'throughputMbps', 'p90'],
    ['LossRate', 'lossRate', 'centre'],
    ['OneWayDelayMs', 'oneWayDelayMs', 'centre'],
    ['RttMs', 'rttMs', 'centre'],
    ['Retransmits', 'retransmits', 'centre'],
  ];

/** All that a policy can ask about. */
export const PATH_ATTRIBUTES: readonly string[] = [
  'SrcSite',
  'DstSite',
  'Quality',
  'SampleCount',
  ...METRIC_ATTRIBUTES.map(([name]) => name),
];

/** A policy ready to judge many paths at one time. */
export interface CompiledPolicy {
  policy: Policy;
  covers: CompiledExpr;
  trip: CompiledExpr;
  reset: CompiledExpr;
  /** The metrics that Trip and Reset name. */
  metrics: Metric[];
  names: string[];
}

export function compilePolicy(policy: Policy, now: Date): CompiledPolicy {
  const found = [policy.trip, policy.reset].map((expr) => references(expr));
  const asked = new Set(
    found.flatMap(({ my, target, unresolved }) => [...my, ...target, ...unresolved]).map(lower),
  );
  const named = METRIC_ATTRIBUTES.filter(([name]) => asked.has(lower(name)));
  return {
    policy,
    covers: compile(policy.covers, { now }),
    trip: compile(policy.trip, { now }),
    reset: compile(policy.reset, { now }),
    metrics: [...new Set(named.map(([, metric]) => metric))],
    names: PATH_ATTRIBUTES.filter((name) => asked.has(lower(name))),
  };
}

/** The path's figures under the names they have in its ad. What is not known is absent. */
export function pathFacts(path: JudgedPath, leftOut?: ReadonlySet<Metric>): ClassAd {
  const facts = new ClassAd()
    .setString('SrcSite', path.srcSite)
    .setString('DstSite', path.dstSite)
    .setReal('Quality', path.quality);
  let samples = 0;
  for (const figures of Object.values(path.metrics)) samples += figures.sampleCount;
  facts.setInteger('SampleCount', samples);
  for (const [name, metric, figure] of METRIC_ATTRIBUTES) {
    const figures = path.metrics[metric];
    if (figures && !leftOut?.has(metric)) facts.setReal(name, figures[figure]);
  }
  return facts;
}

/** What one policy sees of a path. A class, since its figures are seldom asked for and there are many of it. */
export class PathEvidence implements Evidence {
  readonly measuredToMs: number;
  readonly lacking: string | undefined;
  readonly trip: boolean | undefined;
  readonly reset: boolean | undefined;
  readonly #facts: ClassAd;
  readonly #compiled: CompiledPolicy;

  /** @param facts of `pathFacts(path)`, made once for all policies */
  constructor(path: JudgedPath, facts: ClassAd, compiled: CompiledPolicy) {
    const { policy, metrics } = compiled;
    let thin: Set<Metric> | undefined;
    let measuredToMs = Number.POSITIVE_INFINITY;
    for (const metric of metrics) {
      const figures = path.metrics[metric];
      if (!figures) continue;
      if (figures.sampleCount < policy.minSamples) thin = (thin ?? new Set()).add(metric);
      else if (figures.lastMeasured) measuredToMs = Math.min(measuredToMs, figures.lastMeasured.getTime());
    }
    const hasSome = measuredToMs !== Number.POSITIVE_INFINITY;
    this.#compiled = compiled;
    this.#facts = thin ? pathFacts(path, thin) : facts;
    this.measuredToMs = hasSome ? measuredToMs : 0;

    // A prediction is nobody's measurement: it never withholds a job.
    if (!path.measured) this.lacking = 'nobody measured it';
    else if (path.quality < policy.minQuality) {
      this.lacking = `quality ${path.quality}, ${policy.minQuality} is needed`;
    } else if (metrics.length > 0 && !hasSome) {
      this.lacking = thin
        ? `fewer than ${policy.minSamples} fresh samples`
        : `no fresh ${compiled.names.join(', ')}`;
    } else {
      const trip = compiled.trip(this.#facts);
      const reset = compiled.reset(this.#facts);
      if (typeof trip === 'boolean') this.trip = trip;
      else this.lacking = `Trip cannot be told from what was measured (${this.figures()})`;
      if (typeof reset === 'boolean') this.reset = reset;
    }
  }

  figures(): string {
    return figuresOf(this.#facts, this.#compiled);
  }
}

/** `ThroughputMbps 36.1, LossRate unknown` */
function figuresOf(facts: ClassAd, { names }: CompiledPolicy): string {
  return names
    .map((name) => {
      const value = facts.evaluate(name);
      const figure = typeof value === 'string' ? undefined : toNumber(value);
      if (figure !== undefined) return `${name} ${Number(figure.toPrecision(4))}`;
      return typeof value === 'string' ? `${name} ${value}` : `${name} unknown`;
    })
    .join(', ');
}

const lower = (name: string): string => name.toLowerCase();
