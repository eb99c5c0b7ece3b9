import { hash } from 'node:crypto';
import { ClassAd, writeOld } from 'classad-parser';
import { type Breaker, type PathEstimate, pathName } from '../domain.ts';

/** The MyType of path ads: the collector keeps a table of its own for it. */
export const PATH_AD_TYPE = 'NetworkPath';

/** An ad ready to be sent. */
export interface PathAd {
  name: string;
  /** Old syntax, one attribute a line, a line break at the end. */
  text: string;
  /** Changes when and only when the text does. */
  contentHash: string;
}

/**
 * The ad of one path as design.md lists it. What is not known is absent, never 0.
 * @param breakers the path's breakers, one for each policy that covers it
 */
export function pathAd(path: PathEstimate, breakers: readonly Breaker[], lifetimeSeconds: number): PathAd {
  const name = pathName(path);
  const ad = new ClassAd()
    .setString('MyType', PATH_AD_TYPE)
    .setString('Name', name)
    .setString('SrcSite', path.srcSite)
    .setString('DstSite', path.dstSite);
  setReal(ad, 'ThroughputMbps', path.metrics.throughputMbps?.centre);
  setReal(ad, 'ThroughputMbpsP10', path.metrics.throughputMbps?.p10);
  setReal(ad, 'ThroughputMbpsP90', path.metrics.throughputMbps?.p90);
  setReal(ad, 'LossRate', path.metrics.lossRate?.centre);
  setReal(ad, 'OneWayDelayMs', path.metrics.oneWayDelayMs?.centre);
  setReal(ad, 'RttMs', path.metrics.rttMs?.centre);
  setReal(ad, 'Retransmits', path.metrics.retransmits?.centre);
  ad.setReal('Quality', path.quality)
    .setInteger('SampleCount', path.sampleCount)
    .setInteger('LastMeasured', epochSeconds(path.lastMeasured))
    .setBoolean('Measured', path.measured);
  const breaker = strictest(breakers);
  if (breaker) {
    ad.setString('BreakerState', breaker.state)
      .setString('BreakerPolicy', breaker.policy)
      .setString('BreakerReason', breaker.reason)
      .setInteger('BreakerSince', epochSeconds(breaker.since));
    if (breaker.maxInputMB !== undefined) ad.setReal('MaxInputMB', breaker.maxInputMB);
  }
  ad.setInteger('ClassAdLifetime', lifetimeSeconds);
  const text = writeOld(ad);
  return { name, text, contentHash: hash('sha1', text, 'base64') };
}

const SEVERITY = ['CLOSED', 'FORCED_CLOSED', 'UNKNOWN', 'HALF_OPEN', 'OPEN', 'FORCED_OPEN'] as const;

/** The breaker that decides for the path: the worst state, and among equals the one that lets least pass. */
export function strictest(breakers: readonly Breaker[]): Breaker | undefined {
  return breakers.reduce<Breaker | undefined>((worst, breaker) => {
    if (!worst) return breaker;
    const difference = SEVERITY.indexOf(breaker.state) - SEVERITY.indexOf(worst.state);
    if (difference !== 0) return difference > 0 ? breaker : worst;
    return (breaker.maxInputMB ?? Infinity) < (worst.maxInputMB ?? Infinity) ? breaker : worst;
  }, undefined);
}

/** Five significant digits: more would say what no measurement knows, and send an ad again for noise. */
function setReal(ad: ClassAd, name: string, value: number | undefined): void {
  if (value !== undefined) ad.setReal(name, Number(value.toPrecision(5)));
}

const epochSeconds = (at: Date): number => Math.floor(at.getTime() / 1000);
