/** `inside.ts lark|cni`, run in network and mount namespaces of its own: does what it is told on standard input. */

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { runCommand, useLauncher } from '../../src/worker/commands.ts';
import { limiter } from '../../src/worker/limiter.ts';
import { cniMaker } from './cni.ts';
import { larkMaker } from './lark.ts';
import type { Order, Round } from './machine.ts';

const PARALLEL = 8;
const PARALLEL_NETWORKS = 50;
const SECONDS = 2;
const OUTSIDE = '192.0.2.254';

const folder = mkdtempSync(join(tmpdir(), 'lark-bench-worker-'));
const ip = (lines: string[]) => runCommand('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` });

// Both start their programs in the same way.
await useLauncher();
await runCommand('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
await runCommand('mount', ['-t', 'sysfs', 'sysfs', '/sys']);
// CNI's host-local keeps its leases there.
await runCommand('mount', ['-t', 'tmpfs', 'tmpfs', '/var/lib']);
await ip([
  'link set lo up',
  'netns add outside',
  'link add up0 type veth peer name out0 netns outside',
  'addr add 192.0.2.1/24 dev up0',
  'link set up0 up',
  `route add default via ${OUTSIDE}`,
]);
await runCommand('ip', ['-n', 'outside', '-batch', '-'], {
  input: `link set lo up\naddr add ${OUTSIDE}/24 dev out0\nlink set out0 up\n`,
});
await runCommand('sysctl', ['-qw', 'net.ipv4.ip_forward=1']);
const server = spawn('ip', ['netns', 'exec', 'outside', 'iperf3', '-s'], { stdio: 'ignore' });

try {
  const maker = process.argv[2] === 'lark' ? await larkMaker(folder) : cniMaker();
  const { run } = limiter(PARALLEL);
  let present = 0;
  let made = 0;
  const namespace = async (): Promise<string> => {
    const name = `n${made++}`;
    await ip([`netns add ${name}`]);
    return name;
  };
  // Not deleted at once: the kernel cleans up behind them for long, and whoever is measured next would wait for it.
  let used: string[] = [];
  let path = '';

  const round = async (): Promise<Round> => {
    const name = await namespace();
    const before = processesStarted();
    const upMs = await timed(() => maker.up(name));
    const processes = processesStarted() - before;
    const downMs = await timed(() => maker.down(name));
    used.push(name);
    return { upMs, downMs, processes };
  };
  const parallel = async (): Promise<number> => {
    const names = await Promise.all(Array.from({ length: PARALLEL_NETWORKS }, namespace));
    const ms = await timed(() => Promise.all(names.map((name) => run(() => maker.up(name)))));
    await Promise.all(names.map((name) => run(() => maker.down(name))));
    used.push(...names);
    return ms / 1000;
  };
  const obey = async (order: Order): Promise<unknown> => {
    switch (order.do) {
      case 'grow': {
        const more = Array.from({ length: order.to - present }, () =>
          run(async () => maker.up(await namespace())),
        );
        await Promise.all(more);
        present = order.to;
        return null;
      }
      case 'round':
        return round();
      case 'parallel':
        return parallel();
      case 'openPath':
        path = await namespace();
        await maker.up(path);
        return null;
      case 'setGso':
        await setGso(path, order.isOn);
        return null;
      case 'throughput':
        return throughput(path);
      case 'closePath':
        await maker.down(path);
        used.push(path);
        return null;
      case 'tidy':
        await ip(used.map((name) => `netns del ${name}`));
        used = [];
        return null;
    }
  };
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await obey(JSON.parse(line) as Order)));
  }
} finally {
  const ended = new Promise((resolve) => server.once('close', resolve));
  server.kill('SIGKILL');
  await ended;
  rmSync(folder, { recursive: true, force: true });
}

async function timed(task: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await task();
  return performance.now() - begun;
}

/** Since the machine started; by whomever. */
function processesStarted(): number {
  return Number(/^processes (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))![1]);
}

/** Off: packets of one MTU each, as a network card would bring them. */
async function setGso(name: string, isOn: boolean): Promise<void> {
  const state = isOn ? 'on' : 'off';
  const features = ['gso', state, 'tso', state, 'gro', state];
  await runCommand('ip', ['netns', 'exec', name, 'ethtool', '-K', 'eth0', ...features]);
  await runCommand('ip', ['netns', 'exec', 'outside', 'ethtool', '-K', 'out0', ...features]);
  await runCommand('ethtool', ['-K', 'up0', ...features]);
}

async function throughput(name: string): Promise<number> {
  const report = await runCommand(
    'ip',
    ['netns', 'exec', name, 'iperf3', '-c', OUTSIDE, '-t', String(SECONDS), '-J'],
    { timeLimitMs: 20_000 },
  );
  const { end } = JSON.parse(report) as { end: { sum_received: { bits_per_second: number } } };
  return end.sum_received.bits_per_second / 1e9;
}
