import { ClassAd, parseAds } from 'classad-parser';
import { describe, expect, it } from 'vitest';
import { parseWorkerConfig } from '../../../src/worker/config.ts';
import { loadPolicy, parsePolicy } from '../../../src/worker/policy.ts';
import { decide } from '../../../src/worker/request.ts';
import { wantsOf } from '../../../src/worker/wants.ts';

const ad = (text: string) => parseAds(text)[0] ?? new ClassAd();
const config = parseWorkerConfig('', 'worker.yaml');
const STARTER = { starter: { pid: 100, startTicks: 5 } };
const DEFAULT = loadPolicy(new URL('../../../config/worker/policy.ad', import.meta.url).pathname);
const decideFor = (job: string, machine = '', policy = DEFAULT, settings = config) =>
  decide(
    { job: ad(`GlobalJobId = "ap#7.0#1"\nUser = "alice@pool"\n${job}`), machine: ad(machine), policy },
    STARTER,
    settings,
  );
const requestFor = (job: string, machine = '', policy = DEFAULT, settings = config) => {
  const decision = decideFor(job, machine, policy, settings);
  if (decision.kind !== 'network') throw new Error(decision.kind);
  return decision.request;
};

describe('wantsOf', () => {
  it.each([
    ['', '', undefined],
    ['LarkNetwork = "None"', '', 'none'],
    ['LarkNetwork = "host"', 'LarkNetworkType = "nat"', 'host'],
    ['LarkNetworkType = "ovs_bridge"', '', 'bridge'],
    ['LarkNetwork = "nat"\nInboundConnectivity = true', '', 'nat'],
    ['InboundConnectivity = true\nOutboundConnectivity = true', '', 'bridge'],
    ['InboundConnectivity = false\nOutboundConnectivity = true', 'LarkNetworkType = "bridge"', 'nat'],
    ['OutboundConnectivity = false', '', 'none'],
    ['', 'LarkNetworkType = "bridge"', 'bridge'],
  ])('mode of job %j on machine %j is %s', (job, machine, mode) => {
    expect(wantsOf(ad(job), ad(machine)).mode).toBe(mode);
  });

  it.each([
    ['{ 8080, "5000/udp", "8080/tcp" }', ['8080/tcp', '5000/udp']],
    ['"8080, 5000/UDP"', ['8080/tcp', '5000/udp']],
    ['8080', ['8080/tcp']],
    ['{ }', []],
  ])('LarkInboundPorts = %s', (text, ports) => {
    const { inboundPorts } = wantsOf(ad(`LarkInboundPorts = ${text}`), new ClassAd());
    expect(inboundPorts.map(({ protocol, jobPort }) => `${jobPort}/${protocol}`)).toEqual(ports);
  });

  it.each([
    ['LarkNetwork = "wifi"', 'LarkNetwork = "wifi": expected one of none, nat, bridge and host'],
    ['LarkInboundPorts = "http"', 'LarkInboundPorts: "http" is no port'],
    ['LarkInboundPorts = { 70000 }', '"70000" is no port'],
    ['LarkInboundPorts = "80/sctp"', '"80/sctp" is no port'],
    ['RequestBandwidth = -1', 'RequestBandwidth = -1'],
    ['LarkInboundPorts = { 1 / 0 }', 'is no port'],
  ])('refuses %s', (job, message) => {
    expect(() => wantsOf(ad(job), new ClassAd())).toThrow(message);
  });
});

describe('decide', () => {
  it('by the policy that comes with Lark', () => {
    expect(
      requestFor('LarkInboundPorts = 8080\nRequestBandwidth = 40', 'Name = "slot1_3@ep1"\nBandwidth = 50'),
    ).toEqual({
      mode: 'nat',
      inbound: [{ protocol: 'tcp', jobPort: 8080 }],
      bandwidth: { minMbps: 50, maxMbps: 50 },
      isAccounted: true,
      owner: 'alice@pool',
      jobId: 'ap#7.0',
      ...STARTER,
      slot: 'slot1_3',
    });
    expect(decideFor('LarkNetwork = "host"')).toEqual({ kind: 'untouched' });
  });

  it('grants nothing in mode none', () => {
    const request = requestFor('LarkNetwork = "none"\nLarkInboundPorts = 80\nRequestBandwidth = 5');
    expect(request).toMatchObject({ mode: 'none', inbound: [], isAccounted: false });
    expect(request.bandwidth).toBeUndefined();
  });

  it('lets the policy decide', () => {
    const policy = parsePolicy(
      `Mode = Job.Owner =?= "bob" ? "none" : "bridge"
       InboundPorts = { "80/tcp", "81/tcp" }
       BandwidthMinMbps = Wants.BandwidthMbps / 2
       BandwidthMaxMbps = BandwidthMinMbps * 3
       Accounting = Machine.Count =?= true
       Refuse = Wants.BandwidthMbps > 100 ? "too much" : undefined`,
      'p.ad',
    );
    expect(requestFor('Owner = "bob"', '', policy).mode).toBe('none');
    const request = requestFor('LarkInboundPorts = { 81, 82 }\nRequestBandwidth = 60', '', policy);
    expect(request).toMatchObject({
      mode: 'bridge',
      inbound: [{ protocol: 'tcp', jobPort: 81 }],
      bandwidth: { minMbps: 30, maxMbps: 90 },
      isAccounted: false,
    });
    expect(decideFor('RequestBandwidth = 101', '', policy)).toEqual({ kind: 'refused', reason: 'too much' });
  });

  it('has no ceiling where the site wants none, and no share where shaping is off', () => {
    const none = parseWorkerConfig('shaping: {ceilingFactor: none}', 'w');
    expect(requestFor('RequestBandwidth = 40', '', DEFAULT, none).bandwidth).toEqual({ minMbps: 40 });
    const off = parseWorkerConfig('shaping: {enabled: false}', 'w');
    expect(requestFor('RequestBandwidth = 40', '', DEFAULT, off).bandwidth).toBeUndefined();
  });

  it.each([
    ['Mode = 1 / 0', "the policy's Mode has the value error"],
    ['Mode = "wifi"', `the policy's Mode = "wifi"`],
    ['OnFailure = "shrug"', `the policy's OnFailure = "shrug"`],
    ['BandwidthMinMbps = "x"', "the policy's BandwidthMinMbps: expected Mb/s"],
    ['Accounting = 3', "the policy's Accounting is neither"],
  ])('says what is wrong with %s', (policy, message) => {
    expect(() => decideFor('', '', parsePolicy(policy, 'p.ad'))).toThrow(message);
  });

  it.each([
    ['Mod = "nat"', 'p.ad: unknown attribute Mod; did you mean "Mode"?'],
    ['Job = [ ]', 'p.ad: Job is given by Lark'],
    ['Mode = (', 'p.ad: '],
  ])('refuses the policy %j', (text, message) => {
    expect(() => parsePolicy(text, 'p.ad')).toThrow(message);
  });
});
