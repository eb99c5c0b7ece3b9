import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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

  it('nsenter is in the network of the job', async () => {
    const pid = (await world.pool.run('ep1', ['pgrep', '-u', 'lark', '-fx', '/bin/sh long.sh'])).trim();
    const inside = await world.pool.run('ep1', ['nsenter', '-t', pid, '-n', 'ip', '-brief', '-4', 'address']);
    expect(inside).toContain(`${address}/32`);
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
    let version: string;
    beforeAll(async () => {
      version = await world.pool.condorVersion();
      await world.startAgent('ep2');
    });

    it('a job has its network without a user namespace, and a session none of the host', async (context) => {
      const [major = 0, minor = 0] = version.split('.').map(Number);
      if (major < 24 || (major === 24 && minor < 7)) context.skip(`HTCondor ${version} cannot make it`);
      const script = `ip -brief -4 address show dev eth0
readlink /proc/self/ns/user
grep CapEff /proc/self/status
iperf3 -c ${world.server} -n 100K >/dev/null && echo reached
sleep 60
`;
      await world.submit('starters', script, ...wanted);
      const out = await world.said('starters', 'ep2', /reached/);
      expect(out).toMatch(/eth0@\S+ +UP +10\.144\.\d+\.\d+\/32/);
      expect(out).toContain((await world.pool.run('ep2', ['readlink', '/proc/self/ns/user'])).trim());
      expect(out).toMatch(/CapEff:\s+0{16}/);
      expect(await session('starters', 'ip -brief link; id -un')).toMatch(/^lo .*\nlark\n$/);
      await world.asUser('condor_rm -all');
    });
  });
});
