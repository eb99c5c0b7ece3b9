import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AgentHost, CLIENT } from '../../support/agent-host.ts';
import { finished, missing, startJob } from '../../support/worker-host.ts';

const why = missing('nft', 'tc', 'ip', 'unshare', 'nsenter', 'setpriv', 'perl');
const TOOLS = new URL('hostile-tools.pl', import.meta.url).pathname;
const OUTSIDE = { 4: '192.0.2.254', 6: '2001:db8::fe' } as const;
const HOST = { 4: '192.0.2.1', 6: '2001:db8::1' } as const;
const BRIDGE = `
bridge:
  ipv4Ranges: [{first: 192.0.2.10, last: 192.0.2.40}]
  ipv6Ranges: [{first: "2001:db8::10", last: "2001:db8::40"}]`;

/** Says every datagram and accepts every connection. */
const SERVER = (port: number) => `
const udp = require('node:dgram').createSocket('udp6').on('message', (text) => console.log(String(text)));
require('node:net').createServer((s) => s.on('error', () => {}).end('here')).listen(${port}, '::', () =>
  udp.bind(7001, '::', () => console.log('ready')));`;

const hex = (ipv4: string): string => Buffer.from(ipv4.split('.').map(Number)).toString('hex');

/**
 * A job that means harm, as an ordinary user: through the wrapper, where it has no right; and as one that evaded the
 * wrapper and kept all rights over its own namespace, as a job of HTCondor 23 can.
 */
describe.skipIf(why).each(['nat', 'bridge'] as const)(
  `a hostile job in mode %s${why ? ` (${why})` : ''}`,
  (mode) => {
    let world: AgentHost;
    let tools: string;
    const heard: string[] = [];
    const ad = `LarkNetwork = "${mode}"`;

    beforeAll(async () => {
      world = await AgentHost.start(`shaping: {enabled: false}${mode === 'bridge' ? BRIDGE : ''}`);
      tools = join(world.host.folder, 'tools.pl');
      copyFileSync(TOOLS, tools);
      world.host.runOutside(
        'sh',
        '-c',
        'ip addr add 169.254.169.254/32 dev lo; ip -6 addr add fd00:ec2::254/128 dev lo',
      );
      const outside = await world.serve(SERVER(80), world.host.outsidePrefix);
      outside.stdout!.on('data', (chunk) => heard.push(...String(chunk).trim().split('\n')));
      await world.serve(SERVER(8124));
    }, 60_000);
    afterAll(() => world?.stop());
    afterEach(() => world.gone());

    /** A script that runs as root of the job's own namespaces. */
    const rogue = (script: string) => {
      const perl = `${CLIENT()} close $s; exec '/bin/bash', '-c', $ARGV[0];`;
      const command = ['unshare', '--user', '--map-root-user', '--net', '/usr/bin/perl', '-e', perl, script];
      return finished(startJob(world.host, { jobAd: ad, wrapper: false, command }));
    };
    const own = `read -r _ _ v4 v6 _ < <(ip -br addr show dev eth0); v4=\${v4%/*}; v6=\${v6%/*}; mac=$(cat /sys/class/net/eth0/address 2>/dev/null || ip -o link show dev eth0 | sed 's/.*ether \\([0-9a-f:]*\\).*/\\1/')`;
    const udp = (source: string, to: string, text: string) =>
      `perl ${tools} udp ${source} ${to} ${text} 2>/dev/null`;
    const reaches = (address: string, port: number) =>
      `echo "${address} ${port}: $(perl ${tools} tcp ${address} ${port} 2>&1)"`;

    it('has no right to give itself another address or to send what is not its own', async () => {
      const script = [
        'ip addr add 10.99.0.1/32 dev eth0 2>/dev/null && echo address',
        'ip link set eth0 address 02:00:00:00:00:01 2>/dev/null && echo mac',
        'ip link del eth0 2>/dev/null && echo deleted',
        `perl ${tools} raw ff 2>/dev/null && echo raw`,
        "perl -MSocket -e 'socket(my $s, PF_INET, SOCK_RAW, 1) and print qq(icmp\\n)'",
        'nsenter --net=/proc/1/ns/net true 2>/dev/null && echo host',
        'echo end',
      ].join('; ');
      expect((await finished(world.job(ad, script))).out).toBe('end\n');
    });

    it('sends under no other address or MAC, whatever rights it kept', async () => {
      heard.length = 0;
      const other = { 4: mode === 'nat' ? '10.44.200.200' : '192.0.2.77', 6: '2001:db8::77' };
      const { out } = await rogue(
        [
          own,
          udp('$v4', OUTSIDE[4], 'honest4'),
          udp('$v6', OUTSIDE[6], 'honest6'),
          `ip addr add ${other[4]}/32 dev eth0 && ip -6 addr add ${other[6]}/128 dev eth0 nodad && echo added`,
          udp(other[4], OUTSIDE[4], 'address4'),
          udp(other[6], OUTSIDE[6], 'address6'),
          'ip link set eth0 address 02:00:00:00:00:01 && echo changed',
          // The way out is lost with the link's address in some kernels: it is told again.
          mode === 'nat'
            ? 'ip route replace default via 169.254.1.1 dev eth0'
            : `ip route replace default via ${OUTSIDE[4]} dev eth0`,
          udp('$v4', OUTSIDE[4], 'mac4'),
          udp('$v6', OUTSIDE[6], 'mac6'),
          'ip link set eth0 address $mac',
          'sleep 0.2',
          udp('$v4', OUTSIDE[4], 'last'),
        ].join('; '),
      );
      expect(out).toContain('added\nchanged');
      await expect.poll(() => heard, { timeout: 5000 }).toContain('last');
      expect([...heard].sort()).toEqual(['honest4', 'honest6', 'last']);
    });

    it('does not make others believe that their addresses are its own', async () => {
      const told = () => {
        const lines = world.host.runOutside('ip', 'neigh').split('\n');
        const known = lines.flatMap(
          (line) => /^(\S+) .*(lladdr \S+)/.exec(line)?.slice(1, 3).join(' ') ?? [],
        );
        return known
          .filter((line) => line.startsWith(`${HOST[4]} `) || line.startsWith(`${HOST[6]} `))
          .sort();
      };
      for (const address of [HOST[4], HOST[6]]) world.host.runOutside('perl', TOOLS, 'tcp', address, '8124');
      const before = told();
      expect(before).toHaveLength(2);
      // By hand, and as the kernel does that was given the address.
      const { out } = await rogue(
        [
          own,
          `m=\${mac//:/}`,
          `arp="ffffffffffff\${m}08060001080006040002\${m}${hex(HOST[4])}ffffffffffff${hex(OUTSIDE[4])}"`,
          `perl ${tools} raw $arp $arp && echo sent`,
          `ip -6 addr add ${HOST[6]}/128 dev eth0 nodad; ip addr add ${HOST[4]}/32 dev eth0`,
          `echo 1 > /proc/sys/net/ipv4/conf/eth0/arp_notify; echo 1 > /proc/sys/net/ipv6/conf/eth0/ndisc_notify`,
          'ip link set dev eth0 address $mac; ip link set eth0 down; ip link set eth0 up',
          'sleep 0.3; echo end',
        ].join('; '),
      );
      expect(out).toContain('sent\n');
      expect(out).toContain('end\n');
      expect(told()).toEqual(before);
    });

    it('does not reach its neighbour: not by IPv4, IPv6, a link-local address or a forwarded port', async () => {
      const listener = `${own}; ip -6 -o addr show dev eth0 scope link | sed 's/.*inet6 \\([^/]*\\).*/ll \\1/'; echo "at $v4 $v6"; exec perl ${tools} listen 20111`;
      const victim = world.job(`${ad}\nLarkInboundPorts = 20111`, listener);
      let text = '';
      victim.stdout!.on('data', (chunk) => (text += chunk));
      await expect.poll(() => text, { timeout: 10_000 }).toMatch(/^at /m);
      const [, v4, v6] = /^at (\S+) (\S+)/m.exec(text)!;
      const linkLocal = /^ll (\S+)/m.exec(text)?.[1] ?? 'fe80::2';
      // From outside the victim is reached where it was granted: by its port, or in mode bridge at its address.
      const door = mode === 'nat' ? HOST : { 4: v4!, 6: v6! };
      for (const address of [door[4], door[6]]) {
        await expect
          .poll(() => world.host.runOutside('perl', TOOLS, 'tcp', address, '20111').trim(), { timeout: 5000 })
          .toBe('open');
      }
      const targets = [v4!, v6!, `${linkLocal}%eth0`, HOST[4], HOST[6]];
      const attack = [
        own,
        'ip route add 10.44.0.0/16 dev eth0 2>/dev/null',
        ...targets.map((to) => reaches(to, 20111)),
      ].join('; ');
      for (const { out } of [await rogue(attack), await finished(world.job(ad, attack))]) {
        for (const to of targets)
          expect.soft(out).toMatch(new RegExp(`^${to.replaceAll('.', '\\.')} 20111: (silent|refused)$`, 'm'));
        expect(out).not.toContain('open');
      }
      victim.kill('SIGKILL');
    }, 60_000);

    it('does not reach services of the host, nor what a cloud tells its machines', async () => {
      expect(world.host.runOutside('perl', TOOLS, 'tcp', HOST[4], '8124')).toBe('open\n');
      expect(world.host.run('perl', TOOLS, 'tcp', '169.254.169.254', '80')).toBe('open\n');
      const services = [HOST[4], HOST[6], '169.254.1.1', 'fe80::1%eth0', '10.44.255.254'];
      const metadata = ['169.254.169.254', 'fd00:ec2::254', '64:ff9b::a9fe:a9fe', '168.63.129.16'];
      const script = [
        own,
        reaches(OUTSIDE[4], 80),
        reaches(OUTSIDE[6], 80),
        ...services.map((to) => reaches(to, 8124)),
        ...metadata.map((to) => reaches(to, 80)),
      ].join('; ');
      const { out } = await finished(world.job(ad, script));
      expect(out).toContain(`${OUTSIDE[4]} 80: open\n${OUTSIDE[6]} 80: open\n`);
      expect(out.match(/: open$/gm)).toHaveLength(2);
      expect(out.match(/: silent$/gm)).toHaveLength(services.length + metadata.length);
    }, 60_000);

    it('has no network any more when it has ended, though a daemon of it keeps the namespace', async () => {
      heard.length = 0;
      const child = world.job(
        ad,
        `(setsid bash -c 'for i in $(seq 40); do ${udp('0.0.0.0', OUTSIDE[4], 'alive')}; sleep 0.1; done' >/dev/null 2>&1 &) ; sleep 0.5; ip -br link show dev eth0`,
      );
      expect((await finished(child)).out).toMatch(/^eth0@/);
      await world.gone();
      expect(heard).toContain('alive');
      const count = heard.length;
      await new Promise((resolve) => setTimeout(resolve, 700));
      expect(heard.length).toBe(count);
    });

    it('that deletes its own device harms only itself', async () => {
      const { out } = await rogue('ip link del eth0 && echo deleted; ip -br link');
      expect(out).toContain('deleted\n');
      expect(out).not.toContain('eth0');
      await world.gone();
      expect((await finished(world.job(ad, 'ip -br link show dev eth0'))).out).toMatch(/^eth0@/);
    });
  },
);
