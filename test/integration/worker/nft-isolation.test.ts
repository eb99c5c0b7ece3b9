import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { jobsIn, parseListing, strayRemoval } from '../../../src/worker/nft/inspect.ts';
import { nftPieces } from '../../../src/worker/nft/job.ts';
import { removeRuleset } from '../../../src/worker/nft/ruleset.ts';
import type { JobNetwork } from '../../../src/worker/types.ts';
import { HOST4, HOST6, OUTSIDE, World, whyNot } from './nft-world.ts';

const reason = whyNot('python3');

const POLICY = `
isolation:
  hostPorts: [{protocol: tcp, ports: "8123"}]
  deny:
    - {cidr: 198.18.7.0/24}
    - {cidr: 0.0.0.0/0, protocol: tcp, ports: "25"}
    - {cidr: "2001:db8:ff::/48"}
`;

const SERVER = `
for (const port of process.argv.slice(1)) require('net').createServer((s) => s.on('error', () => {}).end('here')).listen(Number(port), '::');
setTimeout(() => console.log('listening'), 100);
setTimeout(() => process.exit(), 60_000);`;

/** Sends frames that are given in hex out of eth0, as a job with rights over its namespace can. */
const RAW_SENDER = `
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('eth0', 0))
for frame in sys.argv[1:]: s.send(bytes.fromhex(frame))
`;

function frame(parts: { to?: string; from: string; type: string; body: string }): string {
  return `${(parts.to ?? 'ff:ff:ff:ff:ff:ff').replaceAll(':', '')}${parts.from.replaceAll(':', '')}${parts.type}${parts.body}`;
}

function ipv4Hex(address: string): string {
  return Buffer.from(address.split('.').map(Number)).toString('hex');
}

/** An ICMP message of no kind that anything answers; checksums are not looked at before a frame is forwarded by a bridge. */
function ipv4Packet(source: string, destination: string): string {
  return `45000020000000004001000${'0'}${ipv4Hex(source)}${ipv4Hex(destination)}${'2a'.repeat(12)}`;
}

function arpReply(mac: string, sender: string, target: string): string {
  const own = mac.replaceAll(':', '');
  return `0001080006040002${own}${ipv4Hex(sender)}${'ff'.repeat(6)}${ipv4Hex(target)}`;
}

describe.skipIf(reason).each([
  { mode: 'nat', bridged: false },
  { mode: 'bridge', bridged: true },
])(`isolation in mode $mode${reason ? ` (${reason})` : ''}`, ({ bridged }) => {
  let world: World;
  let first: JobNetwork;
  let second: JobNetwork;
  let job: string;

  beforeAll(async () => {
    world = new World(POLICY);
    await world.open({ bridged });
    first = world.network(1, { forwards: [{ protocol: 'tcp', hostPort: 20_001, jobPort: 8080 }] });
    second = world.network(2);
    job = await world.add(first);
    await world.add(second);
    await world.serve(job, SERVER, '8080');
    await world.serve(world.namespaceOf(second), SERVER, '8080');
    await world.serve(world.host, SERVER, '8123', '8124');
    await world.serve(world.outside, SERVER, '80', '25');
  });
  afterAll(() => world.close());

  test.each([OUTSIDE.campus4, OUTSIDE.off4, OUTSIDE.campus6])('reaches the world: %s', async (address) => {
    expect(await world.reaches(job, address, 80)).toBe('open');
  });

  test.each([
    ['a denied range', OUTSIDE.inner4, 80],
    ['a denied port', OUTSIDE.off4, 25],
    ['a denied range of IPv6', OUTSIDE.off6, 80],
    ['the metadata of a cloud', OUTSIDE.metadata4, 80],
  ])('does not reach %s', async (_, address, port) => {
    expect(await world.reaches(job, address, port)).toBe('silent');
  });

  test('does not reach its neighbour, by IPv4 or IPv6', async () => {
    expect(await world.reaches(job, second.lease.ipv4!, 8080)).toBe('silent');
    expect(await world.reaches(job, second.lease.ipv6!, 8080)).toBe('silent');
  });

  test.each([HOST4, HOST6])(
    'reaches of the host at %s what the site opened, and no more',
    async (address) => {
      expect(await world.reaches(job, address, 8123)).toBe('open');
      expect(await world.reaches(job, address, 8124)).toBe('silent');
    },
  );

  test.runIf(!bridged)('is reached from outside at its granted port, and at no other', async () => {
    expect(await world.reaches(world.outside, HOST4, 20_001)).toBe('open');
    expect(await world.reaches(world.outside, HOST6, 20_001)).toBe('open');
    expect(await world.reaches(world.outside, HOST4, 20_002)).toBe('refused');
    await world.ip(world.outside, [`route add ${first.lease.ipv4} via ${HOST4}`]);
    expect(await world.reaches(world.outside, first.lease.ipv4!, 8080)).toBe('silent');
  });

  test('cannot send under another name, address or tag', async () => {
    const mac = first.lease.mac!;
    const own = first.lease.ipv4!;
    const probe = ipv4Packet(own, OUTSIDE.campus4);
    const attempts: Record<string, string> = {
      'another source address': frame({
        from: mac,
        type: '0800',
        body: ipv4Packet(second.lease.ipv4!, OUTSIDE.campus4),
      }),
      'another MAC': frame({ from: '02:6c:6b:00:00:02', type: '0800', body: probe }),
      'ARP for the gateway': frame({ from: mac, type: '0806', body: arpReply(mac, OUTSIDE.router4, own) }),
      "a question whether the gateway's address is free": frame({
        from: mac,
        type: '0806',
        body: arpReply(mac, '0.0.0.0', OUTSIDE.router4),
      }),
      'a VLAN tag': frame({ from: mac, type: '81000064', body: `0800${probe}` }),
      'a spanning tree': frame({
        from: mac,
        to: '01:80:c2:00:00:00',
        type: '0026',
        body: `424203${'00'.repeat(35)}`,
      }),
    };
    for (const [what, attack] of Object.entries(attempts)) {
      // Judged at a chain of the test's own behind Lark's: whatever comes through is counted there.
      await world.nft(
        [
          'add table netdev judge',
          'delete table netdev judge',
          'add table netdev judge',
          `add chain netdev judge behind { type filter hook ingress device "${first.lease.name}" priority 100; }`,
          // What the kernel of the job does by itself, between the attacks.
          `add rule netdev judge behind ether saddr ${mac} arp saddr ip ${own} accept`,
          'add rule netdev judge behind ether type != ip6 counter',
          '',
        ].join('\n'),
      );
      await world.in(job, 'python3', ['-c', RAW_SENDER, attack]);
      const { stdout } = await world.in(world.host, 'nft', ['list', 'table', 'netdev', 'judge']);
      expect.soft(stdout, what).toContain('counter packets 0 bytes 0');
      // The honest frame comes through, so the chain does see.
      await world.in(job, 'python3', ['-c', RAW_SENDER, frame({ from: mac, type: '0800', body: probe })]);
      const honest = await world.in(world.host, 'nft', ['list', 'table', 'netdev', 'judge']);
      expect.soft(honest.stdout, 'honest').toContain('counter packets 1 ');
    }
  });
});

describe.skipIf(reason)(`the ruleset${reason ? ` (${reason})` : ''}`, () => {
  let world: World;
  afterEach(() => world.close());

  test('is loaded twice, taken away twice, and leaves nothing', async () => {
    world = new World();
    await world.open();
    const network = world.network(1, {
      bandwidth: { minMbps: 10 },
      forwards: [{ protocol: 'udp', hostPort: 20_000, jobPort: 53 }],
    });
    const text = (lines: string[]) => `${lines.join('\n')}\n`;
    const ruleset = async () => (await world.in(world.host, 'nft', ['-j', 'list', 'ruleset'])).stdout;
    const { nftUp, nftDown } = nftPieces(network, world.config);
    const before = await ruleset();

    await world.add(network);
    const standing = parseListing(await ruleset());
    expect([...jobsIn(standing)]).toEqual([network.lease.name]);
    expect(strayRemoval(standing, [network.lease])).toEqual([]);

    await world.nft(text(nftUp));
    await world.nft(world.ruleset(world.config));
    // What a sweep finds of a job that nobody holds is exactly what the job's own removal takes away.
    await world.nft(text(strayRemoval(standing, [])));
    expect(withoutHandles(await ruleset())).toEqual(withoutHandles(before));
    await world.nft(text(nftDown));
    await world.nft(text(nftUp));
    await world.nft(text(nftDown));
    await world.nft(text(nftDown));
    expect(withoutHandles(await ruleset())).toEqual(withoutHandles(before));

    await world.nft(removeRuleset());
    await world.nft(removeRuleset());
    expect(JSON.parse(await ruleset()).nftables).toHaveLength(1);
  });
});

function withoutHandles(json: string): unknown {
  return JSON.parse(json, (key, value) => (key === 'handle' ? undefined : value));
}
