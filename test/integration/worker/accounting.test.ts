import { resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ClassCounts, readingOf } from '../../../src/worker/accounting/counters.ts';
import { parseListing } from '../../../src/worker/nft/inspect.ts';
import type { JobNetwork } from '../../../src/worker/types.ts';
import { captured } from './accounting-capture.ts';
import { OUTSIDE, World, whyNot } from './nft-world.ts';

const reason = whyNot('tcpdump');
const IP_UDP = { 4: 28, 6: 48 } as const;

/** Sends `count` datagrams of `size` bytes, one after another. */
const UDP_SENDER = `
const [address, count, size] = process.argv.slice(1);
const socket = require('dgram').createSocket(address.includes(':') ? 'udp6' : 'udp4');
let left = Number(count);
const next = () => left-- > 0 ? socket.send(Buffer.alloc(Number(size)), 9, address, (e) => { if (e) throw e; next(); }) : socket.close();
next();`;
const UDP_SINK = `
require('dgram').createSocket('udp6').bind(9, '::', () => console.log('listening'));
setTimeout(() => process.exit(), 60_000);`;
/** Gives every datagram back from the address that it was sent to. */
const UDP_ECHO = `
const addresses = process.argv.slice(1);
let left = addresses.length;
for (const address of addresses) {
  const socket = require('dgram').createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (data, { port, address: from }) => socket.send(data, port, from));
  socket.bind(7, address, () => --left || console.log('listening'));
}
setTimeout(() => process.exit(), 60_000);`;
/** Datagrams of two sizes, each sent when the one before came back. */
const UDP_ASKER = `
const [address, count, small, large] = process.argv.slice(1);
const socket = require('dgram').createSocket(address.includes(':') ? 'udp6' : 'udp4');
let sent = 0;
const next = () => sent++ < Number(count) ? socket.send(Buffer.alloc(Number(sent % 2 ? small : large)), 7, address) : socket.close();
socket.on('message', next);
next();
setTimeout(() => { throw new Error('no answer to ' + sent); }, 20_000).unref();`;
/** Reads all that comes and answers with as many bytes as the first line says. */
const TCP_SERVER = `
require('net').createServer({ allowHalfOpen: true }, (socket) => {
  let first = true;
  socket.on('data', (data) => {
    if (first) { first = false; socket.end(Buffer.alloc(Number(data.toString('latin1', 0, 10)))); }
  });
}).listen(7777, '::', () => console.log('listening'));
setTimeout(() => process.exit(), 60_000);`;
const TCP_CLIENT = `
const [address, up, down] = process.argv.slice(1);
const socket = require('net').connect(7777, address);
let received = 0;
socket.write(down.padStart(10));
socket.end(Buffer.alloc(Number(up) - 10));
socket.on('data', (data) => { received += data.length; });
socket.on('close', () => { if (received !== Number(down)) throw new Error('received ' + received); });`;

const COUNTERS = resolve(import.meta.dirname, '../../../src/worker/accounting/counters.ts');
const READ_JOB = `
const [file, name] = process.argv.slice(1);
const { readJobCounters } = await import(file);
const reading = await readJobCounters(name, ['Campus', 'Inner', 'External', 'LinkLocal']);
console.log(JSON.stringify(reading.jobs.get(name)));`;

describe.skipIf(reason).each([
  { set: 'nat', bridged: false },
  { set: 'bridge', bridged: true },
])(`accounting in mode $set${reason ? ` (${reason})` : ''}`, ({ bridged }) => {
  let world: World;
  let network: JobNetwork;
  let job: string;

  beforeEach(async () => {
    world = new World();
    await world.open({ bridged });
    network = world.network(1);
    job = await world.add(network);
  });
  afterEach(() => world.close());

  async function counts(): Promise<ClassCounts> {
    const { stdout } = await world.in(world.host, 'nft', ['-j', 'list', 'sets', 'netdev']);
    return readingOf(parseListing(stdout))!.jobs.get(network.lease.name)!;
  }

  test.each([
    { address: OUTSIDE.campus4, className: 'Campus', version: 4 },
    { address: OUTSIDE.inner4, className: 'Inner', version: 4 },
    { address: OUTSIDE.off4, className: 'External', version: 4 },
    { address: OUTSIDE.campus6, className: 'Campus', version: 6 },
    { address: OUTSIDE.off6, className: 'External', version: 6 },
  ] as const)(
    'UDP to $address is counted to the byte, in $className alone',
    async ({ address, className, version }) => {
      await world.serve(world.outside, UDP_SINK);
      await world.node(job, UDP_SENDER, address, 1000, 1000);

      const after = await counts();
      expect(after[className]).toEqual({
        out: { packets: 1000, bytes: 1000 * (1000 + IP_UDP[version]) },
        in: { packets: 0, bytes: 0 },
      });
      for (const [other, count] of Object.entries(after)) {
        if (other !== className && other !== 'LinkLocal') {
          expect.soft(count, other).toEqual({ in: { packets: 0, bytes: 0 }, out: { packets: 0, bytes: 0 } });
        }
      }
    },
  );

  test('fragments are counted each, IPv4 and IPv6', async () => {
    await world.serve(world.outside, UDP_SINK);
    await world.node(job, UDP_SENDER, OUTSIDE.campus4, 500, 4000);
    await world.node(job, UDP_SENDER, OUTSIDE.campus6, 500, 4000);

    const { out } = (await counts()).Campus!;
    // 4008 bytes of UDP: at most 1480 a fragment in IPv4, 1448 in IPv6, whose fragments carry 48 bytes of headers.
    expect(out).toEqual({ packets: 500 * 3 + 500 * 3, bytes: 500 * (4008 + 3 * 20) + 500 * (4008 + 3 * 48) });
  });

  test.each([
    { address: OUTSIDE.campus4, className: 'Campus', version: 4 },
    { address: OUTSIDE.off4, className: 'External', version: 4 },
    { address: OUTSIDE.campus6, className: 'Campus', version: 6 },
    { address: OUTSIDE.off6, className: 'External', version: 6 },
  ] as const)(
    'UDP, whole and in fragments, to $address and back agrees with a capture inside the job',
    async ({ address, className, version }) => {
      await world.serve(world.outside, UDP_ECHO, address);
      const filter = `host ${address} and (ip or ip6)`;
      const seen = await captured(job, { filter, mac: network.lease.mac! }, async () => {
        await world.node(job, UDP_ASKER, address, 200, 1000, 4000);
      });
      const fragmentHeaders = version === 4 ? 20 : 48;
      const known = {
        packets: 100 + 3 * 100,
        bytes: 100 * (1000 + IP_UDP[version] + 4008 + 3 * fragmentHeaders),
      };
      expect((await counts())[className]).toEqual({ in: known, out: known });
      expect(seen).toEqual({ in: known, out: known });
    },
  );

  test.each([
    { address: OUTSIDE.campus4, className: 'Campus' },
    { address: OUTSIDE.off4, className: 'External' },
    { address: OUTSIDE.campus6, className: 'Campus' },
    { address: OUTSIDE.off6, className: 'External' },
  ])('TCP with $address agrees with a capture inside the job', async ({ address, className }) => {
    await world.serve(world.outside, TCP_SERVER);
    const seen = await captured(
      job,
      { filter: `host ${address} and (ip or ip6)`, mac: network.lease.mac! },
      async () => {
        await world.node(job, TCP_CLIENT, address, 20_000_000, 5_000_000);
      },
    );

    const counted = (await counts())[className]!;
    expect(counted).toEqual(seen);
    // The last reading of a job goes a shorter way.
    const { stdout } = await world.in(world.host, process.execPath, [
      ...['--input-type=module', '-e', READ_JOB, COUNTERS, network.lease.name],
    ]);
    expect(JSON.parse(stdout)[className]).toEqual(seen);
    expect(counted.out.bytes).toBeGreaterThan(20_000_000);
    expect(counted.in.bytes).toBeGreaterThan(5_000_000);
  });
});
