import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { conditions } from '../../../testbed/pool/root-tree.ts';
import { startWorkerPool, type WorkerPool } from './worker-pool.ts';

const able = conditions();
const ON_EP1 = 'requirements = Machine == "ep1.lark.test"';
/** A root folder in which /usr is the host's. */
const IMAGE = [
  'mkdir -p /img; cd /img',
  'mkdir -p usr proc dev tmp etc sys var/tmp run home root',
  'for link in bin lib lib64; do ln -sfn usr/$link $link; done',
  'cp /etc/passwd /etc/group etc',
].join('; ');

describe.skipIf(!able.ok)(`beside a job${able.ok ? '' : ` (skipped: ${able.why})`}`, () => {
  let world: WorkerPool;
  let address: string;
  beforeAll(async () => {
    world = await startWorkerPool({
      ep1: { after: 'SINGULARITY_RUN_TEST_BEFORE_JOB = False\nSINGULARITY_BIND_EXPR = "/usr"' },
      ep2: { before: 'LARK_STARTER_NAMESPACES = True' },
    });
    await world.startAgent('ep1');
    await world.submit('long', 'ip -brief -4 address show dev eth0; sleep 120', ON_EP1);
    address = /10\.144\.\d+\.\d+/.exec(await world.said('long', 'ep1', /10\.144\./))![0];
  });
  afterAll(() => world?.stop());

  const jobOf = async (name: string) =>
    (
      await world.pool.run('ap', [
        'condor_q',
        '-all',
        '-constraint',
        `RegExp("${name}.log$", UserLog)`,
        '-af',
        'ClusterId',
      ])
    ).trim();
  const session = async (name: string, command: string): Promise<string> =>
    world.asUser(`timeout 60 condor_ssh_to_job -auto-retry ${await jobOf(name)} '${command}' </dev/null`);

  it('condor_ssh_to_job is in the network of the job, and sees its files', async () => {
    const out = await session('long', 'ip -brief -4 address show dev eth0; cat /etc/hosts; id -un');
    expect(out).toContain(`${address}/32`);
    expect(out).toContain(`${address} ep1`);
    expect(out).toMatch(/^lark$/m);
  });

  it('condor_ssh_to_job without a command has a terminal', async () => {
    const lines = ['tty', 'ip -brief -4 address show dev eth0', 'exit', ''].join('\n');
    const job = await jobOf('long');
    const out = await world.asUser(
      `timeout 60 script -qec "condor_ssh_to_job ${job}" /dev/null || true`,
      lines,
    );
    expect(out).toContain('/dev/pts/');
    // in colours, on a terminal
    expect(out).toContain(address);
  });

  it('condor_chirp reaches the starter, and what carries it there is closed to the job', async () => {
    const chirp = '$(condor_config_val LIBEXEC)/condor_chirp';
    const script = `${chirp} set_job_attr_delayed ChirpLark 42; echo "chirp $?"
${chirp} get_job_attr Owner; echo "asked $?"
relay=$(pgrep -u lark -f -- '[-]-relay' | tail -1)
echo "relay \${relay:+there}"
readlink /proc/$relay/ns/net || echo closed
sleep 6
`;
    await world.submit('chirping', script, ON_EP1, '+WantIOProxy = true');
    await world.ended('chirping');
    const out = await world.asUser('cat chirping.out chirping.err');
    expect(out).toMatch(/^chirp 0$/m);
    expect(out).toMatch(/^"?lark"?\n?asked 0$/m);
    expect(out).toMatch(/^relay there\nclosed$/m);
    expect(await world.history('chirping', 'ChirpLark')).toEqual(['42']);
    const relays = async () =>
      (await world.pool.exec('ep1', ['pgrep', '-c', '-f', '--', '[-]-relay'])).stdout.trim();
    // That of the job that goes on.
    await expect.poll(relays, { timeout: 20_000 }).toBe('1');
  });

  it('nsenter is in the network of the job', async () => {
    const pid = (await world.pool.run('ep1', ['pgrep', '-u', 'lark', '-fx', '/bin/sh long.sh'])).trim();
    const inside = await world.pool.run('ep1', ['nsenter', '-t', pid, '-n', 'ip', '-brief', '-4', 'address']);
    expect(inside).toContain(`${address}/32`);
  });

  it('lark worker enter takes the job’s number, and condor_nsenter along', async () => {
    const enter = `lark worker enter --config /etc/lark-agent.yaml ${await jobOf('long')}.0 --`;
    const onEp1 = async (script: string) => (await world.pool.exec('ep1', ['sh', '-c', script])).stdout;
    expect(await onEp1(`${enter} ip -brief -4 address`)).toContain(`${address}/32`);
    // It has a terminal, and ends with what it is told on it.
    const typed =
      '(sleep 2; echo "ip -brief -4 address; readlink /proc/self/ns/mnt"; sleep 2; echo exit; sleep 2)';
    const pid = (await onEp1("pgrep -u lark -fx '/bin/sh long.sh'")).trim();
    const inside = await onEp1(
      `${typed} | ${enter} condor_nsenter -t ${pid} -S $(id -u lark) -G $(id -g lark)`,
    );
    // In colours, on a terminal.
    expect(inside).toContain(address);
    expect(inside).toContain((await onEp1(`readlink /proc/${pid}/ns/mnt`)).trim());
  });

  it('a session that cannot have the network does not harm the job', async () => {
    await world.killAgent('ep1');
    try {
      await expect(session('long', 'echo it ran')).rejects.toThrow();
    } finally {
      await world.startAgent('ep1');
    }
    expect((await world.pool.run('ap', ['condor_q', '-all', '-af', 'JobStatus'])).trim()).toBe('2');
    expect(await session('long', 'ip -brief -4 address show dev eth0')).toContain(`${address}/32`);
    await world.asUser('condor_rm -all');
  });

  describe('in a container of Apptainer', () => {
    let hasApptainer: boolean;
    beforeAll(async () => {
      hasApptainer = (await world.pool.exec('ep1', ['which', 'apptainer'])).exitCode === 0;
      if (hasApptainer) await world.pool.run('ep1', ['sh', '-ec', IMAGE]);
    });

    it('that a job starts, the network is that of the job', async (context) => {
      if (!hasApptainer) context.skip('this release of Debian has no Apptainer');
      const inside = 'ip -brief -4 address show dev eth0; echo "files $(ls -d /img 2>&1)"';
      await world.submit(
        'own',
        `readlink /proc/self/ns/net; apptainer exec --bind /usr /img sh -c '${inside}; readlink /proc/self/ns/net'`,
        ON_EP1,
      );
      await world.ended('own');
      const out = await world.asUser('cat own.out');
      expect(out).toMatch(/eth0@\S+ +UP +10\.144\.\d+\.\d+\/32/);
      expect(out).toMatch(/files .*No such file/);
      const [job, container] = out.match(/net:\[\d+\]/g)!;
      expect(container).toBe(job);
    });

    it('that HTCondor starts, the network is one of its own; no session may go around it', async (context) => {
      if (!hasApptainer) context.skip('this release of Debian has no Apptainer');
      await world.submit(
        'container',
        'ip -brief -4 address show dev eth0; sleep 60',
        ON_EP1,
        'universe = container',
        'container_image = /img',
        'transfer_container = false',
      );
      expect(await world.said('container', 'ep1', /eth0/)).toMatch(/eth0@\S+ +UP +10\.144\.\d+\.\d+\/32/);
      await expect(session('container', 'ip -brief -4 address')).rejects.toThrow(/ENABLE_SSH_TO_JOB/);
      await world.asUser('condor_rm -all');
    });
  });

  describe('where the starter makes the namespace', () => {
    const wanted = ['requirements = Machine == "ep2.lark.test"', 'want_job_networking = false'];
    const INSIDE = 'ip -brief -4 address show dev eth0';
    let why: string | undefined;
    beforeAll(async () => {
      const version = await world.pool.condorVersion();
      const [major = 0, minor = 0] = version.split('.').map(Number);
      if (major < 24 || (major === 24 && minor < 7)) why = `HTCondor ${version} cannot make it`;
      else await world.startAgent('ep2');
    });
    beforeEach((context) => context.skip(why !== undefined, why));
    // It fails where all have ended.
    afterEach(() => world.asUser('condor_rm -all || true'));
    const begun = async (name: string, script: string, ...more: string[]) => {
      await world.submit(name, `${INSIDE}\n${script}`, ...wanted, ...more);
      return /10\.144\.\d+\.\d+\/32/.exec(await world.said(name, 'ep2', /10\.144\.[\s\S]*begun/))![0];
    };

    it('a job has its network without a user namespace, and a session is in it', async () => {
      const script = `readlink /proc/self/ns/user
grep CapEff /proc/self/status
iperf3 -c ${world.server} -n 100K >/dev/null && echo begun
sleep 120
`;
      const address = await begun('starters', script);
      const host = (await world.pool.run('ep2', ['readlink', '/proc/self/ns/user'])).trim();
      const out = await world.said('starters', 'ep2', /begun/);
      expect(out).toContain(host);
      expect(out).toMatch(/CapEff:\s+0{16}/);
      const inside = `${INSIDE}; id -un; readlink /proc/self/ns/user; grep CapEff /proc/self/status; ls starters.sh; iperf3 -c ${world.server} -n 100K >/dev/null && echo reached`;
      const said = await session('starters', inside);
      for (const part of [address, 'lark\n', host, 'CapEff:\t0000000000000000', 'starters.sh', 'reached']) {
        expect(said).toContain(part);
      }
      await expect(session('starters', 'exit 7')).rejects.toThrow(/exited with 7/);
    });

    it('a session has a terminal, and takes files both ways', async () => {
      const address = await begun('terminal', 'echo begun; sleep 120');
      await session('terminal', 'true');
      const job = await jobOf('terminal');
      const lines = ['tty', INSIDE, 'exit', ''].join('\n');
      const out = await world.asUser(
        `timeout 60 script -qec "condor_ssh_to_job ${job}" /dev/null || true`,
        lines,
      );
      expect(out).toContain('/dev/pts/');
      expect(out).toContain(address.replace('/32', ''));
      const copied = await world.asUser(`head -c 300000 /dev/urandom >there
        condor_ssh_to_job -ssh 'scp -O' ${job} there remote:kept
        condor_ssh_to_job -ssh 'scp -O' ${job} remote:kept back
        cat there | condor_ssh_to_job ${job} 'cat >piped; cat piped' >piped
        cmp there back; cmp there piped; echo the same`);
      expect(copied).toContain('the same');
    });

    it('a job that begins again after its own checkpoint has its network, and so has a session', async () => {
      const script = `echo begun; [ -f kept ] && { echo again; sleep 120; }; touch kept; sleep 2; exit 85`;
      const checkpoints = ['checkpoint_exit_code = 85', 'transfer_checkpoint_files = kept'];
      await begun('checkpoint', script, ...checkpoints, 'when_to_transfer_output = ON_EXIT_OR_EVICT');
      const out = await world.said('checkpoint', 'ep2', /again/);
      const [first, second] = out.match(/10\.144\.\d+\.\d+\/32/g)!;
      expect(first).toBeDefined();
      expect(await session('checkpoint', INSIDE)).toContain(second);
    });

    it('a session is in the network of a job that has its own process ids too, and sees its processes', async () => {
      // The starter reads it as it begins.
      await world.pool.writeFile('ep2', '/etc/condor/config.d/97-pids', 'USE_PID_NAMESPACES = True\n');
      try {
        const address = await begun('pids', 'echo begun; while [ ! -e end ]; do sleep 0.2; done; exit 3');
        const out = await session('pids', `${INSIDE}; ps -e -o pid,args; touch end`);
        expect(out).toContain(address);
        expect(out).toMatch(/^ +1 .*condor_pid_ns_init .*pids\.sh$/m);
        await world.ended('pids');
        expect(await world.asUser('cat pids.log')).toContain('(return value 3)');
      } finally {
        await world.pool.run('ep2', ['rm', '/etc/condor/config.d/97-pids']);
      }
    });

    it('a job that ends takes sessions with it, and its output is what it was, also without an agent', async () => {
      const script = 'echo begun; while [ ! -e end ]; do sleep 0.2; done; echo kept >result';
      await begun('ends', script);
      const job = await jobOf('ends');
      await session('ends', 'true');
      const open = world.asUser(
        `timeout 60 condor_ssh_to_job ${job} 'echo in; sleep 300' </dev/null || true`,
      );
      const processes = async () => (await world.pool.exec('ep2', ['pgrep', '-u', 'lark', '-a'])).stdout;
      await expect.poll(processes, { timeout: 30_000 }).toContain('sleep 300');
      await world.killAgent('ep2');
      try {
        await world.pool.run('ep2', ['sh', '-c', 'touch $(ls -d /var/lib/condor/execute/dir_*/scratch)/end']);
        await world.ended('ends');
        expect(await open).toBe('in\n');
        await expect.poll(processes, { timeout: 30_000 }).toBe('');
        expect((await world.asUser('cat result; ls -A')).split('\n')).toEqual(
          expect.arrayContaining(['kept', 'result']),
        );
        expect(await world.asUser('ls -A')).not.toContain('.lark');
      } finally {
        await world.startAgent('ep2');
      }
      const links = async () =>
        (await world.pool.run('ep2', ['ip', '-o', 'link'])).match(/\blk[0-9a-z]{8}\b/g);
      await expect.poll(links, { timeout: 30_000 }).toBe(null);
    });
  });
});
