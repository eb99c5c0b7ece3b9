import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { finished, missing, startJob, WorkerHost } from '../../support/worker-host.ts';

const why = missing('nft', 'tc', 'ip', 'unshare', 'nsenter', 'setpriv', 'perl');
const MAIN = new URL('../../../src/cli/main.ts', import.meta.url).pathname;
const POLICY = new URL('../../../config/worker/policy.ad', import.meta.url).pathname;

/** A client of the agent in Perl: says the lines it is given, sets its name when asked to, prints the answers. */
const CLIENT = (pid: string, { claims = true, unshares = false, stop = 9 } = {}) => `
use Socket; $| = 1;
socket(my $s, PF_UNIX, SOCK_STREAM, 0); connect($s, sockaddr_un('/run/lark/worker.sock')) or die "no agent\\n";
select((select($s), $| = 1)[0]);
exit if ${stop} == 0;
print $s '{"op":"network","pid":' . (${pid}) . "}\\n"; exit if ${stop} == 1;
my $line = <$s>; my ($secret) = $line =~ /"secret":"(\\w+)"/;
if (${claims ? 1 : 0}) { open(my $c, '>', '/proc/self/comm'); print $c $secret; close $c; }
print $s "{\\"op\\":\\"proved\\"}\\n"; exit if ${stop} == 2;
$line = <$s>; print $line;
if (${unshares ? 1 : 0} && $line =~ /unshare/) {
  print $s "{\\"op\\":\\"unshared\\"}\\n"; exit if ${stop} == 3;
  print scalar <$s>;
}
`;

describe.skipIf(why)(`the agent and its wrapper${why ? ` (${why})` : ''}`, () => {
  let host: WorkerHost;
  let configFile: string;
  let agent: ChildProcess;
  const running: ChildProcess[] = [];

  const startAgent = async (): Promise<void> => {
    const [program, ...args] = [
      ...host.prefix,
      process.execPath,
      MAIN,
      'worker',
      'agent',
      '--config',
      configFile,
    ];
    agent = spawn(program!, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    await new Promise<void>((resolve, reject) => {
      let text = '';
      agent.stderr!.on('data', (chunk) => {
        text += chunk;
        if (text.includes('agent listens')) resolve();
      });
      agent.once('close', () => reject(new Error(`the agent ended: ${text}`)));
    });
  };
  const endAgent = async (signal: NodeJS.Signals): Promise<void> => {
    const ended = new Promise((resolve) => agent.once('close', resolve));
    agent.kill(signal);
    await ended;
  };
  const job = (
    jobAd: string,
    script: string,
    more: { wrapper?: boolean; environment?: Record<string, string> } = {},
  ) => {
    const child = startJob(host, { jobAd, command: ['/bin/bash', '-c', script], ...more });
    running.push(child);
    return child;
  };
  const client = (text: string, jobAd = '') =>
    finished(startJob(host, { jobAd, wrapper: false, command: ['/usr/bin/perl', '-e', text] }));
  const gone = () => expect.poll(() => host.leaks(), { timeout: 20_000, interval: 200 }).toEqual([]);

  beforeAll(async () => {
    host = await WorkerHost.start();
    configFile = join(host.folder, 'worker.yaml');
    writeFileSync(
      configFile,
      `policy: ${POLICY}\nshaping: {uplinkMbps: 100}\nstate: {dataDirectory: ${host.folder}/data}\nagent: {sweepSeconds: 2}\n`,
    );
    await startAgent();
  });
  afterAll(async () => {
    for (const child of running) child.kill();
    if (agent?.exitCode === null) await endAgent('SIGTERM');
    await host?.stop();
  });
  afterEach(() => gone());

  it('gives a job its network, its name and no right at all', async () => {
    const { code, out } = await finished(
      job(
        'RequestBandwidth = 10\nLarkInboundPorts = 20555',
        'ip -br addr show dev eth0; getent hosts ep1.example.org; id -u; grep CapEff /proc/self/status; echo "$ODD"; cat /run/lark/jobs/*/hosts | wc -l',
        {
          environment: {
            ODD: 'a "b"\n$c',
            PERL5OPT: '-MNo::Such::Module',
            PATH: '/tmp:/usr/bin:/bin:/usr/sbin:/sbin',
          },
        },
      ),
    );
    expect(out).toMatch(/^eth0@if\d+\s+UP\s+10\.44\.\d+\.\d+\/32 fd6c:/);
    expect(out).toMatch(/\n(fd6c:\S+|10\.44\.\S+)\s+ep1\.example\.org/);
    expect(out).toContain('\n12345\nCapEff:\t0000000000000000\na "b"\n$c\n');
    expect(code).toBe(0);
  });

  it('gives mode none a loopback only, and leaves alone a job that wants the network of the host', async () => {
    const script = 'ls /proc/self/net/dev_snmp6 | sort | tr "\\n" " "';
    const [none, untouched] = await Promise.all([
      finished(job('LarkNetwork = "none"', script)),
      finished(job('LarkNetwork = "host"', script)),
    ]);
    expect(none).toMatchObject({ code: 0, out: 'lo ' });
    expect(untouched.out).toContain('up0');
  });

  it('does not run a job whose network cannot be made, and says why', async () => {
    const { code, out, err } = await finished(job('LarkNetwork = "wifi"', 'echo ran'));
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain("Lark: LarkNetwork = 'wifi': expected one of none, nat, bridge and host");
  });

  it('takes the network away although a daemon of the job keeps the namespace', async () => {
    const { out } = await finished(job('', 'setsid sleep 8 >/dev/null 2>&1 & ip -br link show dev eth0'));
    expect(out).toMatch(/^eth0@/);
    await gone();
  });

  it('starts again while jobs run, also after kill -9: they keep their network, and it goes with them', async () => {
    const child = job('', 'echo up; read -t 6 < <(sleep 6); ip -br addr show dev eth0');
    await new Promise((resolve) => child.stdout!.once('data', resolve));
    await endAgent('SIGKILL');
    expect(host.leaks()).not.toEqual([]);
    await startAgent();
    const { code, out } = await finished(child);
    expect({ code, out }).toEqual({ code: 0, out: expect.stringMatching(/10\.44\./) });
    await gone();
  });

  it('makes the rules again that somebody flushed, for jobs that run too', async () => {
    const child = job('', 'echo up; read -t 8 < <(sleep 8)');
    await new Promise((resolve) => child.stdout!.once('data', resolve));
    const name = /lk[0-9a-z]{8}/.exec(host.run('ip', '-o', 'link'))![0];
    host.run('nft', 'flush', 'ruleset');
    await expect
      .poll(() => host.run('nft', 'list', 'ruleset'), { timeout: 7000, interval: 200 })
      .toContain(`from_${name}`);
    await finished(child);
  });

  it('reads its configuration again on SIGHUP, and goes on with the old one where the new one is wrong', async () => {
    const before = readFileSync(configFile, 'utf8');
    const word = () => host.run('cat', '/run/lark/on-failure').trim();
    try {
      expect(word()).toBe('hold');
      writeFileSync(configFile, `${before}onFailure: idle\n`);
      agent.kill('SIGHUP');
      await expect.poll(word, { timeout: 20_000, interval: 100 }).toBe('idle');
      writeFileSync(configFile, `${before}onFailure: nonsense\n`);
      agent.kill('SIGHUP');
      expect((await finished(job('', 'echo still'))).out).toBe('still\n');
      expect(word()).toBe('idle');
    } finally {
      writeFileSync(configFile, before);
    }
  });

  it('without an agent no job runs by accident', async () => {
    await endAgent('SIGKILL');
    try {
      const { code, out, err } = await finished(job('', 'echo ran'));
      expect({ code, out }).toEqual({ code: 1, out: '' });
      expect(err).toContain("Lark: Lark's agent does not answer at /run/lark/worker.sock");
    } finally {
      await startAgent();
    }
  });

  describe('against a hostile job', () => {
    it('believes no pid that is only claimed', async () => {
      const victim = job('LarkNetwork = "host"', 'echo $$; read -t 5 < <(sleep 5)');
      const pid = await new Promise((resolve) =>
        victim.stdout!.once('data', (text) => resolve(String(text).trim())),
      );
      const { out } = await client(CLIENT(String(pid), { claims: false }));
      expect(out).toContain('did not prove which process it is');
      await finished(victim);
    });

    it('takes the process that proves itself for the caller, whatever pid it claims', async () => {
      const { out } = await client(CLIENT('1', { unshares: false }));
      expect(out).toContain('"do":"unshare"');
    });

    it('serves nobody who is not below a condor_starter', () => {
      const [program, ...args] = [...host.prefix, 'perl', '-e', CLIENT('$$')];
      const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
      return expect(finished(child)).resolves.toMatchObject({
        out: expect.stringContaining('not below a condor_starter'),
      });
    });

    it('is not deceived by a program of the job that is called condor_starter', async () => {
      const script = `cp /bin/bash ./condor_starter; ./condor_starter -c '/usr/bin/perl -e "$0"; true' "$1"`;
      const { out } = await finished(
        startJob(host, {
          jobAd: 'LarkNetwork = "none"',
          wrapper: false,
          command: ['/bin/bash', '-c', script, 'x', CLIENT('$$')],
        }),
      );
      // The real starter's ad decides: mode none, in a namespace of its own.
      expect(out).toContain('"do":"unshare"');
    });

    it('gives a job one network, and no second one', async () => {
      const script = `unshare --user --map-current-user --net /usr/bin/perl -e "$0"; ip -o link | wc -l`;
      const child = startJob(host, {
        jobAd: '',
        command: ['/bin/bash', '-c', script, CLIENT('$$')],
      });
      const { out } = await finished(child);
      expect(out).toContain('this job has a network already');
      expect(out.trim().endsWith('2')).toBe(true);
    });

    it('does not plumb the namespace of the host, nor one that is not empty', async () => {
      expect((await client(CLIENT('$$', { unshares: true }))).out).toContain(
        'the job is in the network of the host',
      );
      const full = `unshare --user --map-root-user --net sh -c 'ip link add d0 type dummy 2>/dev/null || ip link add d0 type veth; /usr/bin/perl -e "$0"' "$0"`;
      const { out } = await finished(
        startJob(host, { jobAd: '', wrapper: false, command: ['/bin/bash', '-c', full, CLIENT('$$')] }),
      );
      expect(out).toContain('is not empty');
    });

    it('survives wrappers that are killed at each step', async () => {
      for (const stop of [0, 1, 2, 3]) {
        const text = `use POSIX; ${CLIENT('$$', { unshares: true, stop })}`.replace(
          'print $s "{\\"op\\":\\"unshared\\"}\\n";',
          'syscall(272, 0x50000000) == 0 or die "no namespace\\n"; print $s "{\\"op\\":\\"unshared\\"}\\n";',
        );
        await client(text);
      }
      await gone();
      expect((await finished(job('', 'echo still'))).out).toBe('still\n');
    });

    it('is not held up by nonsense', async () => {
      const nonsense = `use Socket; for my $text ("x" x 5000, "{}\\n", "null\\n", '{"op":"proved"}' . "\\n", "\\n") {
        socket(my $s, PF_UNIX, SOCK_STREAM, 0); connect($s, sockaddr_un('/run/lark/worker.sock')) or die; local $SIG{PIPE} = 'IGNORE';
        syswrite($s, $text); my $n = sysread($s, my $b, 10); print defined $n && $n == 0 ? "closed " : "open "; }`;
      expect((await client(nonsense)).out).toMatch(/^(closed|open) closed closed closed closed $/);
      expect((await finished(job('', 'echo still'))).out).toBe('still\n');
    });
  });

  it('keeps no record of a job for itself that others could write', () => {
    expect(() =>
      host.run('setpriv', '--reuid', '12345', '--clear-groups', 'touch', '/run/lark/journal/x'),
    ).toThrow();
  });
});
