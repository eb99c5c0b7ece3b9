import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { conditions } from '../../../testbed/pool/root-tree.ts';
import { startWorkerPool, type WorkerPool } from './worker-pool.ts';

const able = conditions();
const PORT = '7001';
const COUNT = 40;
/** Of IP. */
const BYTES = COUNT * (1000 + 28);

/** As long as /run/wait-KIND is there, the site's program of this kind says that it was called, and waits. */
const hook = (kind: string) => `#!/bin/sh
while [ -e /run/wait-${kind} ]; do touch /run/in-${kind}; sleep 0.1; done
`;
const HOOKS = { hooks: '{create: /etc/lark-create, delete: /etc/lark-delete, timeoutSeconds: 120}' };
/**
 * All that runs, but for the first process of the host, what keeps that, and this. They are stopped first, so that none sees
 * another go.
 */
const KILL_ALL = `of_host() {
  for p in /proc/[0-9]*; do
    command=$(tr '\\0' ' ' <$p/cmdline 2>/dev/null)
    case $p:$command in /proc/1:*|*:|*:sleep' 'infinity*|*of_host*|*:tr' '*) continue;; esac
    echo "\${p#/proc/} $command"
  done
}
for round in 1 2 3; do of_host | while read -r pid command; do kill -STOP $pid 2>/dev/null; done; done
of_host
while [ -n "$(of_host)" ]; do
  of_host | while read -r pid command; do kill -9 $pid 2>/dev/null; done
  sleep 0.1
done`;
/** What is left of networks on an execution point. */
const LEFT = `
{ nft list ruleset; ip -o link; ls -A /run/lark/leases /run/lark/journal /run/lark/jobs /var/lib/lark/accounting; } 2>/dev/null |
  grep -oE '(^|[^0-9a-z])lk[0-9a-z]{8}' | grep -oE 'lk[0-9a-z]+' | sort -u
ls -A /run/lark/leases | grep -vE '^(last|name-lk.*)$'
for device in eth0 lark-ifb0; do tc class show dev $device; done | grep 'class htb 4c4b:' | grep -vE '4c4b:fff[ef] ' || true`;

const usage = z.array(z.object({ job: z.string(), outBytes: z.number(), isIncomplete: z.boolean() }));

describe.skipIf(!able.ok)(
  `kill -9 of all of HTCondor and Lark${able.ok ? '' : ` (skipped: ${able.why})`}`,
  () => {
    let world: WorkerPool;
    const ep1 = (script: string) => world.pool.run('ep1', ['sh', '-c', script]);
    const there = (file: string) =>
      expect.poll(() => ep1(`ls ${file} 2>&1 || :`), PATIENCE).toBe(`${file}\n`);
    const PATIENCE = { timeout: 120_000, interval: 500 };
    /** That arrived outside. */
    const arrived = async () => {
      const listed = await world.pool.run('ap', ['nft', 'list', 'table', 'inet', 'outside']);
      return Number(/bytes (\d+)/.exec(listed)![1]);
    };
    const moved = async () =>
      usage.parse(JSON.parse(await ep1('lark worker usage --config /etc/lark-agent.yaml --json')));
    const send = () =>
      `bash -c 'printf -v data %01000d 0; for i in {1..${COUNT}}; do printf %s $data >/dev/udp/${world.server}/${PORT}; done'`;

    beforeAll(async () => {
      world = await startWorkerPool({ ep1: {} });
      for (const kind of ['create', 'delete']) {
        await world.pool.writeFile('ep1', `/etc/lark-${kind}`, hook(kind));
        await ep1(`chmod 755 /etc/lark-${kind}`);
      }
      const count = `add table inet outside
add chain inet outside in { type filter hook input priority 0; }
add rule inet outside in udp dport ${PORT} counter
`;
      await world.pool.run('ap', ['nft', '-f', '-'], { input: count });
      // Or else shadows ask ever more seldom for jobs that are gone.
      await world.pool.configure('ap', 'crash', 'RECONNECT_BACKOFF_CEILING = 2\n');
      await world.startAgent('ep1', HOOKS);
    });
    afterAll(() => world?.stop());

    it.each([
      { what: 'on the execution point', hosts: ['ep1'] },
      { what: 'everywhere', hosts: ['cm', 'ap', 'ep1'] },
    ])(
      '$what, with a job that runs, one in its set-up and one in its tear-down: nothing is left, no byte is missing, jobs run again',
      async ({ hosts }) => {
        const { pool, submit } = world;
        const before = await arrived();
        const known = new Set((await moved()).map(({ job }) => job));
        const shaped = ['request_bandwidth = 20', 'job_lease_duration = 20'];
        await submit('runs', `${send()}\nsleep 1\necho sent\nsleep 600\n`, ...shaped);
        await world.said('runs', 'ep1', /sent/);
        await ep1('touch /run/wait-delete');
        await submit('ending', `${send()}\nsleep 1\n`, ...shaped);
        await there('/run/in-delete');
        await ep1('touch /run/wait-create');
        await submit('starting', 'echo it ran\n', ...shaped);
        await there('/run/in-create');
        const names = (await ep1(LEFT)).split('\n').filter((line) => /^lk\w{8}$/.test(line));
        expect(names).toHaveLength(3);

        for (const host of hosts) {
          const killed = await pool.run(host, ['sh', '-c', KILL_ALL]);
          expect(killed).toContain('condor_master');
          if (host === 'ap') expect(killed).toContain('condor_shadow');
          const ofEp = [
            'condor_startd',
            'condor_starter',
            'worker agent',
            'launcher.pl',
            'lark-job-wrapper',
            'sleep 600',
          ];
          for (const command of host === 'ep1' ? ofEp : []) expect(killed).toContain(command);
        }
        await ep1('rm -f /run/wait-* /run/in-*');
        expect(await ep1(LEFT)).toContain(names[0]);
        await world.startAgent('ep1', HOOKS);
        expect((await ep1(LEFT)).split('\n').filter((line) => line !== '')).toEqual([]);
        const sent = (await moved()).filter(({ job }) => !known.has(job));
        expect(sent.map(({ outBytes, isIncomplete }) => [outBytes, isIncomplete]).sort()).toEqual(
          [0, BYTES, BYTES].map((bytes) => [bytes, false]),
        );
        expect((await arrived()) - before).toBe(2 * BYTES);

        for (const host of hosts) await pool.run(host, ['condor_master']);
        // HTCondor starts again what had not ended, and others.
        await world.ended('starting');
        expect(await world.asUser('cat starting.out')).toBe('it ran\n');
        await submit('after', `${send()}\nip -brief -4 address show dev eth0\n`, ...shaped);
        await world.ended('after');
        expect(await world.asUser('cat after.out')).toMatch(/eth0@\S+ +UP +10\.144\./);
        await world.asUser('condor_rm -all || true');
        await expect.poll(() => ep1(LEFT), PATIENCE).toBe('');
        const all = (await moved()).filter(({ job, isIncomplete }) => !known.has(job) && !isIncomplete);
        expect(all.reduce((sum, { outBytes }) => sum + outBytes, 0)).toBe((await arrived()) - before);
      },
      400_000,
    );
  },
);
