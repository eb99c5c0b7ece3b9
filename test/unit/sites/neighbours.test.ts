import { describe, expect, test } from 'vitest';
import type { Hop } from '../../../src/domain.ts';
import { joinSources } from '../../../src/sites/join.ts';
import { indexOf, locate, type Subject } from '../../../src/sites/locate.ts';
import { neighboursOn, type TracedRoute } from '../../../src/sites/neighbours.ts';
import { neighbourHint, type SiteOfEnd } from '../../../src/sites/trace-hint.ts';
import { why } from '../../../src/sites/why.ts';
import { site, source } from './facts.ts';

const vienna = { latitude: 48.2, longitude: 16.37 };
const knowledge = joinSources([
  source('file', site('Home', { prefixes: ['10.20.0.0/16'], domains: ['t2.home.test'] })),
  source(
    'cric',
    site('Alpha', { hosts: ['ce.alpha.test', '198.51.100.1'], prefixes: ['192.0.2.0/25'], ...vienna }),
    site('Beta', { hosts: ['ce.beta.test', 'ce.both.test'], prefixes: ['192.0.2.128/25'] }),
    site('Gamma', { hosts: ['se.both.test'], prefixes: ['203.0.113.0/24'] }),
    site('Delta', { prefixes: ['203.0.113.0/24'] }),
    site('XX-Backbone-NREN', { hosts: ['ps.backbone.test'], prefixes: ['100.100.0.0/16'] }),
  ),
]);
const index = indexOf(knowledge);

const SUBJECT = '9.9.9.9';
/** Three hops that say nothing lie between the two ends' own. */
const FAR = ['8.0.0.1', '8.0.0.2', '8.0.0.3'];
const hops = (...list: (string | Hop)[]): Hop[] =>
  list.map((hop) => (typeof hop === 'string' ? { address: hop } : hop));
const route = (
  source: string,
  between: (string | Hop)[],
  destination: string,
  isReached = true,
): TracedRoute => ({
  test: { source, destination },
  route: { hops: hops(...between, ...(isReached ? [destination] : [])), isReached },
});
/** A route from the subject, whose first routers these are. */
const from = (...first: (string | Hop)[]): TracedRoute => route(SUBJECT, [...first, ...FAR], '7.7.7.7');

const known =
  (sites: Record<string, string>, method: 'prefix' | 'hints' = 'prefix'): SiteOfEnd =>
  (id) =>
    sites[id] === undefined ? undefined : { site: sites[id], method };
const hint = (routes: TracedRoute[], siteOf: SiteOfEnd = () => undefined) =>
  neighbourHint({ subject: SUBJECT, names: [], addresses: [SUBJECT] }, neighboursOn(routes), siteOf, index);

describe('whose neighbour a router is', () => {
  test('two hops from the source, and two before the destination, that the route reached', () => {
    expect(hint([from('192.0.2.1')])?.site).toBe('Alpha');
    expect(hint([from({}, '192.0.2.1')])).toEqual({
      site: 'Alpha',
      text: 'on traces, a router two hops away is 192.0.2.1 in 192.0.2.0/25',
    });
    expect(hint([from({}, {}, '192.0.2.1')])).toBeUndefined();
    expect(hint([route('7.7.7.7', [...FAR, '192.0.2.1', {}], SUBJECT)])?.site).toBe('Alpha');
    expect(hint([route('7.7.7.7', [...FAR, '192.0.2.1', {}, {}], SUBJECT)])).toBeUndefined();
  });
  test('a route that broke off does not tell what stands before the destination', () => {
    expect(hint([route('7.7.7.7', [...FAR, '192.0.2.1', '8.0.0.4'], SUBJECT, false)])).toBeUndefined();
    expect(hint([route(SUBJECT, ['192.0.2.1', ...FAR], '7.7.7.7', false)])?.site).toBe('Alpha');
  });
  test('on a short route a router is the nearer end’s, and both ends’ in the middle', () => {
    expect(hint([route(SUBJECT, ['8.0.0.1', '192.0.2.1'], '7.7.7.7')])).toBeUndefined();
    expect(hint([route('7.7.7.7', ['192.0.2.1', '8.0.0.1'], SUBJECT)])).toBeUndefined();
    expect(hint([route(SUBJECT, ['8.0.0.1', '192.0.2.1', '8.0.0.2'], '7.7.7.7')])?.site).toBe('Alpha');
    const { ends } = neighboursOn([route(SUBJECT, ['8.0.0.1'], '7.7.7.7')]);
    expect([...ends.keys()].map((id) => ends.get(id)![0]!.routers.size)).toEqual([1, 1]);
  });
  test('an end is no neighbour of itself, by whichever name', () => {
    const traced = route(SUBJECT, ['192.0.2.1', ...FAR], '7.7.7.7');
    traced.test.sourceName = 'PS.nowhere.test';
    traced.route.hops[0] = { name: 'ps.nowhere.test' };
    expect(neighboursOn([traced]).ends.get('ps.nowhere.test')![0]!.routers.size).toBe(1);
    expect([...neighboursOn([traced]).ends.get(SUBJECT)![0]!.routers.keys()].map(({ id }) => id)).toEqual([
      '8.0.0.1',
    ]);
  });
});

describe('what a neighbour says', () => {
  test('its prefix, if it is of exactly one site', () => {
    expect(hint([from('192.0.2.200')])?.site).toBe('Beta');
    expect(hint([from('203.0.113.1')])).toBeUndefined();
    expect(hint([from('10.20.0.1')])?.site).toBe('Home');
  });
  test('its exact address or name', () => {
    expect(hint([from('198.51.100.1')])).toEqual({
      site: 'Alpha',
      text: 'on traces, the router next to it is 198.51.100.1 (cric cric.json)',
    });
    expect(hint([from({ address: '8.1.1.1', name: 'CE.both.test' })])?.site).toBe('Beta');
  });
  test('the domain of its name, if all that is known there is of one site', () => {
    expect(hint([from({ address: '8.1.1.1', name: 'gw1.net.alpha.test', asn: 64500 })])).toEqual({
      site: 'Alpha',
      text: 'on traces, the router next to it is 8.1.1.1 (gw1.net.alpha.test, AS64500), and all that is known in alpha.test is of Alpha',
    });
    expect(hint([from({ address: '8.1.1.1', name: 'gw1.both.test' })])).toBeUndefined();
    expect(hint([from({ address: '8.1.1.1', name: 'gw1.home.test' })])?.site).toBe('Home');
  });
  test('a domain says nothing where its network stands next to other sites too', () => {
    const gateway = { address: '8.1.1.1', name: 'gw1.alpha.test', asn: 64500 };
    const elsewhere = route('6.6.6.6', [{ address: '8.1.1.9', asn: 64500 }, ...FAR], '7.7.7.7');
    expect(hint([from(gateway), elsewhere], known({ '6.6.6.6': 'Alpha' }))?.site).toBe('Alpha');
    expect(hint([from(gateway), elsewhere], known({ '6.6.6.6': 'Beta' }))).toBeUndefined();
  });
  test('a research network is nobody’s site', () => {
    expect(hint([from('100.100.0.1')])).toBeUndefined();
    expect(hint([from({ address: '8.1.1.1', name: 'r1.backbone.test' })])).toBeUndefined();
  });
  test('the hosts behind the same router, if better evidence knows them all to be of one site', () => {
    const routes = [
      from('8.1.1.1'),
      route('6.6.6.6', ['8.1.1.1', ...FAR], '7.7.7.7'),
      route('7.7.7.7', [...FAR, '8.1.1.1'], '6.6.6.7'),
    ];
    expect(hint(routes, known({ '6.6.6.6': 'Alpha', '6.6.6.7': 'Alpha' }))).toEqual({
      site: 'Alpha',
      text: 'on traces, the router next to it is 8.1.1.1, which is next to 2 hosts of Alpha too',
    });
    expect(hint(routes, known({ '6.6.6.6': 'Alpha', '6.6.6.7': 'Beta' }))).toBeUndefined();
    expect(hint(routes, known({ '6.6.6.6': 'Alpha' }, 'hints'))).toBeUndefined();
  });
  test('only the router right before the hosts, and none whose address many places have', () => {
    const siteOf = known({ '6.6.6.6': 'Alpha' });
    const pair = (mine: (string | Hop)[], other: (string | Hop)[]) => [
      from(...mine),
      route('6.6.6.6', [...other, ...FAR], '7.7.7.7'),
    ];
    expect(hint(pair(['8.1.1.1'], ['8.1.1.1']), siteOf)?.site).toBe('Alpha');
    expect(hint(pair([{}, '8.1.1.1'], ['8.1.1.1']), siteOf)).toBeUndefined();
    const longer = route('6.6.6.6', [{}, '8.1.1.1', ...FAR], '7.7.7.7');
    expect(hint([...pair(['8.1.1.1'], ['8.1.1.1']), longer], siteOf)?.site).toBe('Alpha');
    expect(hint(pair(['8.1.1.1'], [{}, '8.1.1.1']), siteOf)).toBeUndefined();
    expect(hint(pair(['192.168.1.1'], ['192.168.1.1']), siteOf)).toBeUndefined();
  });
  test('a transit router next to ends of several sites says nothing, whatever is known of it', () => {
    for (const router of ['192.0.2.1', '198.51.100.1', { address: '8.1.1.1', name: 'gw1.alpha.test' }]) {
      const routes = [from(router), route('6.6.6.6', [router, ...FAR], '7.7.7.7')];
      expect(hint(routes, known({ '6.6.6.6': 'Alpha' }))?.site).toBe('Alpha');
      routes.push(route('7.7.7.7', [...FAR, router, {}], '6.6.6.7'));
      expect(hint(routes, known({ '6.6.6.6': 'Alpha', '6.6.6.7': 'Beta' }))).toBeUndefined();
      expect(hint(routes, known({ '6.6.6.7': 'Beta' }, 'hints'))).toBeUndefined();
    }
  });
  test('the site that it was given before says nothing of itself', () => {
    const before = known({ [SUBJECT]: 'Beta' });
    expect(hint([from('192.0.2.1')], before)?.site).toBe('Alpha');
    const named = from({ address: '8.1.1.1', name: 'gw1.alpha.test', asn: 64500 });
    expect(hint([named], before)?.site).toBe('Alpha');
    expect(hint([from('8.1.1.1')], before)).toBeUndefined();
  });
  test('two that speak for two sites say nothing; of two for one site the nearer is told', () => {
    expect(hint([from('192.0.2.1', '192.0.2.200')])).toBeUndefined();
    const told = hint([from({}, '192.0.2.2'), from('192.0.2.9')]);
    expect(told?.text).toContain('next to it is 192.0.2.9');
    expect(hint([from('192.0.2.9'), from({}, '192.0.2.2')])).toEqual(told);
  });
});

describe('together with other hints', () => {
  const subject = (more: Partial<Subject> = {}): Subject => ({
    subject: 's',
    names: ['ps.nowhere.test'],
    addresses: [SUBJECT],
    ...more,
  });
  const routes = [from('192.0.2.1')];
  const placed = subject({ hints: vienna });

  test('a neighbour never decides alone; with the coordinates it does, and neither do these alone', () => {
    const [none, both] = locate([subject(), placed], knowledge, { neighbours: neighboursOn(routes) });
    expect(none!.site).toBeUndefined();
    expect(both).toMatchObject({ site: 'Alpha', method: 'hints', confidence: 0.85 });
    expect(both!.evidence).toContain('on traces, the router next to it is 192.0.2.1 in 192.0.2.0/25');
    expect(locate([placed], knowledge)[0]!.site).toBeUndefined();
  });
  test('one that speaks against the other hint leaves it open, and so does an end that is ambiguous', () => {
    const [against] = locate([placed], knowledge, { neighbours: neighboursOn([from('192.0.2.200')]) });
    expect(against!.site).toBeUndefined();
    const shared = { ...subject(), names: ['ps.both.test'] };
    const [ambiguous] = locate([shared], knowledge, { neighbours: neighboursOn([from('192.0.2.200')]) });
    expect(ambiguous!.site).toBeUndefined();
    expect(ambiguous!.evidence).toContain('ambiguous between Beta, Gamma');
  });
  test('what is located without them stays', () => {
    const sure = subject({ addresses: ['192.0.2.200'], names: [], hints: vienna });
    const traced = { ...from('192.0.2.1'), test: { source: '192.0.2.200', destination: '7.7.7.7' } };
    expect(locate([sure], knowledge, { neighbours: neighboursOn([traced]) })[0]).toMatchObject({
      site: 'Beta',
      method: 'prefix',
    });
    const told = subject({ hints: { ...vienna, siteNameHint: 'Alpha' } });
    const siteless: Subject = { subject: 'x', names: ['x.elsewhere.test'], addresses: [] };
    const against = [from('192.0.2.200')];
    expect(locate([told, siteless], knowledge, { neighbours: neighboursOn(against) })[0]!.site).toBe('Alpha');
  });
  test('the hosts behind the router are those that the same subjects tell of; the pool’s machines are not', () => {
    const both = [from('8.1.1.1'), route('192.0.2.77', ['8.1.1.1', ...FAR], '7.7.7.7')];
    const other: Subject = { subject: 'o', names: [], addresses: ['192.0.2.77'] };
    expect(locate([placed, other], knowledge, { neighbours: neighboursOn(both) })[0]!.site).toBe('Alpha');
    const machine = { ...other, attributes: {} };
    expect(locate([placed, machine], knowledge, { neighbours: neighboursOn(both) })[0]!.site).toBeUndefined();
  });
  test('what is as it was is not looked at again; other routes are', () => {
    const [before] = locate([placed], knowledge, { neighbours: neighboursOn(routes) });
    expect(locate([placed], knowledge, { neighbours: neighboursOn(structuredClone(routes)) })[0]).toBe(
      before,
    );
    expect(
      locate([placed], knowledge, { neighbours: neighboursOn([from('8.1.1.1')]) })[0]!.site,
    ).toBeUndefined();
  });
  test('`why` tells of it where it decides, and where it is too little', () => {
    const neighbour = hint(routes)!;
    expect(why({ ...placed, neighbour }, index).found).toMatchObject([
      { method: 'hints', stand: 'for', text: expect.stringContaining(neighbour.text) },
    ]);
    expect(why(subject({ neighbour }), index).found).toEqual([
      {
        method: 'hints',
        stand: 'open',
        sites: ['Alpha'],
        confidence: 0,
        text: `${neighbour.text}, which is too little alone`,
      },
    ]);
  });
});
