import { hash } from 'node:crypto';
import { Real, unparseValue } from 'classad-parser';
import { type PathEstimate, type PathVerdict, pathName } from '../domain.ts';

/** The MyType of path ads: the collector keeps a table of its own for it. */
export const PATH_AD_TYPE = 'NetworkPath';

/** An ad ready to be sent: that of a path, whose name has a `>`, or of a site (site-ad.ts). */
export interface ReadyAd {
  name: string;
  /** Old syntax, one attribute a line, a line break at the end. */
  text: string;
  /** Changes when and only when the text does. */
  contentHash: string;
}

/** A path as its ad tells of it: of one that has breakers and no estimate, only the ends are known. */
export type PublishedPath = Pick<PathEstimate, 'srcSite' | 'dstSite'> & Partial<PathEstimate>;

/**
 * The ad of one path as design.md lists it. What is not known is absent, never 0.
 * @param verdict what the path's breakers come to; undefined where no policy covers it
 */
export function pathAd(
  path: PublishedPath,
  verdict: PathVerdict | undefined,
  lifetimeSeconds: number,
): ReadyAd {
  const name = pathName(path);
  const { throughputMbps, lossRate, oneWayDelayMs, rttMs, retransmits } = path.metrics ?? {};
  let text =
    string('MyType', PATH_AD_TYPE) +
    string('Name', name) +
    string('SrcSite', path.srcSite) +
    string('DstSite', path.dstSite) +
    real('ThroughputMbps', throughputMbps?.centre) +
    real('ThroughputMbpsP10', throughputMbps?.p10) +
    real('ThroughputMbpsP90', throughputMbps?.p90) +
    real('LossRate', lossRate?.centre) +
    real('OneWayDelayMs', oneWayDelayMs?.centre) +
    real('RttMs', rttMs?.centre) +
    real('Retransmits', retransmits?.centre) +
    real('Quality', path.quality) +
    integer('SampleCount', path.sampleCount ?? 0) +
    (path.lastMeasured ? integer('LastMeasured', epochSeconds(path.lastMeasured)) : '') +
    `Measured = ${path.measured === true}\n`;
  if (verdict) text += breakerLines(verdict);
  text += integer('ClassAdLifetime', lifetimeSeconds);
  return readyAd(name, text);
}

export const readyAd = (name: string, text: string): ReadyAd => ({
  name,
  text,
  contentHash: hash('sha1', text, 'base64'),
});

/** Whether an ad of this name is a path's. A site's name never holds the sign between its two ends. */
export const isPathName = (name: string): boolean => name.includes('>');

// Lines are put together here rather than by a ClassAd: for ten thousand ads that saves a quarter of the time.

/** A line break would begin another attribute; old syntax cannot hold one. */
export const string = (name: string, value: string): string =>
  `${name} = ${unparseValue(value.replaceAll(/[\r\n]+/g, ' '), 'old')}\n`;

/** Five significant digits: more would say what no measurement knows, and send an ad again for noise. */
const real = (name: string, value: number | undefined): string =>
  value === undefined ? '' : `${name} = ${unparseValue(new Real(Number(value.toPrecision(5))), 'old')}\n`;

export const integer = (name: string, value: number): string => `${name} = ${value}\n`;

function breakerLines(verdict: PathVerdict): string {
  const { state, policy, reason, since, retryAt, withholds, tickets, all } = verdict;
  return (
    string('BreakerState', state) +
    string('BreakerPolicy', policy) +
    (reason === '' ? '' : string('BreakerReason', reason)) +
    integer('BreakerSince', epochSeconds(since)) +
    (retryAt ? integer('BreakerRetryAt', epochSeconds(retryAt)) : '') +
    real('MaxInputMB', withholds?.maxInputMB) +
    real('MaxOutputMB', withholds?.maxOutputMB) +
    real('MaxTransferSeconds', withholds?.maxTransferSeconds) +
    real('MaxJobs', withholds?.maxJobs) +
    (tickets ? integer('BreakerTicketFrom', tickets.from) + integer('BreakerTicketTo', tickets.to) : '') +
    string('BreakerPolicies', all.map((one) => `${one.policy}=${one.state}`).join(','))
  );
}

const epochSeconds = (at: Date): number => Math.floor(at.getTime() / 1000);
