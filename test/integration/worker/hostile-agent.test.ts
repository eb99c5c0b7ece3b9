import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AgentHost, CLIENT, said } from '../../support/agent-host.ts';
import { finished, missing, startJob } from '../../support/worker-host.ts';

const why = missing('nft', 'tc', 'ip', 'unshare', 'nsenter', 'setpriv', 'perl');
const POLICY = `
Mode = Wants.Mode ?: "nat"
InboundPorts = Wants.InboundPorts
WrongUser = (Job.AskedUid ?: Job.LarkUid) != Job.LarkUid || Job.LarkSlot isnt undefined
WrongUserText = strcat("not the user that was asked for: ", Job.LarkUid, " ", Job.LarkSlot ?: "undefined")
Refuse = !Job.LarkAdIsStarters ? "the ad is not the starter's" : WrongUser ? WrongUserText : undefined
`;

/** What a job tries with the agent, as an ordinary user that evades the wrapper and speaks for itself. */
describe.skipIf(why)(`the agent against a hostile job${why ? ` (${why})` : ''}`, () => {
  let world: AgentHost;
  const client = (...args: Parameters<AgentHost['client']>) => world.client(...args);
  /** Programs of a job that has no wrapper; $0 is the first of `args`. */
  const script = (text: string, args: string[] = [], jobAd = '') =>
    finished(startJob(world.host, { jobAd, wrapper: false, command: ['/bin/bash', '-c', text, ...args] }));
  const servesOthers = async () =>
    expect(await finished(world.job('Owner = "bob"', 'echo still'))).toMatchObject({ out: 'still\n' });

  beforeAll(async () => {
    const yaml =
      'shaping: {enabled: false}\nnat: {ipv4Pool: 10.44.0.0/27}\nagent: {sweepSeconds: 2, maxJobsPerUser: 3}';
    world = await AgentHost.start(yaml, POLICY);
  });
  afterAll(() => world?.stop());
  afterEach(() => world.gone());

  describe('that would be somebody else', () => {
    it('is believed no pid that is only claimed', async () => {
      const victim = world.job('LarkNetwork = "host"', 'echo $$; read -t 5 < <(sleep 5)');
      const pid = (await said(victim)).trim();
      expect((await client(CLIENT(pid, { claims: false }))).out).toContain(
        'did not prove which process it is',
      );
      victim.kill();
    });

    it('is the process that proves itself, whatever pid it claims', async () => {
      expect((await client(CLIENT('1'))).out).toContain('"do":"unshare"');
    });

    it('is nobody where two processes bear the secret: one may have seen it on the other', async () => {
      const perl = CLIENT('1').replace(
        'print $s "{\\"op\\":\\"proved\\"}\\n";',
        'my $twin = fork; if (!$twin) { open(my $c, ">", "/proc/self/comm"); print $c $secret; close $c; sleep 2; exit } select(undef, undef, undef, 0.3); print $s "{\\"op\\":\\"proved\\"}\\n";',
      );
      expect((await client(perl)).out).toContain('did not prove which process it is');
    });

    it('cannot leave its proof to another process', async () => {
      // The child proves itself and ends; the parent goes on with its connection, in a namespace of its own.
      const perl = `
        use Socket; $| = 1; use POSIX ();
        socket(my $s, PF_UNIX, SOCK_STREAM, 0); connect($s, sockaddr_un('/run/lark/worker.sock')) or die;
        select((select($s), $| = 1)[0]);
        my $child = fork;
        if (!$child) {
          print $s '{"op":"network","pid":' . $$ . "}\\n"; my $line = <$s>; my ($secret) = $line =~ /"secret":"(\\w+)"/;
          open(my $c, '>', '/proc/self/comm'); print $c $secret; close $c; print $s "{\\"op\\":\\"proved\\"}\\n"; <$s>; POSIX::_exit(0);
        }
        waitpid($child, 0);
        print $s "{\\"op\\":\\"unshared\\"}\\n"; print scalar <$s>;`;
      expect((await client(perl)).out).toMatch(/the job ended|internal error/);
    });

    it('has no network without a condor_starter above it', async () => {
      const outside = world.spawn(['perl', '-e', CLIENT()]);
      expect((await finished(outside)).out).toContain('not below a condor_starter');
      // Nor when its starter is gone.
      world.host.run('mkdir', '-m', '777', `${world.host.folder}/open`);
      const orphan = await script(
        `setsid bash -c 'sleep 0.7; exec /usr/bin/perl -e "$0"' "$0" >${world.host.folder}/open/orphan 2>&1 & sleep 0.1`,
        [CLIENT()],
      );
      expect(orphan.code).toBe(0);
      await expect
        .poll(() => world.host.run('cat', `${world.host.folder}/open/orphan`), { timeout: 10_000 })
        .toContain('not below a condor_starter');
    });

    it.each([
      ['its own copy of a program', 'cp /bin/bash ./condor_starter; f=./condor_starter'],
      ["root's condor_starter, run by itself", 'f=$(tr "\\0" "\\n" < /proc/$PPID/cmdline | head -1)'],
    ])('is not deceived by a condor_starter of the job: %s', async (_, program) => {
      // The forged ad, in the folder that such a starter would have, asks for mode nat; the real one for mode none.
      const forge = `${program}; $f -c 'mkdir dir_$$; cd dir_$$; echo "LarkNetwork = \\"host\\"" > .job.ad; echo "A = 1" > .machine.ad; /usr/bin/perl -e "$0"; true' "$0"`;
      const { out } = await script(forge, [CLIENT()], 'LarkNetwork = "none"');
      expect(out).toContain('"do":"unshare"');
    });

    it('is not deceived by a condor_starter that runs as another user than the job', async () => {
      // As with the further users of newuidmap: root's file, two users, and neither of them root.
      const folder = world.host.folder;
      const starter = join(folder, 'condor_starter');
      copyFileSync('/bin/bash', starter);
      world.host.run('sh', '-c', `mkdir -p -m 777 ${folder}/fake; chmod 755 ${starter}`);
      const text = `cd ${folder}/fake; mkdir dir_$$; cd dir_$$; echo 'Owner = "victim"' > .job.ad; echo 'A = 1' > .machine.ad; chmod 777 .; setpriv --reuid 54321 --clear-groups --inh-caps=-all /usr/bin/perl -e "$0"`;
      // setpriv keeps what it needs to change the user once more.
      const caps = ['--inh-caps=+setuid,+setgid', '--ambient-caps=+setuid,+setgid'];
      const fake = world.spawn([
        'setpriv',
        '--reuid',
        '12345',
        '--clear-groups',
        ...caps,
        starter,
        '-c',
        text,
        CLIENT(),
      ]);
      expect((await finished(fake)).out).toContain('not below a condor_starter');
    });
  });

  describe('that writes its own ad', () => {
    const forged: [string, string, string | RegExp][] = [
      ['another text', 'echo "Owner = \\"root\\"" > .job.ad', "the ad is not the starter's"],
      ['a link to a file of root', 'ln -s /etc/passwd .job.ad', /cannot read the ads of the job: ELOOP/],
      ['a pipe that nobody writes to', 'mkfifo .job.ad', 'is not the starter'],
      ['a device without end', 'ln -s /dev/zero .job.ad', /cannot read the ads of the job: ELOOP/],
      ['gigabytes', 'truncate -s 8G .job.ad', 'larger than 4 MiB'],
      [
        'expressions that take for ever',
        `perl -e 'my $a = "a" x 60; print "RequestBandwidth = ", join(" + ", map { qq{(regexp("(a+)+\\$", "$a!$_") =?= true ? 1 : 1)} } 1 .. 3000), "\\n"' > .job.ad`,
        'takes too long',
      ],
      [
        'what no parser can follow',
        `perl -e 'print "RequestBandwidth = ", "(" x 1e6, "\\n"' > .job.ad`,
        'expected at most',
      ],
    ];
    it.each(forged)(
      'gets no network by %s, and nobody waits for it',
      async (_, how, message) => {
        const attack = script(`rm .job.ad; ${how}; /usr/bin/perl -e "$0"`, [CLIENT()]);
        await servesOthers();
        expect((await attack).out).toMatch(message);
      },
      30_000,
    );

    it('gets no network by another ad of the machine, as of a slot with more bandwidth', async () => {
      const forge =
        'sed "$ a Bandwidth = 1000000" .machine.ad >new; mv -f new .machine.ad; /usr/bin/perl -e "$0"';
      expect((await script(forge, [CLIENT()])).out).toContain("the ad is not the starter's");
    });

    it('is the user that the kernel knows, and in the slot that the startd told, whatever its ad says', async () => {
      const forged = 'LarkUid = 1\nLarkSlot = "slot9"\nLarkAdIsStarters = false';
      expect((await client(CLIENT(), forged)).out).toContain('"do":"unshare"');
      const { out } = await client(CLIENT(), 'AskedUid = 54321');
      expect(out).toContain('not the user that was asked for: 12345 undefined');
      const other = { uid: 54_321 };
      expect((await client(CLIENT(), 'AskedUid = 54321', other)).out).toContain('"do":"unshare"');
    });

    it('puts no control characters into what administrators see', async () => {
      // By its submit file: no ad is forged.
      const child = world.job('User = "\u001b]0;owned\u0007 me@pool"', 'echo up; read -t 5 < <(sleep 5)');
      await said(child);
      const listed = world.host.run(...world.worker('lease'));
      expect(listed).toContain('_]0;owned__me@pool');
      child.kill();
    });
  });

  describe('that wants more than its share', () => {
    it('has one network, however many ask for it at the same time', async () => {
      const one = `unshare --user --map-current-user --net /usr/bin/perl -e "$0" &`;
      const { out } = await script(
        `${one.repeat(12)} wait; sleep 0.5; ls /run/lark/leases | grep -c ^slot-`,
        [`${CLIENT()} sleep 3;`],
      );
      expect(out.match(/"do":"go"/g)).toHaveLength(1);
      // Who comes later is left in his empty namespace, or told to ask the others of the job.
      expect(out.match(/"do":"enter"|has a network already|asked too often/g)).toHaveLength(11);
      expect(out.trim().endsWith('\n1')).toBe(true);
    });

    it('takes no more leases by asking ten thousand times, and is then not heard any more', async () => {
      const perl = `${CLIENT()} my %said; for (1 .. 10_000) {
        socket(my $s, PF_UNIX, SOCK_STREAM, 0); connect($s, sockaddr_un('/run/lark/worker.sock')) or last;
        select((select($s), $| = 1)[0]);
        print $s '{"op":"network","pid":' . $$ . "}\\n"; my $line = <$s>; my ($secret) = $line =~ /"secret":"(\\w+)"/;
        open(my $c, '>', '/proc/self/comm'); print $c $secret; close $c; print $s "{\\"op\\":\\"proved\\"}\\n";
        $line = <$s>; my ($what) = $line =~ /"message":"([^"]*)"/; $what =~ s/: lk.*//; $said{$what}++; }
        print "$_: $said{$_}\\n" for sort keys %said; sleep 3; open(my $ls, '-|', 'ls /run/lark/leases | grep -c ^slot-'); print <$ls>;`;
      const attack = script('unshare --user --map-current-user --net /usr/bin/perl -e "$0"', [perl]);
      await servesOthers();
      const { out } = await attack;
      expect(out).toMatch(/"do":"go"/);
      expect(out).toMatch(/^this job asked too often/m);
      const count = (what: string) => Number(new RegExp(`^this job ${what}.*: (\\d+)$`, 'm').exec(out)?.[1]);
      expect(count('has a network already') + count('asked too often')).toBe(10_000);
      expect(count('has a network already')).toBeLessThan(100);
      expect(out.trim()).toMatch(/\n1$/);
      await servesOthers();
    }, 120_000);

    it('takes only so many networks for its user, and leaves the others theirs', async () => {
      const jobs = Array.from({ length: 5 }, () => world.job('', 'echo up; read -t 15 < <(sleep 15)'));
      const results = await Promise.all(
        jobs.map(async (child) => {
          const text = await said(child).catch(() => 'refused');
          return text.trim();
        }),
      );
      expect(results.filter((text) => text === 'up')).toHaveLength(3);
      await servesOthers();
      for (const child of jobs) child.kill();
      const { err } = await finished(world.job('', 'echo up'));
      expect(err === '' || err.includes('as many as agent.maxJobsPerUser allows')).toBe(true);
    });

    it('makes nobody wait by holding connections', async () => {
      const perl = `use Socket; my @held; for (1 .. 900) { socket(my $s, PF_UNIX, SOCK_STREAM, 0); connect($s, sockaddr_un('/run/lark/worker.sock')) or last; syswrite($s, '{'); push @held, $s; } $| = 1; print "held\\n"; sleep 20;`;
      const attack = world.job(
        'LarkNetwork = "host"',
        `exec /usr/bin/perl -e '${perl.replaceAll("'", "'\\''")}'`,
      );
      await said(attack);
      await servesOthers();
      attack.kill();
    });

    it('is not read without end', async () => {
      const nonsense = `use Socket; for my $text ("x" x 500_000, "{}\\n", "null\\n", '{"op":"proved"}' . "\\n", "\\n" x 100_000) {
        socket(my $s, PF_UNIX, SOCK_STREAM, 0); connect($s, sockaddr_un('/run/lark/worker.sock')) or die; local $SIG{PIPE} = 'IGNORE';
        syswrite($s, $text); my $n = sysread($s, my $b, 10); print $n ? "open " : "closed "; }`;
      expect((await client(nonsense)).out).toBe('closed closed closed closed closed ');
      await servesOthers();
    });
  });

  describe('that plays with namespaces', () => {
    it('gets none of the host, nor one that is not empty', async () => {
      expect((await client(CLIENT('$$', { unshares: true }))).out).toContain(
        'the job is in the network of the host',
      );
      const full = `unshare --user --map-root-user --net sh -c 'ip link add d0 type dummy 2>/dev/null || ip link add d0 type veth; /usr/bin/perl -e "$0"' "$0"`;
      expect((await script(full, [CLIENT()])).out).toContain('is not empty');
    });

    it('does not win by changing its namespace while the agent looks', async () => {
      const links = () =>
        world.host.run(
          'sh',
          '-c',
          'ls /proc/sys/net/ipv4/conf; ip route show default; ip -6 route show default',
        );
      const before = links();
      // Says that it has a namespace of its own, and only then makes one, after ever another while.
      const perl = (microseconds: number) =>
        `use POSIX; ${CLIENT('$$', { unshares: true })}`.replace(
          'print scalar <$s>;',
          `select(undef, undef, undef, ${microseconds / 1e6}) if ${microseconds}; syscall(272, 0x50000000) == 0 or die "no namespace\\n"; print scalar <$s>;`,
        );
      for (const microseconds of [0, 0, 50, 100, 200, 300, 500, 1000]) {
        const { out } = await client(perl(microseconds));
        expect(out).toMatch(/"do":"go"|in the network of the host|changed its network namespace/);
        // Its user may only hold so many.
        await world.gone();
      }
      expect(links()).toBe(before);
    }, 60_000);
  });

  it('that kills its wrapper at any step leaves nothing', async () => {
    for (const stop of [0, 1, 2, 3]) {
      const text = `use POSIX; ${CLIENT('$$', { unshares: true, stop })}`.replace(
        'print $s "{\\"op\\":\\"unshared\\"}\\n";',
        'syscall(272, 0x50000000) == 0 or die "no namespace\\n"; print $s "{\\"op\\":\\"unshared\\"}\\n";',
      );
      await client(text);
    }
    await world.gone();
    await servesOthers();
  });
});
