import { type ClassAd, evaluate, ListValue, type Value } from 'classad-parser';
import { UserError } from '../errors.ts';
import { MODES, type NetworkMode, type PortWish, PROTOCOLS, type Protocol } from './types.ts';

/** `host`: leave the job alone. */
export type WantedMode = NetworkMode | 'host';

/** What a job asks for, whichever attributes it used. What it does not say is absent. */
export interface Wants {
  mode?: WantedMode;
  inboundPorts: PortWish[];
  bandwidthMbps?: number;
  accounting?: boolean;
}

const MODE_NAMES: Readonly<Record<string, WantedMode>> = {
  ...Object.fromEntries(MODES.map((mode) => [mode, mode])),
  host: 'host',
  // The first Lark's third kind: to the job it was a bridge.
  ovs_bridge: 'bridge',
};

/**
 * Reads LarkNetwork, LarkInboundPorts, RequestBandwidth, and the first Lark's LarkNetworkType, InboundConnectivity,
 * OutboundConnectivity and NetworkAccounting, in that order of strength. LarkNetworkType and LarkNetworkAccounting of
 * the machine's ad, where the first Lark had them, count where the job says nothing.
 * @throws UserError that names the attribute
 */
export function wantsOf(job: ClassAd, machine: ClassAd): Wants {
  const mode =
    modeOf(job, 'LarkNetwork') ??
    modeOf(job, 'LarkNetworkType') ??
    connectivity(job) ??
    modeOf(machine, 'LarkNetworkType');
  const bandwidthMbps = job.getNumber('RequestBandwidth');
  if (bandwidthMbps !== undefined && !(bandwidthMbps >= 0 && bandwidthMbps <= 1_000_000)) {
    throw new UserError(`RequestBandwidth = ${bandwidthMbps}: expected Mb/s between 0 and 1000000`);
  }
  const accounting = job.getBoolean('NetworkAccounting') ?? machine.getBoolean('LarkNetworkAccounting');
  return {
    ...(mode && { mode }),
    inboundPorts: portWishes(job.evaluate('LarkInboundPorts'), 'LarkInboundPorts'),
    // 0 is what HTCondor puts into the ad of a job that did not ask.
    ...(bandwidthMbps && { bandwidthMbps }),
    ...(accounting !== undefined && { accounting }),
  };
}

function modeOf(ad: ClassAd, attribute: string): WantedMode | undefined {
  const text = ad.getString(attribute);
  return text === undefined ? undefined : parseMode(text, attribute);
}

/** @throws UserError that names the attribute */
export function parseMode(text: string, attribute: string): WantedMode {
  const mode = MODE_NAMES[text.toLowerCase()];
  if (!mode) {
    throw new UserError(`${attribute} = "${text}": expected one of ${MODES.join(', ')} and host`);
  }
  return mode;
}

/** As the first Lark's policy script mapped them; a job that says nothing of either says nothing. */
function connectivity(job: ClassAd): NetworkMode | undefined {
  const inbound = job.getBoolean('InboundConnectivity');
  const outbound = job.getBoolean('OutboundConnectivity');
  if (inbound === undefined && outbound === undefined) return undefined;
  if (inbound) return 'bridge';
  return outbound === false ? 'none' : 'nat';
}

/**
 * `{ 8080, "5000/udp" }`, `"8080, 5000/udp"` or `8080`.
 * @throws UserError that names the attribute
 */
export function portWishes(value: Value, attribute: string): PortWish[] {
  if (value === undefined) return [];
  const texts =
    value instanceof ListValue
      ? value.items.map((item) => String(evaluate(item, { my: value.scope })))
      : String(value)
          .split(',')
          .filter((text) => text.trim() !== '');
  const wishes = new Map<string, PortWish>();
  for (const text of texts) {
    const match = /^\s*(\d{1,5})(?:\/(\w+))?\s*$/.exec(text);
    const jobPort = Number(match?.[1]);
    const protocol = (match?.[2]?.toLowerCase() ?? 'tcp') as Protocol;
    if (!match || jobPort < 1 || jobPort > 65_535 || !PROTOCOLS.includes(protocol)) {
      throw new UserError(`${attribute}: "${text.trim()}" is no port; write it as 8080 or 5000/udp`);
    }
    wishes.set(wishText({ protocol, jobPort }), { protocol, jobPort });
  }
  if (wishes.size > 64) throw new UserError(`${attribute}: at most 64 ports, got ${wishes.size}`);
  return [...wishes.values()];
}

export function wishText(wish: PortWish): string {
  return `${wish.jobPort}/${wish.protocol}`;
}
