import { z } from 'zod';
import { identifier } from '../../address.ts';
import { type HostClaim, identifiersOf, pschedulerLocator } from '../claims.ts';
import { firstText, texts } from '../texts.ts';
import { addressesOfClass, classSpec } from './address-class.ts';
import {
  archiveClaims,
  type Contents,
  durationSeconds,
  endpoint,
  flag,
  isObject,
  listOf,
  MAX_PAIRS,
  mapOf,
} from './contents.ts';

/**
 * pSConfig templates (perfSONAR 4 and later), read as pSConfig's own agent reads them: labels and remote addresses as
 * in its BaseGroup, excludes as in its BaseP2PGroup and Disjoint.
 */
const labelSpec = z.object({ address: firstText, disabled: flag, 'no-agent': flag });
const remoteSpec = z.object({ ...labelSpec.shape, labels: mapOf(labelSpec) });
const addressSpec = z.object({
  ...remoteSpec.shape,
  address: firstText.pipe(z.string()),
  host: firstText,
  // HOST:PORT, where it is not the address's own.
  'pscheduler-address': firstText,
  tags: texts,
  'remote-addresses': mapOf(remoteSpec),
  _meta: z.object({ 'display-name': firstText }).catch({ 'display-name': undefined }),
});
export type AddressSpec = z.infer<typeof addressSpec>;

const selectorSpec = z.object({ name: firstText, label: firstText, class: firstText, disabled: flag });
type Selector = z.infer<typeof selectorSpec>;

const groupSpec = z.object({
  type: z.enum(['mesh', 'disjoint', 'list']),
  'default-address-label': firstText,
  unidirectional: flag,
  addresses: listOf(selectorSpec),
  'a-addresses': listOf(selectorSpec),
  'b-addresses': listOf(selectorSpec),
  'excludes-self': z.enum(['host', 'address', 'disabled']).catch('host'),
  excludes: listOf(z.object({ 'local-address': selectorSpec, 'target-addresses': listOf(selectorSpec) })),
});
type GroupSpec = z.infer<typeof groupSpec>;

const anyObject = z
  .unknown()
  .optional()
  .transform((value) => (isObject(value) ? value : {}));
const archiveSpec = z.object({ archiver: firstText, data: anyObject, _meta: anyObject });
const testSpec = z.object({ type: z.string().min(1), spec: anyObject });
const hostSpec = z.object({ archives: texts, tags: texts, disabled: flag, 'no-agent': flag });

const templateSpec = z.object({
  addresses: mapOf(addressSpec),
  'address-classes': mapOf(classSpec),
  archives: mapOf(archiveSpec),
  groups: mapOf(groupSpec),
  hosts: mapOf(hostSpec),
  schedules: mapOf(z.object({ repeat: firstText })),
  tasks: mapOf(
    z.object({
      group: z.string(),
      test: z.string(),
      schedule: firstText,
      archives: texts,
      disabled: flag,
      'scheduled-by': z.int().min(0).max(1).catch(0),
    }),
  ),
  tests: mapOf(testSpec),
});
export type Template = z.infer<typeof templateSpec>;

/** What may be defined in one template and used in another that includes it. */
const SECTIONS = Object.keys(templateSpec.shape) as (keyof Template)[];

export const isTemplate = (document: unknown): document is Record<string, unknown> =>
  isObject(document) && SECTIONS.some((key) => isObject(document[key]));

/** One template of several: what the first defines, the later ones do not change. */
export function mergeTemplates(documents: readonly Record<string, unknown>[]): Template {
  const sections = SECTIONS.map((key) => [
    key,
    Object.assign(
      {},
      ...documents.toReversed().map((document) => (isObject(document[key]) ? document[key] : {})),
    ),
  ]);
  return templateSpec.parse(Object.fromEntries(sections));
}

/** `url` is that of the template: what it tells is told by it. */
export function readTemplate(template: Template, url: string): Contents {
  const remarks: string[] = [];
  const archives = new Set<string>();
  const expected: Contents['expected'] = [];
  for (const [name, task] of template.tasks) {
    const group = template.groups.get(task.group);
    const test = template.tests.get(task.test);
    if (task.disabled || !group || !test) continue;
    const repeat = template.schedules.get(task.schedule ?? '')?.repeat;
    const intervalSeconds = repeat === undefined ? undefined : durationSeconds(repeat);
    for (const members of combinations(group, template, remarks)) {
      const scheduler = schedulerOf(members, task['scheduled-by']);
      if (!scheduler) continue;
      const ofHost = template.hosts.get(scheduler.host ?? '')?.archives ?? [];
      for (const archive of [...task.archives, ...ofHost]) {
        const found = archiveLocator(template.archives.get(archive), scheduler.address);
        if (found !== undefined) archives.add(found);
      }
      const pair = testedPair(test.spec, members);
      if (!pair) continue;
      const ipVersion = Number(test.spec['ip-version']);
      expected.push({
        template: url,
        task: name,
        ...pair,
        testType: test.type,
        ...((ipVersion === 4 || ipVersion === 6) && { ipVersion }),
        ...(intervalSeconds !== undefined && { intervalSeconds }),
        ...(isRateSet(test.spec) && { isRateSet: true as const }),
      });
    }
  }
  const ofArchives = archiveClaims(archives, url);
  return {
    hosts: [...hostClaims(template, url), ...ofArchives.hosts],
    archives: ofArchives.archives,
    expected,
    remarks: [...new Set(remarks)],
  };
}

const isDisabled = (address: AddressSpec, template: Template) =>
  address.disabled || (template.hosts.get(address.host ?? '')?.disabled ?? false);

/** Addresses that name one `host` are of one host. */
function hostClaims(template: Template, url: string): HostClaim[] {
  return [...template.addresses.values()].flatMap((address): HostClaim[] => {
    if (isDisabled(address, template)) return [];
    const own = [address, ...address.labels.values()];
    const towards = [...address['remote-addresses'].values()].flatMap((remote) => [
      remote,
      ...remote.labels.values(),
    ]);
    const all = [...own, ...towards].filter(({ disabled }) => !disabled);
    return [
      {
        ...identifiersOf(all.flatMap((each) => each.address ?? [])),
        siteNameHint: address._meta['display-name'],
        pschedulerUrls: [address['pscheduler-address']].flatMap(
          (at) => (at === undefined ? undefined : pschedulerLocator(`https://${at}/pscheduler`)) ?? [],
        ),
        links: address.host === undefined ? [] : [`template ${url} host ${address.host}`],
        sources: [url],
      },
    ];
  });
}

/** A member of a group as it takes part in one test. */
interface Member {
  address: string;
  host?: string;
  hasAgent: boolean;
}

/** The pairs that a mesh or disjoint group stands for, and each single member of a list. */
function combinations(group: GroupSpec, template: Template, remarks: string[]): Member[][] {
  const resolve = (selectors: readonly Selector[]) =>
    selectors.flatMap((selector) => resolved(selector, template, remarks));
  if (group.type === 'list')
    return resolve(group.addresses).flatMap((chosen) => {
      const member = memberOf(chosen, undefined, group, template);
      return member ? [[member]] : [];
    });
  const sides =
    group.type === 'mesh'
      ? [[group.addresses, group.addresses] as const]
      : [
          [group['a-addresses'], group['b-addresses']] as const,
          ...(group.unidirectional ? [] : [[group['b-addresses'], group['a-addresses']] as const]),
        ];
  const excluded = new Set(
    group.excludes.flatMap((exclude) =>
      exclude['target-addresses'].map(
        (target) => `${selectorKey(exclude['local-address'])} ${selectorKey(target)}`,
      ),
    ),
  );
  return sides.flatMap(([from, to]) => {
    const sources = resolve(from);
    const targets = resolve(to);
    if (sources.length * targets.length > MAX_PAIRS) {
      remarks.push(`a group of ${sources.length} by ${targets.length} members is beyond all measure`);
      return [];
    }
    return sources.flatMap((a) =>
      targets.flatMap((b) => {
        if (excluded.has(`${selectorKey(a.selector)} ${selectorKey(b.selector)}`)) return [];
        const source = memberOf(a, b, group, template);
        const destination = memberOf(b, a, group, template);
        if (!source || !destination || isSelf(a.spec, b.spec, group['excludes-self'])) return [];
        return source.address === destination.address ? [] : [[source, destination]];
      }),
    );
  });
}

const selectorKey = ({ name, label, class: ofClass }: Selector) => JSON.stringify([name, label, ofClass]);

interface Chosen {
  selector: Selector;
  name: string;
  spec: AddressSpec;
}

function resolved(selector: Selector, template: Template, remarks: string[]): Chosen[] {
  if (selector.disabled) return [];
  const names =
    selector.class === undefined
      ? [selector.name ?? '']
      : addressesOfClass(selector.class, template, remarks);
  return names.flatMap((name) => {
    const spec = template.addresses.get(name);
    return spec && !isDisabled(spec, template) ? [{ selector, name, spec }] : [];
  });
}

/** Which of its addresses a member uses towards another; undefined where it takes no part. */
function memberOf(
  { selector, spec }: Chosen,
  other: Chosen | undefined,
  group: GroupSpec,
  template: Template,
): Member | undefined {
  const label = selector.label ?? group['default-address-label'];
  const remote = other && spec['remote-addresses'].get(other.name);
  const base = remote ?? spec;
  const used = label === undefined ? base : base.labels.get(label);
  const address = used?.address;
  if (used === undefined || address === undefined || used.disabled || remote?.disabled) return undefined;
  const canonical = endpoint(address);
  if (canonical === undefined) return undefined;
  const noAgent =
    used['no-agent'] ||
    spec['no-agent'] ||
    remote?.['no-agent'] ||
    template.hosts.get(spec.host ?? '')?.['no-agent'];
  return { address: canonical, hasAgent: !noAgent, ...(spec.host !== undefined && { host: spec.host }) };
}

function isSelf(a: AddressSpec, b: AddressSpec, scope: GroupSpec['excludes-self']): boolean {
  if (scope === 'disabled') return false;
  if (a.address.toLowerCase() === b.address.toLowerCase()) return true;
  return scope === 'host' && a.host !== undefined && a.host.toLowerCase() === b.host?.toLowerCase();
}

/** Who has the test done: the member that the task says; where that one runs no agent, another. */
function schedulerOf(members: readonly Member[], scheduledBy: number): Member | undefined {
  const preferred = members[scheduledBy] ?? members[0];
  return preferred?.hasAgent ? preferred : members.find(({ hasAgent }) => hasAgent);
}

/** UDP, or TCP with a target bandwidth: a number in bit/s, or a text such as `50M`. */
function isRateSet(spec: Record<string, unknown>): boolean {
  return (
    flag.parse(spec.udp) || (spec.bandwidth !== undefined && spec.bandwidth !== null && spec.bandwidth !== 0)
  );
}

/** `source` and `dest` of a test: `{% address[0] %}` and `{% address[1] %}`, the other way round, or as they stand. */
function testedPair(
  spec: Record<string, unknown>,
  members: readonly Member[],
): { source: string; destination: string } | undefined {
  const read = (text: unknown): string | undefined => {
    if (typeof text !== 'string') return undefined;
    const index = /^\s*\{%\s*address\[(\d)\]\s*%\}\s*$/.exec(text)?.[1];
    return index === undefined ? endpoint(text) : members[Number(index)]?.address;
  };
  // Some tests have no source: they start where they are scheduled.
  const source = spec.source === undefined ? members[0]?.address : read(spec.source);
  const destination = read(spec.dest);
  return source === undefined || destination === undefined || source === destination
    ? undefined
    : { source, destination };
}

/** Where what this archiver stores can be read, when the host at the address schedules the test. */
function archiveLocator(
  archive: z.infer<typeof archiveSpec> | undefined,
  scheduledBy: string,
): string | undefined {
  if (!archive) return undefined;
  const { data, _meta } = archive;
  const inside = isObject(data._meta) ? data._meta : {};
  const told = _meta.esmond_url ?? inside.esmond_url;
  const written = data._url ?? data.url;
  const text = [told, ...(isReadable(archive.archiver, written) ? [written] : [])].find(
    (each) => typeof each === 'string' && each !== '',
  );
  if (typeof text !== 'string') return undefined;
  const host = scheduledBy.includes(':') ? `[${scheduledBy}]` : scheduledBy;
  const filled = text.trim().replace(/\{%\s*scheduled_by_address\s*%\}/g, host);
  if (filled.includes('{%') || !URL.canParse(filled)) return undefined;
  // The archive "on this host" is that of the host that schedules.
  const url = new URL(filled);
  if (url.hostname === 'localhost' || identifier(url.hostname)?.scope === 'none') url.hostname = host;
  return url.href;
}

/** esmond is written to where it is read; of what else is sent by HTTP only perfSONAR's own archive can be read. */
function isReadable(archiver: string | undefined, url: unknown): boolean {
  return (
    archiver === 'esmond' || (archiver === 'http' && typeof url === 'string' && /\/logstash\/*$/.test(url))
  );
}
