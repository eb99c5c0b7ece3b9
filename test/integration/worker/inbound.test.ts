import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AgentHost, said } from '../../support/agent-host.ts';
import { finished, missing } from '../../support/worker-host.ts';

const why = missing('nft', 'tc', 'ip', 'unshare', 'nsenter', 'setpriv', 'perl');
const HOST = { 4: '192.0.2.1', 6: '2001:db8::1' } as const;
const OUTSIDE = { 4: '192.0.2.254', 6: '2001:db8::fe' } as const;

/** Serves on port 8080 of IPv4 and IPv6, telling each client what it sees of it. */
const SERVE = `
use Socket qw(:DEFAULT :addrinfo inet_pton pack_sockaddr_in6); $| = 1;
socket(my $s, PF_INET6, SOCK_STREAM, 0);
bind($s, pack_sockaddr_in6(8080, inet_pton(AF_INET6, "::"))) && listen($s, 9) or die $!;
print "serves\\n";
while (my $from = accept(my $c, $s)) {
  my ($error, $host) = getnameinfo($from, NI_NUMERICHOST); $host =~ s/^::ffff://; send($c, "job sees $host\\n", 0);
  close $c;
}`;

/** What a server at this place says, or how the attempt ended; within some seconds. */
const ASK = `
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6); my ($address, $port) = @ARGV; my $six = $address =~ /:/; $SIG{ALRM} = sub { print "silent\\n"; exit }; alarm 2;
socket(my $s, $six ? PF_INET6 : PF_INET, SOCK_STREAM, 0);
connect($s, $six ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $address)) : pack_sockaddr_in($port, inet_aton($address)))
  or print("refused\\n"), exit;
print <$s> // "closed\\n";`;

describe.skipIf(why)(`a job that wants to be reached${why ? ` (${why})` : ''}`, () => {
  let world: AgentHost;
  let open: string;
  beforeAll(async () => {
    world = await AgentHost.start(
      'shaping: {enabled: false}\nbridge: {ipv4Ranges: [{first: 192.0.2.10, last: 192.0.2.40}]}',
    );
    open = join(world.host.folder, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    for (const [name, text] of Object.entries({ serve: SERVE, ask: ASK }))
      writeFileSync(join(open, name), text);
  });
  afterAll(() => world?.stop());
  afterEach(async () => {
    rmSync(join(open, 'go'), { force: true });
    await world.gone();
  });

  it('is told where, and is reached there from outside, from the machine and from itself, and by no other job', async () => {
    const job = world.job(
      'LarkInboundPorts = { 8080, "5000/udp" }',
      `echo "$LARK_INBOUND_PORTS $LARK_INBOUND_IPV4 $LARK_INBOUND_IPV6"
       perl ${open}/serve & until [ -e ${open}/go ]; do sleep 0.2; done
       port=\${LARK_INBOUND_PORTS#8080/tcp=}; port=\${port%%,*}
       for address in ${HOST[4]} ${HOST[6]}; do perl ${open}/ask $address $port; done; kill $!`,
    );
    const ended = finished(job);
    const told = await said(job);
    const [, tcp = '', udp] = /^8080\/tcp=(\d+),5000\/udp=(\d+) 192\.0\.2\.1 2001:db8::1$/m.exec(told) ?? [];
    for (const port of [tcp, udp]) {
      expect(Number(port)).toBeGreaterThanOrEqual(20_000);
      expect(Number(port)).toBeLessThanOrEqual(21_999);
    }
    const ask = (address: string) => ['perl', join(open, 'ask'), address, tcp];
    const outside = () => world.host.runOutside(...ask(HOST[4]));
    await expect.poll(outside, { timeout: 20_000 }).toBe(`job sees ${OUTSIDE[4]}\n`);
    expect(world.host.runOutside(...ask(HOST[6]))).toBe(`job sees ${OUTSIDE[6]}\n`);
    expect(world.host.run(...ask(HOST[4]))).toBe(`job sees ${HOST[4]}\n`);
    expect(world.host.run(...ask(HOST[6]))).toBe(`job sees ${HOST[6]}\n`);
    const other = await finished(
      world.job('', `perl ${open}/ask ${HOST[4]} ${tcp}; perl ${open}/ask ${HOST[6]} ${tcp}`),
    );
    expect(other.out).toBe('silent\nsilent\n');
    writeFileSync(join(open, 'go'), '');
    expect((await ended).out).toMatch(new RegExp(`job sees ${HOST[4]}\njob sees ${HOST[6]}\n`));
  });

  it('in mode bridge is told its own address, and the port as it wished it', async () => {
    const script = 'echo "$LARK_INBOUND_PORTS $LARK_INBOUND_IPV4"; ip -br -4 address show dev eth0';
    const { out } = await finished(world.job('LarkNetwork = "bridge"\nLarkInboundPorts = 8080', script));
    const [, address] = /^8080\/tcp=8080 (192\.0\.2\.\d+)\n/.exec(out) ?? [];
    expect(out).toContain(` ${address}/24`);
  });

  it('is told nothing where it wants none', async () => {
    expect((await finished(world.job('', 'env'))).out).not.toContain('LARK_INBOUND');
  });
});
