import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AgentHost, said } from '../../support/agent-host.ts';
import { finished, missing } from '../../support/worker-host.ts';

const why = missing('nft', 'tc', 'ip', 'unshare', 'nsenter', 'setpriv', 'perl');
const MOST = 50;
const OUTSIDE = '192.0.2.254';
const HOST = '192.0.2.1';
const PORT = 20_123;

/** Answers each line of each connection. */
const ECHO = `
require('node:net').createServer((s) => s.on('error', () => {}).pipe(s)).listen(80, () => console.log('ready'));`;
/** A datagram from each of so many ports; the sockets stay open until the process ends. */
const FLOOD = (address: string, port: number, count: number) => `
use Socket; my @open;
for (1 .. ${count}) {
  socket(my $s, PF_INET, SOCK_DGRAM, 0); send($s, "x", 0, pack_sockaddr_in(${port}, inet_aton("${address}"))); push @open, $s;
}`;

/**
 * The kernel has one table for all connections of the machine: who fills it cuts everybody off. UDP, as each datagram
 * from a new port is a connection whether or not anybody answers.
 */
describe.skipIf(why).each(['nat', 'bridge'] as const)(
  `a job of mode %s that wants all connections${why ? ` (${why})` : ''}`,
  (mode) => {
    let world: AgentHost;
    let canCount = false;
    let open: string;
    const ad = `LarkNetwork = "${mode}"\nLarkInboundPorts = "${PORT}/udp"`;
    const inTable = () => Number(world.host.run('cat', '/proc/sys/net/netfilter/nf_conntrack_count'));
    const elements = () =>
      world.host
        .run('nft', 'list', 'table', 'inet', 'lark')
        .match(/elements = \{[^{}]*ct count over[^{}]*\}/g);

    beforeAll(async () => {
      world = await AgentHost.start(
        [
          'shaping: {enabled: false}',
          `isolation: {maxConnections: ${MOST}, hostPorts: [{protocol: udp, ports: "7000"}]}`,
          'bridge: {ipv4Ranges: [{first: 192.0.2.10, last: 192.0.2.40}]}',
        ].join('\n'),
      );
      open = join(world.host.folder, 'open');
      mkdirSync(open);
      chmodSync(open, 0o777);
      await world.serve(ECHO, world.host.outsidePrefix);
      canCount = world.host.run('nft', 'list', 'table', 'inet', 'lark').includes('ct count over');
    }, 60_000);
    afterAll(() => world?.stop());
    afterEach(async () => {
      rmSync(join(open, 'go'), { force: true });
      await world.gone();
    });

    it('has so many, keeps those it has, and takes none from others', async (context) => {
      if (!canCount) context.skip('this kernel cannot count connections (nft_connlimit)');
      // To the outside, what is bridged passes the host's table only where it has br_netfilter.
      const flood = mode === 'nat' ? FLOOD(OUTSIDE, 7001, 400) : FLOOD(HOST, 7000, 400);
      const hostile = world.job(
        ad,
        `exec 5<>/dev/tcp/${OUTSIDE}/80; echo first >&5; read -r a <&5
         perl -e '${flood} $| = 1; print "flooded\\n"; sleep 1 until -e "${open}/go"'
         echo second >&5; read -r b <&5; echo "$a $b"`,
      );
      const ended = finished(hostile);
      await said(hostile);
      expect(inTable()).toBeGreaterThanOrEqual(MOST - 1);
      expect(inTable()).toBeLessThan(MOST + 20);
      expect(elements()).toHaveLength(1);
      const neighbour = await finished(
        world.job(ad, `exec 5<>/dev/tcp/${OUTSIDE}/80; echo mine >&5; head -n 1 <&5`),
      );
      expect(neighbour.out).toBe('mine\n');
      writeFileSync(join(open, 'go'), '');
      expect((await ended).out).toMatch(/^first second$/m);
      await world.gone();
      expect(elements()).toBeNull();
    });

    it.runIf(mode === 'nat')('does not get them from an accomplice outside either', async (context) => {
      if (!canCount) context.skip('this kernel cannot count connections (nft_connlimit)');
      // What the test before left in the table is a matter of some seconds, and no job's any more.
      const before = inTable();
      const job = world.job(
        ad,
        `perl -e 'use Socket; socket(S, PF_INET, SOCK_DGRAM, 0); bind(S, pack_sockaddr_in(${PORT}, INADDR_ANY)); $| = 1;
         print "listens\\n"; sleep 1 until -e "${open}/go"; $n++ while recv(S, my $t, 9, 64); print "heard $n\\n"'`,
      );
      const ended = finished(job);
      await said(job);
      world.host.runOutside('perl', '-e', FLOOD(HOST, PORT, 400));
      writeFileSync(join(open, 'go'), '');
      expect((await ended).out).toContain(`heard ${MOST}\n`);
      expect(inTable()).toBeLessThan(before + MOST + 20);
    });
  },
);
