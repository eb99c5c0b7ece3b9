import { ClassAd, ERROR, type ListValue, parseAds, type Value } from 'classad-parser';
import { readUserFile } from '../checked-yaml.ts';
import { messageOf, UserError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import type { WorkerConfig } from './config.ts';
import type { Bandwidth, PortWish } from './types.ts';
import { parseMode, portWishes, type WantedMode, type Wants, wishText } from './wants.ts';

export type OnFailure = WorkerConfig['onFailure'];

/** What the site grants to one job. */
export interface Grant {
  mode: WantedMode;
  inbound: PortWish[];
  bandwidth?: Bandwidth;
  isAccounted: boolean;
  /** Why the job gets nothing and must not run here; absent where it may. */
  refusal?: string;
  onFailure: OnFailure;
}

const ATTRIBUTES = [
  'Mode',
  'Refuse',
  'InboundPorts',
  'BandwidthMinMbps',
  'BandwidthMaxMbps',
  'Accounting',
  'OnFailure',
];
const ON_FAILURE: readonly string[] = ['hold', 'idle', 'run-without'] satisfies OnFailure[];

/** @throws UserError that names file and attribute */
export function loadPolicy(file: string): ClassAd {
  return parsePolicy(readUserFile(file, 'the policy'), file);
}

/** @throws UserError that names file and attribute */
export function parsePolicy(text: string, file: string): ClassAd {
  let ads: ClassAd[];
  try {
    // Blank lines part ads elsewhere; here they part thoughts.
    ads = parseAds(text.replace(/^\s*$/gm, '#'));
  } catch (error) {
    throw new UserError(`${file}: ${messageOf(error)}`);
  }
  const policy = ads[0] ?? new ClassAd();
  for (const name of ['Job', 'Machine', 'Wants']) {
    if (policy.has(name)) throw new UserError(`${file}: ${name} is given by Lark and cannot be set`);
  }
  // The site may have attributes of its own to build on; one that is nearly a known one is a slip.
  for (const name of policy.names()) {
    if (ATTRIBUTES.some((known) => known.toLowerCase() === name.toLowerCase())) continue;
    const hint = nearest(name, ATTRIBUTES);
    if (hint) throw new UserError(`${file}: unknown attribute ${name}${hint}`);
  }
  return policy;
}

/**
 * Evaluates the policy for one job.
 * @throws UserError that names the attribute whose value cannot be used
 */
export function grant(
  policy: ClassAd,
  { job, machine, wants }: { job: ClassAd; machine: ClassAd; wants: Wants },
  config: Pick<WorkerConfig, 'onFailure' | 'shaping'>,
): Grant {
  const ad = policy.clone().set('Job', job).set('Machine', machine).set('Wants', wantsAd(wants));
  const valueFor = (name: string): Value => {
    const value = ad.evaluate(name);
    if (value === ERROR) throw new UserError(`the policy's ${name} has the value error for this job`);
    return value;
  };

  const refusal = valueFor('Refuse');
  const onFailure = textOf(valueFor('OnFailure'), 'OnFailure') ?? config.onFailure;
  if (!ON_FAILURE.includes(onFailure)) {
    throw new UserError(`the policy's OnFailure = "${onFailure}": expected one of ${ON_FAILURE.join(', ')}`);
  }
  const mode = parseMode(textOf(valueFor('Mode'), 'Mode') ?? 'nat', "the policy's Mode");
  const accounting = valueFor('Accounting') ?? true;
  if (typeof accounting !== 'boolean')
    throw new UserError("the policy's Accounting is neither true nor false");
  const wished = new Set(wants.inboundPorts.map(wishText));
  const inbound = portWishes(valueFor('InboundPorts') as ListValue, "the policy's InboundPorts").filter(
    (port) => wished.has(wishText(port)),
  );
  const bandwidth = bandwidthOf(ad, valueFor, machine.getNumber('Bandwidth') ?? wants.bandwidthMbps, config);
  return {
    mode,
    inbound,
    ...(bandwidth && { bandwidth }),
    isAccounted: accounting,
    ...(refusal !== undefined && { refusal: String(refusal) }),
    onFailure: onFailure as OnFailure,
  };
}

function bandwidthOf(
  ad: ClassAd,
  valueFor: (name: string) => Value,
  wantedMbps: number | undefined,
  config: Pick<WorkerConfig, 'shaping'>,
): Bandwidth | undefined {
  const number = (name: string): number | undefined => {
    const value = valueFor(name);
    if (value === undefined) return undefined;
    const mbps = ad.getNumber(name);
    if (mbps === undefined || !(mbps >= 0 && mbps <= 1_000_000)) {
      throw new UserError(`the policy's ${name}: expected Mb/s between 0 and 1000000`);
    }
    return mbps;
  };
  // 0 is a slot's share of a machine that has no bandwidth to give: the same as none.
  const minMbps = (ad.has('BandwidthMinMbps') ? number('BandwidthMinMbps') : wantedMbps) || undefined;
  if (minMbps === undefined || !config.shaping.enabled) return undefined;
  const { ceilingFactor } = config.shaping;
  const byFactor = ceilingFactor === 'none' ? undefined : minMbps * ceilingFactor;
  const maxMbps = ad.has('BandwidthMaxMbps') ? number('BandwidthMaxMbps') : byFactor;
  return maxMbps === undefined ? { minMbps } : { minMbps, maxMbps: Math.max(minMbps, maxMbps) };
}

function textOf(value: Value, name: string): string | undefined {
  if (value === undefined || typeof value === 'string') return value;
  throw new UserError(`the policy's ${name} is no text`);
}

function wantsAd(wants: Wants): ClassAd {
  return ClassAd.from({
    Mode: wants.mode,
    InboundPorts: wants.inboundPorts.map(wishText),
    BandwidthMbps: wants.bandwidthMbps,
    Accounting: wants.accounting,
  });
}
