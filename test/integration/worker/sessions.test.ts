import { existsSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { allPids, commOf, namespaceOf, uidsOf } from '../../../src/worker/proc.ts';
import { AgentHost } from '../../support/agent-host.ts';
import { kill, SessionStarter, until, WRAPPER } from '../../support/session-starter.ts';
import { finished, missing } from '../../support/worker-host.ts';

const why = missing('nft', 'tc', 'ip', 'unshare', 'nsenter', 'setpriv', 'perl');
const ADDRESS = 'ip -br -4 addr show dev eth0';
const USER = ['setpriv', '--reuid', '12345', '--clear-groups'];
/** A job that lives until its starter ends it, or it is told to. */
const JOB = `${ADDRESS}; while [ ! -e end ]; do sleep 0.1; done`;

/** Where the starter makes the job's network namespace, and one of its own for each session beside the job. */
describe.skipIf(why)(`sessions beside a job in a namespace of its starter${why ? ` (${why})` : ''}`, () => {
  let world: AgentHost;
  const starters: SessionStarter[] = [];
  const starter = (
    ...args: ConstructorParameters<typeof SessionStarter> extends [unknown, ...infer More] ? More : never
  ) => {
    const made = new SessionStarter(world.host, ...args);
    starters.push(made);
    return made;
  };
  const running = async (at = starter()) => {
    const job = await at.job('job', JOB);
    const line = await until(() => /^eth0@\S+ +UP +10\.44\.\S+/m.exec(job.out())?.[0], 'the job');
    return { at, job, line, netns: namespaceOf(job.pid, 'net')! };
  };
  const within = (netns: number) => allPids().filter((pid) => namespaceOf(pid, 'net') === netns);
  const door = (netns: number) =>
    until(() => within(netns).find((pid) => commOf(pid) === 'lark-door'), 'the door');
  const empty = (netns: number) => until(() => within(netns).length === 0, 'the end of all in the network');

  beforeAll(async () => {
    world = await AgentHost.start('shaping: {enabled: false}\nagent: {sweepSeconds: 2}');
  });
  afterAll(() => world?.stop());
  afterEach(async () => {
    for (const at of starters.splice(0)) await at.end();
    for (const pid of allPids()) {
      if (commOf(pid) === 'lark-door' && uidsOf(pid)?.[0] === 12_345) kill(pid);
    }
    await world.gone();
  });

  it('are in its network, with its user and no more right than it has', async () => {
    const { at, line, netns } = await running();
    const script = `${ADDRESS}; readlink /proc/self/ns/net /proc/self/ns/user; id; grep -E 'Cap(Prm|Eff|Inh|Amb)|NoNew' /proc/self/status; cat; exit 3`;
    const session = await at.session('session', script, { input: 'what came in\n' });
    expect(await session.ended()).toBe(3);
    expect(session.out().split('\n')).toEqual([
      `${line} `,
      `net:[${netns}]`,
      readlinkSync('/proc/self/ns/user'),
      'uid=12345 gid=12345 groups=12345',
      ...['Inh', 'Prm', 'Eff', 'Amb'].map((set) => `Cap${set}:\t0000000000000000`),
      'NoNewPrivs:\t0',
      'what came in',
      '',
    ]);
    expect(session.err()).toBe('');
    // Nothing of root is in there, then or now.
    const users = within(netns).flatMap((pid) => uidsOf(pid)?.join() ?? []);
    expect([...new Set(users)]).toEqual(['12345,12345,12345,12345']);
  });

  it('bring their arguments, environment, folder and mask, however large or odd', async () => {
    const { at } = await running();
    const big = Array.from({ length: 12 }, (_, i) => `BIG${i}=${'x'.repeat(100_000)}`);
    const odd = 'a "b" \'c\'\n$d \\ \u{1f426}';
    const session = await at.session(
      'session',
      'printf "%s|" "$ODD" "$ONE" "$0" "$1" "$2" "$#"; env | wc -c; pwd; umask',
      {
        wrapper: [
          'env',
          `ODD=${odd}`,
          'ONE=',
          ...big,
          'sh',
          '-c',
          'umask 0027; cd /usr; exec "$@"',
          'sh',
          WRAPPER,
        ],
        more: [odd, ''],
      },
    );
    expect(await session.ended()).toBe(0);
    const [argument, one, name, config, more, count, rest] = session.out().split('|');
    expect([argument, one, name, more, count]).toEqual([odd, '', 'sshd', odd, '3']);
    expect(config).toContain('.condor_ssh_to_job_1/sshd_config');
    const [bytes, folder, mask] = rest!.trim().split('\n');
    expect(Number(bytes)).toBeGreaterThan(1_200_000);
    expect([folder, mask]).toEqual(['/usr', '0027']);
  });

  it('count as the job: what they send is in its bytes', async () => {
    const { at } = await running(starter({ jobAd: 'GlobalJobId = "ap#9.0#1"' }));
    const send = 'for i in {1..20}; do head -c 1000 /dev/zero > /dev/udp/192.0.2.254/7001; done';
    await (await at.session('session', send)).ended();
    const usage = world.host.run(...world.worker('usage', '--json'));
    const jobs = JSON.parse(usage).filter(({ job }: { job: string }) => job === 'ap#9.0');
    expect(jobs).toMatchObject([{ running: 1, outBytes: 20 * 1028, outPackets: 20 }]);
  });

  it('say so when their program cannot be run', async () => {
    const { at } = await running();
    const session = await at.session('session', '', { command: ['/no/such/program'] });
    expect(await session.ended()).toBe(127);
    expect(session.err()).toContain('cannot run /no/such/program: No such file or directory');
  });

  it('have what HTCondor tells them by signals, and end as their program ends', async () => {
    const { at } = await running();
    const session = await at.session(
      'session',
      'trap "echo usr1" USR1; trap "echo term; exit 5" TERM; echo up; while :; do sleep 0.1; done',
    );
    await until(() => session.out().includes('up'), 'the session');
    process.kill(session.pid, 'SIGUSR1');
    await until(() => session.out().includes('usr1'), 'the signal');
    process.kill(session.pid, 'SIGTERM');
    expect(await session.ended()).toBe(5);
    expect(session.out()).toBe('up\nusr1\nterm\n');
    const killed = await at.session('killed', 'kill -HUP $$; sleep 60');
    expect(await killed.ended()).toBe(128 + 1);
  });

  it('end with the process that HTCondor started for them, however it ends', async () => {
    const { at, netns } = await running();
    const session = await at.session('session', 'trap "" TERM HUP; echo $$; sleep 300 & wait; sleep 300');
    const pid = Number(await until(() => session.out().trim() || undefined, 'the session'));
    expect(namespaceOf(pid, 'net')).toBe(netns);
    process.kill(session.pid, 'SIGKILL');
    await session.ended();
    // What is left is the job, its sleep and its door.
    await until(() => within(netns).length <= 3 && commOf(pid) === undefined, 'the end of the session');
  });

  it('go with the job, and the network with them, also where nobody kills them', async () => {
    const { at, job, netns } = await running();
    const session = await at.session('session', 'echo up; exec sleep 300');
    await until(() => session.out().includes('up'), 'the session');
    world.host.run('touch', join(at.scratch, 'end'));
    expect(await job.ended()).toBe(0);
    expect(await session.ended()).toBe(1);
    await empty(netns);
  });

  it('go on when the agent is killed, and leave nothing behind', async () => {
    const { at, job, netns, line } = await running();
    const session = await at.session(
      'session',
      `echo up; while [ ! -e end ]; do sleep 0.1; done; ${ADDRESS}; sleep 300`,
    );
    await until(() => session.out().includes('up'), 'the session');
    await world.endAgent('SIGKILL');
    try {
      process.kill(session.pid, 0);
      world.host.run('touch', join(at.scratch, 'end'));
      await until(() => session.out().includes(line), 'the network, without an agent');
      await job.ended();
      await empty(netns);
    } finally {
      await world.startAgent();
    }
  });

  it('are in the new network of a job that begins again after its own checkpoint', async () => {
    const { at, job, netns } = await running();
    world.host.run('touch', join(at.scratch, 'end'));
    await job.ended();
    world.host.run('rm', join(at.scratch, 'end'));
    const again = await at.job('again', JOB);
    const line = await until(() => /^eth0@\S+ +UP +10\.44\.\S+/m.exec(again.out())?.[0], 'the job, again');
    expect(namespaceOf(again.pid, 'net')).not.toBe(netns);
    // The door of the first has gone by now, or goes without taking that of the second with it.
    await empty(netns);
    const session = await at.session('session', ADDRESS);
    expect(await session.ended()).toBe(0);
    expect(session.out().trim()).toBe(line.trim());
  });

  it('have a door that the job does not see: neither as its child, nor in its group, nor by its own name', async () => {
    const at = starter();
    const script = `until [ -e .lark-door ]; do sleep 0.1; done
      perl -e 'print "child ", wait(), "\\n"'; pgrep -u 12345 -cf perl.\\*childish
      trap "" TERM; kill -TERM 0; echo done; ${JOB}`;
    const job = await at.job('job', script);
    await until(() => job.out().includes('eth0'), 'the job');
    expect(job.out()).toMatch(/^child -1\n1\ndone\neth0/);
    expect(await door(namespaceOf(job.pid, 'net')!)).toBeGreaterThan(1);
  });

  it('are many at once', async () => {
    const { at, line } = await running();
    const sessions = await Promise.all(
      Array.from({ length: 40 }, (_, i) => at.session(`session${i}`, ADDRESS)),
    );
    const results = await Promise.all(
      sessions.map(async ({ ended, out, err }) => [await ended(), out().trim(), err()]),
    );
    for (const [code, out, err] of results) {
      // An honest user has not so many in one moment: see the agent's patience.
      if (code === 1) expect(err).toContain('asked too often');
      else expect([code, out]).toEqual([0, line.trim()]);
    }
    expect(results.filter(([code]) => code === 0).length).toBeGreaterThan(0);
    const { out } = await finished(world.job('Owner = "bob"', 'echo still'));
    expect(out).toBe('still\n');
  });

  describe('of a job that is hostile', () => {
    /** As the job's user, on the host. */
    const asUser = (uid: number, perl: string, ...args: string[]) =>
      finished(world.spawn([...USER.with(2, String(uid)), 'perl', '-e', perl, ...args]));
    const CONNECT = `use Socket; socket(my $s, PF_UNIX, SOCK_STREAM, 0); connect($s, sockaddr_un("$ARGV[0]/.lark-door")) or die "$!\\n";`;

    it('the door opens to no other user, whatever the job makes of its folder', async () => {
      const { at, netns } = await running();
      await door(netns);
      await until(() => existsSync(join(at.scratch, '.lark-door')), 'the door');
      world.host.run('chmod', '777', at.scratch);
      expect(await asUser(54_321, CONNECT, at.scratch)).toMatchObject({ err: 'Permission denied\n' });
      expect(await asUser(12_345, `${CONNECT} print scalar <$s>`, at.scratch)).toMatchObject({
        out: 'ready\n',
      });
    });

    it('nonsense at the door, and connections that are held, keep nobody out', async () => {
      const { at, netns, line } = await running();
      const at_door = await door(netns);
      const nonsense = `for my $text ("x" x 100_000, "", pack("N", 0xffffffff), pack("N", 20) . "\\0" x 20) {
        ${CONNECT} local $SIG{PIPE} = 'IGNORE'; <$s>; syswrite $s, $text; shutdown $s, 1; print scalar(<$s>) // "closed "; }
        my @held; for (1 .. 100) { ${CONNECT} push @held, $s } $| = 1; print "held\\n"; sleep 300;`;
      const attack = world.spawn([
        'setpriv',
        '--reuid',
        '12345',
        '--clear-groups',
        'perl',
        '-e',
        nonsense,
        at.scratch,
      ]);
      const said = await new Promise<string>((resolve) => {
        let text = '';
        attack.stdout!.on('data', (chunk) => {
          text += chunk;
          if (text.includes('held')) resolve(text);
        });
      });
      expect(said).toBe('closed closed closed closed held\n');
      const session = await at.session('session', ADDRESS);
      expect(await session.ended()).toBe(0);
      expect(session.out().trim()).toBe(line.trim());
      attack.kill('SIGKILL');
      await until(
        () => within(netns).every((pid) => commOf(pid) !== 'lark-door' || pid === at_door),
        'the end of those who waited',
      );
    });

    it('without a door they run without a network, and never in that of the host', async () => {
      const ways = [
        'kill -9 $door; sleep 0.1',
        'kill -STOP $door',
        'rm .lark-door',
        'ln -sf /run/lark/worker.sock .lark-door',
        'rm .lark-door; mkfifo .lark-door',
        'rm .lark-door; chmod 500 .',
      ];
      const results = await Promise.all(
        ways.map(async (way) => {
          const { at, netns } = await running();
          const pid = await door(netns);
          await until(() => existsSync(join(at.scratch, '.lark-door')), 'the door');
          await finished(world.spawn([...USER, 'sh', '-c', `cd ${at.scratch}; door=${pid}; ${way}`]));
          const session = await at.session('session', 'ls /proc/self/net/dev_snmp6; id -u');
          const result = { way, code: await session.ended(), out: session.out(), err: session.err() };
          if (way.includes('STOP')) process.kill(pid, 'SIGCONT');
          return result;
        }),
      );
      expect(results).toEqual(
        ways.map((way) => ({
          way,
          code: 0,
          out: 'lo\n12345\n',
          err: expect.stringContaining('this session has no network'),
        })),
      );
    }, 60_000);
  });
});
