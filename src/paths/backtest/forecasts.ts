import type { Metric } from '../../domain.ts';
import type { SeriesSamples } from '../estimate.ts';
import { Forecaster, METHODS, type Method } from '../forecast/forecaster.ts';
import { intervalOf } from '../interval.ts';
import { quantile } from '../percentile.ts';
import { SCALES } from '../scale.ts';
import { StreamMaker } from '../stream.ts';
import { ErrorHistogram } from './error-histogram.ts';

/** The first values of a path are not judged: no method knows anything then. */
const WARM_UP = 10;

export interface MethodFigures {
  /** Of the absolute percentage error, over all forecasts of values above 0. */
  medianPercent: number;
  p75Percent: number;
  /** In the metric's unit, over all forecasts. */
  meanAbsoluteError: number;
  /** Likewise: what a mean is judged by, where most values are 0 and a forecast of 0 has the least absolute error. */
  rootMeanSquareError: number;
}

export interface ForecastFigures {
  metric: Metric;
  paths: number;
  forecasts: number;
  methods: Partial<Record<Method, MethodFigures>>;
  /** What estimates are made of. */
  mixture: MethodFigures;
  /** Median absolute percentage error of each path: the median and 75th percentile of these. */
  perPath: { medianPercent: number; p75Percent: number };
  /** Share of the values in the 80 % interval that was told before, and below and above it. */
  interval: { within: number; below: number; above: number };
}

/** Replays series: each value is forecast from those before it, by every method and by the mixture of them. */
export class ForecastBacktest {
  private readonly metric: Metric;
  private readonly forecaster: Forecaster;
  private readonly streams = new StreamMaker();
  private readonly errors = [...METHODS, 'mixture'].map(() => new ErrorHistogram());
  private readonly absolute = new Float64Array(METHODS.length + 1);
  private readonly squares = new Float64Array(METHODS.length + 1);
  private readonly perPath: number[] = [];
  private readonly counts = { paths: 0, forecasts: 0, within: 0, below: 0, above: 0 };

  constructor(metric: Metric) {
    this.metric = metric;
    this.forecaster = new Forecaster(SCALES[metric].aim);
  }

  /** @param series of this metric, of one path; values from `fromMs` on and before `toMs` are judged */
  path(
    series: readonly SeriesSamples[],
    fromMs = Number.NEGATIVE_INFINITY,
    toMs = Number.POSITIVE_INFINITY,
  ): void {
    const some = series.filter(({ values }) => values.length > 0);
    if (some.length === 0) return;
    const { forecaster, counts } = this;
    const { prior, from } = SCALES[this.metric];
    const stream = this.streams.make(this.metric, some);
    const own: number[] = [];
    forecaster.reset(stream.groupWeights);
    for (let i = 0; i < stream.length; i++) {
      const at = stream.atMs[i]!;
      if (at >= toMs) break;
      const value = stream.values[i]!;
      if (i >= WARM_UP && at >= fromMs) {
        const forecast = forecaster.forecast(at);
        const [below, above] = intervalOf(forecaster.residuals, forecaster.residualCount, prior);
        const actual = from(value);
        for (let m = 0; m < METHODS.length; m++) this.note(m, from(forecaster.forecasts[m]!), actual);
        const error = this.note(METHODS.length, from(forecast), actual);
        if (error !== undefined) own.push(error);
        counts.forecasts++;
        // In the unit that people see: an interval that ends at 0 holds a 0.
        if (actual < from(forecast + below)) counts.below++;
        else if (actual > from(forecast + above)) counts.above++;
        else counts.within++;
      }
      forecaster.observe(at, value, stream.groups[i]!);
    }
    counts.paths++;
    if (own.length > 0) this.perPath.push(quantile(Float64Array.from(own).sort(), 0.5));
  }

  figures(): ForecastFigures {
    const { paths, forecasts, within, below, above } = this.counts;
    const ofPaths = Float64Array.from(this.perPath).sort();
    const share = (count: number): number => round(count / forecasts, 4);
    return {
      metric: this.metric,
      paths,
      forecasts,
      methods: Object.fromEntries(
        [...METHODS.entries()]
          .filter(([m]) => this.forecaster.uses(m))
          .map(([m, name]) => [name, this.methodFigures(m)]),
      ),
      mixture: this.methodFigures(METHODS.length),
      perPath: {
        medianPercent: percent(ofPaths.length > 0 ? quantile(ofPaths, 0.5) : Number.NaN),
        p75Percent: percent(ofPaths.length > 0 ? quantile(ofPaths, 0.75) : Number.NaN),
      },
      interval: { within: share(within), below: share(below), above: share(above) },
    };
  }

  private note(method: number, forecast: number, actual: number): number | undefined {
    const error = Math.abs(forecast - actual);
    this.absolute[method]! += error;
    this.squares[method]! += error * error;
    if (actual <= 0) return undefined;
    this.errors[method]!.add(error / actual);
    return error / actual;
  }

  private methodFigures(method: number): MethodFigures {
    const errors = this.errors[method]!;
    return {
      medianPercent: percent(errors.quantile(0.5)),
      p75Percent: percent(errors.quantile(0.75)),
      meanAbsoluteError: Number((this.absolute[method]! / this.counts.forecasts).toPrecision(4)),
      rootMeanSquareError: Number(Math.sqrt(this.squares[method]! / this.counts.forecasts).toPrecision(4)),
    };
  }
}

const percent = (share: number): number => round(100 * share, 2);
const round = (value: number, digits: number): number => Math.round(value * 10 ** digits) / 10 ** digits;
