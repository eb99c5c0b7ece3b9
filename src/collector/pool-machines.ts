import { type ClassAd, parseJsonAds } from 'classad-parser';
import ipaddr from 'ipaddr.js';
import type { PoolMachine } from '../domain.ts';
import type { Htcondor } from './htcondor.ts';

/** What of each ad is read, besides the attributes in which a machine may say where it stands. */
const ATTRIBUTES = ['MyType', 'Name', 'Machine', 'ScheddName', 'MyAddress', 'AddressV1'];

/** Dynamic slots say what the slot says that they were cut from. */
const CONSTRAINT =
  '(MyType == "Machine" && SlotType =!= "Dynamic") || MyType == "Scheduler" || MyType == "Submitter"';

/**
 * The machines of the pool: those that offer slots and those that jobs are submitted from, also from other pools
 * (whose schedds flock: they send submitter ads alone). By host name; slots of one machine are one entry, unless they
 * have different addresses, as machines of the same name behind different walls have.
 * @param wordsOf attributes whose texts tell where a machine stands, as it says itself
 * @throws HtcondorError
 */
export async function poolMachines(
  htcondor: Pick<Htcondor, 'ads'>,
  wordsOf: readonly string[],
): Promise<PoolMachine[]> {
  return machinesOf(parseJsonAds(await htcondor.ads(CONSTRAINT, [...ATTRIBUTES, ...wordsOf])), wordsOf);
}

/** The part of `poolMachines` that asks nobody. */
export function machinesOf(ads: readonly ClassAd[], wordsOf: readonly string[]): PoolMachine[] {
  const machines = new Map<string, PoolMachine>();
  for (const ad of ads) {
    const name = ad.getString('Machine');
    if (!name) continue;
    const addresses = addressesOf(ad);
    const key = [name.toLowerCase(), ...addresses].join(' ');
    const machine = machines.get(key) ?? {
      key,
      names: [],
      addresses,
      words: {},
      slots: 0,
      isAccessPoint: false,
    };
    machines.set(key, machine);
    const isSlot = ad.getString('MyType') === 'Machine';
    // A schedd may go by a name of its own; a slot's or submitter's Name is none of the machine's.
    const schedd = ad.getString(ad.getString('MyType') === 'Scheduler' ? 'Name' : 'ScheddName');
    if (isSlot) machine.slots += 1;
    else machine.isAccessPoint = true;
    for (const text of [name, isSlot ? undefined : schedd])
      if (text && !machine.names.includes(text)) machine.names.push(text);
    for (const attribute of wordsOf) {
      const word = ad.getString(attribute)?.trim();
      if (!word) continue;
      const said = machine.words[attribute] ?? [];
      machine.words[attribute] = said;
      if (!said.includes(word)) said.push(word);
    }
  }
  return [...machines.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

/**
 * Every address that the daemon says it has, sorted; not those of the broker through which it may be called, nor
 * loopback.
 */
function addressesOf(ad: ClassAd): string[] {
  const found = new Set<string>();
  const add = (text: string | undefined): void => {
    if (text === undefined || !ipaddr.isValid(text)) return;
    const address = ipaddr.process(text);
    if (address.range() !== 'loopback' && address.range() !== 'unspecified') found.add(address.toString());
  };
  const sinful = ad.getString('MyAddress') ?? '';
  add(/^<\[?([^\]?>]+?)\]?:\d+[?>]/.exec(sinful)?.[1]);
  const parameters = new URLSearchParams(/\?([^>]*)>/.exec(sinful)?.[1] ?? '');
  // addrs=192.0.2.1-9618+[2001-db8--1]-9618: the colons of IPv6 are written as dashes. URLSearchParams reads + as a blank.
  for (const part of (parameters.get('addrs') ?? '').split(/[ +]/)) {
    const [, v6, v4] = /^(?:\[([0-9a-f-]+)\]|([\d.]+))-\d+$/i.exec(part) ?? [];
    add(v6?.replaceAll('-', ':') ?? v4);
  }
  add(/^<\[?([^\]?>]+?)\]?:\d+/.exec(parameters.get('PrivAddr') ?? '')?.[1]);
  for (const [, address] of (ad.getString('AddressV1') ?? '').matchAll(/\ba="([^"]+)"/g)) add(address);
  return [...found].sort();
}
