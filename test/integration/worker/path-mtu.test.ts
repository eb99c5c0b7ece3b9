import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AgentHost } from '../../support/agent-host.ts';
import { finished, missing } from '../../support/worker-host.ts';

const why = missing('nft', 'tc', 'ip', 'unshare', 'nsenter', 'setpriv', 'perl');
const FAR = { 4: '198.51.100.9', 6: '2001:db8:f::9' } as const;
const SENT = 200_000;
/** Larger than any frame on the way, smaller than UDP's limit. */
const DATAGRAM = 4000;

/** Says how much came on a connection, and sends every datagram back. */
const SERVER = `
require('node:net').createServer({ allowHalfOpen: true }, (socket) => {
  let bytes = 0;
  socket.on('data', (data) => (bytes += data.length)).on('end', () => socket.end(bytes + '\\n')).on('error', () => {});
}).listen(7000, '::');
for (const [type, address] of [['udp4', '0.0.0.0'], ['udp6', '::']]) {
  const socket = require('node:dgram').createSocket({ type, ipv6Only: type === 'udp6' });
  socket.on('message', (data, { port, address: from }) => socket.send(data, port, from)).bind(7001, address);
}
setTimeout(() => console.log('ready'), 200);`;

/** Datagrams without the wish not to be fragmented, until one comes back. */
const ECHO = (address: string) => `
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6); my $six = "${address}" =~ /:/;
my $to = $six ? pack_sockaddr_in6(7001, inet_pton(AF_INET6, "${address}")) : pack_sockaddr_in(7001, inet_aton("${address}"));
socket(my $s, $six ? PF_INET6 : PF_INET, SOCK_DGRAM, 0);
for (1 .. 20) {
  send $s, "x" x ${DATAGRAM}, 0, $to;
  my $ready = ""; vec($ready, fileno $s, 1) = 1;
  next unless select($ready, undef, undef, 1) > 0 && defined recv $s, my $text, 9000, 0;
  print length $text, "\\n"; exit;
}`;

describe.skipIf(why).each(['nat', 'bridge'] as const)(
  `a job of mode %s behind a narrower link${why ? ` (${why})` : ''}`,
  (mode) => {
    let world: AgentHost;
    beforeAll(async () => {
      world = await AgentHost.start(
        [
          'shaping: {enabled: false}',
          'bridge:',
          '  ipv4Ranges: [{first: 192.0.2.10, last: 192.0.2.40}]',
          '  ipv6Ranges: [{first: "2001:db8::10", last: "2001:db8::40"}]',
        ].join('\n'),
      );
      // A machine behind the router outside, on a link that carries 1400 bytes.
      const far = world.spawn(
        ['unshare', '--net', 'sh', '-c', 'echo ready; exec sleep 600'],
        world.host.outsidePrefix,
      );
      await new Promise((resolve) => far.stdout!.once('data', resolve));
      const outside = (line: string) => world.host.runOutside('ip', ...line.split(' '));
      outside(`link add far0 mtu 1400 type veth peer name eth0 mtu 1400 netns ${far.pid}`);
      for (const line of ['addr add 198.51.100.1/24 dev far0', '-6 addr add 2001:db8:f::1/64 dev far0 nodad'])
        outside(line);
      outside('link set far0 up');
      world.host.runOutside('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
      const farPrefix = ['nsenter', '-t', String(far.pid), '--net', '--'];
      for (const line of [
        'link set lo up',
        `addr add ${FAR[4]}/24 dev eth0`,
        `-6 addr add ${FAR[6]}/64 dev eth0 nodad`,
        'link set eth0 up',
        'route add default via 198.51.100.1',
        '-6 route add default via 2001:db8:f::1',
      ]) {
        await finished(world.spawn(['ip', ...line.split(' ')], farPrefix));
      }
      await world.serve(SERVER, farPrefix);
    }, 60_000);
    afterAll(() => world?.stop());
    afterEach(() => world?.gone());

    it.each([4, 6] as const)('finds out what fits, and gets fragments through: IPv%i', async (family) => {
      const address = FAR[family];
      const { out, err } = await finished(
        world.job(
          `LarkNetwork = "${mode}"`,
          `exec 5<>/dev/tcp/${address}/7000
           perl -e 'open(S, ">&=", 5); syswrite S, "x" x ${SENT}; shutdown S, 1' && head -n 1 <&5
           perl -e '${ECHO(address)}'`,
        ),
      );
      expect({ out, err }).toEqual({ out: `${SENT}\n${DATAGRAM}\n`, err: '' });
    });
  },
);
