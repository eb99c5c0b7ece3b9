import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { conditions } from '../../../testbed/pool/root-tree.ts';
import { startWorkerPool, type WorkerPool } from './worker-pool.ts';

const able = conditions();
/** Payload of a TCP segment and the frame that carries it. */
const FRAME_SHARE = 1448 / 1514;
/** A machine that is busy with something else measures wrong: once more, then. */
const MEASURED = { retry: 1 };
/** Where nobody listens until all jobs are ready. */
const GATE = '5209';

const intervals = z.array(
  z.object({ sum: z.object({ bytes: z.number(), seconds: z.number(), omitted: z.boolean() }) }),
);
const report = z.object({
  error: z.undefined().optional(),
  intervals,
  server_output_json: z.object({ intervals }),
});

/**
 * Runs of iperf3 in both directions, against the server's port 5201 + N for process N. Where the machine is busy, a server
 * may be so late that iperf3 gives up: once more, then.
 */
const measurement = (server: string): string =>
  ['up', 'down']
    .map((direction) => {
      const options = `-t 9 -O 1 -J --get-server-output ${direction === 'down' ? '-R' : ''}`;
      const run = `iperf3 -c ${server} -p $((5201 + $1)) ${options} >${direction}.$1.json`;
      return `for try in 1 2 3; do ${run} && break; sleep 1; done`;
    })
    .join('\n');

/**
 * Frames of layer 2 in Mb/s that arrived in the receiver's whole seconds: the mean of the middle half of them. In the first and
 * the last the other job may not be there, and where the machine is busy, bytes that are read late are the next second's.
 */
function rate(direction: 'up' | 'down', json: string): number {
  const { intervals, server_output_json } = report.parse(JSON.parse(json));
  const rates = (direction === 'down' ? intervals : server_output_json.intervals)
    .filter(({ sum: { omitted, seconds } }) => !omitted && seconds > 0.9)
    .map(({ sum: { bytes, seconds } }) => (bytes * 8) / 1e6 / seconds / FRAME_SHARE)
    .sort((a, b) => a - b);
  const quarter = Math.floor(rates.length / 4);
  const middle = rates.slice(quarter, rates.length - quarter);
  return middle.reduce((sum, mbps) => sum + mbps, 0) / middle.length;
}

describe.skipIf(!able.ok)(`shares of bandwidth on a pool${able.ok ? '' : ` (skipped: ${able.why})`}`, () => {
  let world: WorkerPool;
  let bridge: string;
  beforeAll(async () => {
    world = await startWorkerPool({ ep1: {}, ep2: {} });
    const net = world.server.split('.').slice(0, 3).join('.');
    bridge = `{ipv4Ranges: [{first: ${net}.200, last: ${net}.220}]}`;
  });
  afterAll(() => world?.stop());

  const lines = (mode: string, host: string) => [
    `+LarkNetwork = "${mode}"`,
    `requirements = Machine == "${host}.lark.test"`,
  ];

  describe.each([
    { mode: 'nat', host: 'ep1', address: /eth0@\S+ +UP +10\.144\./ },
    { mode: 'bridge', host: 'ep2', address: /eth0@\S+ +UP +[\d.]+\.2[012]\d\/24/ },
  ])('mode $mode', ({ mode, host, address }) => {
    it('jobs that ask for 40 of 100 Mb/s run two at a time, and get that', MEASURED, async () => {
      const { submit, asUser, server } = world;
      await world.killAgent(host);
      await world.startAgent(host, { bridge });
      await submit(
        `forty-${mode}`,
        `ip -brief -4 address show dev eth0\n${measurement(server)}\nsleep 4\n`,
        ...lines(mode, host),
        'request_bandwidth = 40',
        `arguments = forty-${mode}.sh $(ProcId)`,
        `output = forty-${mode}.$(ProcId).out`,
        'transfer_output_files = up.$(ProcId).json, down.$(ProcId).json',
        'queue 3',
      );
      await world.ended(`forty-${mode}`);
      const log = await asUser(`cat forty-${mode}.log`);
      const events = [...log.matchAll(/^00([15]) \(\d+\.00(\d)\.000\)/gm)].map(([, kind]) => kind);
      expect(events.slice(0, 3)).toEqual(['1', '1', '5']);
      for (const job of [0, 1, 2]) {
        expect(await asUser(`cat forty-${mode}.${job}.out`)).toMatch(address);
        for (const direction of ['up', 'down'] as const) {
          const mbps = rate(direction, await asUser(`cat ${direction}.${job}.json`));
          expect.soft(mbps, `job ${job}, ${direction}`).toBeGreaterThan(39.6);
          expect.soft(mbps, `job ${job}, ${direction}`).toBeLessThan(40.4);
        }
      }
      const [requested, provisioned, average, peak] = (
        await world.history(
          `forty-${mode}`,
          ...['RequestBANDWIDTH', 'BANDWIDTHProvisioned', 'BANDWIDTHAverageUsage', 'BANDWIDTHPeakUsage'],
        )
      ).map(Number);
      expect([requested, provisioned]).toEqual([40, 40]);
      // Over its whole time; it was silent for some of that.
      expect(average).toBeGreaterThan(10);
      expect(peak).toBeGreaterThan(36);
      // What is counted then waits in a queue of 50 ms, or is dropped there; a rate is that of a second at the least.
      expect(peak).toBeLessThan(43);
      const rows = [...log.matchAll(/BANDWIDTH +: +(\S+) +(\S+) +(\S+)/g)];
      expect(rows.map((row) => row.slice(2))).toEqual([
        ['40', '40'],
        ['40', '40'],
        ['40', '40'],
      ]);
      for (const [, used] of rows) expect(Number(used)).toBeGreaterThan(10);
    });

    it('busy jobs of 70 and 30 share 100 Mb/s as they asked', MEASURED, async () => {
      const { pool, submit, asUser, server } = world;
      await world.killAgent(host);
      // Each may have all of the link: only the other keeps it from more.
      await world.startAgent(host, { bridge, shaping: '{uplinkMbps: 100, ceilingFactor: none}' });
      const gate = `until iperf3 -c ${server} -p ${GATE} -n 1 >/dev/null 2>&1; do sleep 0.2; done`;
      const name = `shares-${mode}`;
      await submit(
        name,
        `echo ready\n${gate}\n${measurement(server)}\n`,
        ...lines(mode, host),
        'request_bandwidth = ProcId == 0 ? 70 : 30',
        `arguments = ${name}.sh $(ProcId)`,
        `output = ${name}.$(ProcId).out`,
        'transfer_output_files = up.$(ProcId).json, down.$(ProcId).json',
        'queue 2',
      );
      await world.said(name, host, /ready\s+ready/);
      await pool.run('ap', ['sh', '-c', `iperf3 -s -D -p ${GATE} -I /run/gate.pid`]);
      await world.ended(name);
      await pool.run('ap', ['sh', '-c', 'kill $(tr -d "\\0" </run/gate.pid)']);
      for (const direction of ['up', 'down'] as const) {
        for (const [job, mbps] of [70, 30].entries()) {
          const got = rate(direction, await asUser(`cat ${direction}.${job}.json`));
          expect.soft(got, `${mbps}, ${direction}`).toBeGreaterThan(mbps * 0.98);
          expect.soft(got, `${mbps}, ${direction}`).toBeLessThan(mbps * 1.02);
        }
      }
    });
  });
});
