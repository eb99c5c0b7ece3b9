import { describe, expect, it } from 'vitest';
import { parseWorkerConfig } from '../../../src/worker/config.ts';
import { makeParts } from '../../../src/worker/parts.ts';
import { planFor } from '../../../src/worker/plan.ts';
import { standingOperations } from '../../../src/worker/standing.ts';
import type { HostFacts, JobNetwork, Operation, Plan } from '../../../src/worker/types.ts';

const HOST: HostFacts = {
  uplink: 'eth0',
  uplinkPort: 'eth0',
  uplinkMtu: 9000,
  uplinkMbps: 10_000,
  ipv4: ['192.0.2.1'],
  ipv6: ['2001:db8::1'],
  hostname: 'ep1.example.org',
  nameservers: ['192.0.2.53'],
  resolverOptions: ['search example.org'],
  hasFqCodel: true,
  hasConnectionCount: true,
};
const config = parseWorkerConfig(
  'accounting: {classes: [{name: Campus, cidrs: [192.0.2.0/24, "2001:db8::/32"]}]}',
  '/etc/lark/worker.yaml',
);
const parts = makeParts(config, () => new Date(0));
const LEASE = {
  name: 'lkmwqrzzso',
  slotIndex: 561,
  ipv4: '10.44.2.49',
  ipv6: 'fd6c:6172:6b00::231',
  mac: '02:6c:91:c5:ab:f9',
  forwards: [],
  createdAt: new Date(0),
  jobId: '7.0',
  bootId: 'b',
};
const REQUEST = {
  inbound: [],
  isAccounted: true,
  owner: 'alice',
  jobId: '7.0',
  starter: { pid: 1, startTicks: 1 },
};

const CASES: Record<string, JobNetwork> = {
  none: {
    request: { ...REQUEST, mode: 'none', isAccounted: false },
    lease: {
      name: LEASE.name,
      slotIndex: 561,
      forwards: [],
      createdAt: new Date(0),
      jobId: '7.0',
      bootId: 'b',
    },
  },
  nat: { request: { ...REQUEST, mode: 'nat' }, lease: LEASE },
  'nat-shaped-with-ports': {
    request: {
      ...REQUEST,
      mode: 'nat',
      bandwidth: { minMbps: 40, maxMbps: 60 },
      inbound: [
        { protocol: 'tcp', jobPort: 8080 },
        { protocol: 'udp', jobPort: 20_001 },
      ],
    },
    lease: {
      ...LEASE,
      forwards: [
        { protocol: 'tcp', jobPort: 8080, hostPort: 20_777 },
        { protocol: 'udp', jobPort: 20_001, hostPort: 20_001 },
      ],
    },
  },
  'nat-without-accounting-or-ipv6': {
    request: { ...REQUEST, mode: 'nat', isAccounted: false },
    lease: { ...LEASE, ipv6: undefined } as unknown as JobNetwork['lease'],
  },
};

describe('planFor', () => {
  it.each(Object.keys(CASES))('%s', async (name) => {
    const plan = planFor(CASES[name]!, { config, host: HOST, parts });
    await expect(textOf(plan)).toMatchFileSnapshot(`golden/${name}.txt`);
  });

  it.each(Object.keys(CASES))('of %s needs no more than four processes', (name) => {
    const { up } = planFor(CASES[name]!, { config, host: HOST, parts });
    const processes = up.flat().filter(({ kind }) => ['ip', 'nft', 'tc'].includes(kind));
    expect(processes.length).toBeLessThanOrEqual(4);
    // The job's end comes up when all stands that a packet could meet.
    expect(up.at(-1)).toMatchObject([{ kind: 'ip', where: 'job' }]);
  });

  it('is the same for the same arguments', () => {
    const plan = () => planFor(CASES.nat!, { config, host: HOST, parts });
    expect(plan()).toEqual(plan());
  });

  it('names the mode that nothing here can make', () => {
    const network = { request: { ...REQUEST, mode: 'bridge' as const }, lease: LEASE };
    expect(() => planFor(network, { config, host: HOST, parts: { connectors: {}, parts: [] } })).toThrow(
      'mode bridge is not set up on this machine',
    );
  });
});

describe('standingOperations', () => {
  const standing = async (sysctls: Record<string, string>) => {
    const operations = await standingOperations(
      config,
      HOST,
      { connectors: {}, parts: [] },
      (path) => sysctls[path],
    );
    return operations.map((operation) =>
      operation.kind === 'sysctl' ? `${operation.path}=${operation.value}` : '',
    );
  };

  it('keep a host that lives by router advertisements alive when it begins to forward', async () => {
    expect(
      await standing({
        'net/ipv4/ip_forward': '0',
        'net/ipv6/conf/all/forwarding': '0',
        'net/ipv6/conf/eth0/accept_ra': '1',
      }),
    ).toEqual(['net/ipv4/ip_forward=1', 'net/ipv6/conf/eth0/accept_ra=2', 'net/ipv6/conf/all/forwarding=1']);
  });

  it('touch nothing that is right already', async () => {
    expect(
      await standing({
        'net/ipv4/ip_forward': '1',
        'net/ipv6/conf/all/forwarding': '1',
        'net/ipv6/conf/eth0/accept_ra': '0',
      }),
    ).toEqual([]);
  });
});

function textOf({ up, down }: Plan): string {
  const stages = (all: Operation[][]) => all.flatMap((stage) => ['', ...stage.map(describeOperation)]);
  return ['# up', ...stages(up), '', '# down', ...stages([down]), ''].join('\n');
}

function describeOperation(operation: Operation): string {
  const body = (lines: string[]): string => lines.map((line) => `  ${line}`).join('\n');
  switch (operation.kind) {
    case 'ip':
      return `ip, ${operation.where}:\n${body(operation.lines)}`;
    case 'tc':
      return `tc:\n${body(operation.lines)}`;
    case 'nft':
      return `nft:\n${body(operation.text.trimEnd().split('\n'))}`;
    case 'sysctl':
      return `sysctl ${operation.path} = ${operation.value}`;
    case 'file':
      return `file ${operation.path}:\n${body(operation.text.trimEnd().split('\n'))}`;
    case 'remove':
      return `remove ${operation.path}`;
  }
}
