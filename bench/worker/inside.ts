/** `inside.ts lark|cni`, run in network and mount namespaces of its own: measures, and prints JSON. */

import { spawn } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../src/worker/commands.ts';
import { limiter } from '../../src/worker/limiter.ts';
import type { BySize, Measured } from '../worker.ts';
import { cniMaker } from './cni.ts';
import { larkMaker } from './lark.ts';

const SIZES = [0, 100, 500, 1000];
const ROUNDS = 15;
const PARALLEL = 8;
const PACKET_SIZES = [0, 100, 1000];
const SECONDS = 2;
const OUTSIDE = '192.0.2.254';

const which = process.argv[2];
const folder = mkdtempSync(join(tmpdir(), 'lark-bench-worker-'));
let spawned = 0;
subscribe('child_process', () => spawned++);
const say = (line: string): void => void process.stderr.write(`${which}: ${line}\n`);
const ip = (lines: string[]) => runCommand('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` });

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
  const maker = which === 'lark' ? await larkMaker(folder) : cniMaker();
  const namespace = async (name: string): Promise<string> => {
    await ip([`netns add ${name}`]);
    return name;
  };
  const result: Measured = {
    upMs: {},
    downMs: {},
    processesPerUp: 0,
    parallel50Seconds: 0,
    gbps: {},
    gsoGbps: {},
  };
  let present = 0;
  for (const size of SIZES) {
    const { run } = limiter(PARALLEL);
    const more = Array.from({ length: size - present }, (_, i) => `n${present + i}`);
    await Promise.all(more.map((name) => run(async () => maker.up(await namespace(name)))));
    present = size;
    const ups: number[] = [];
    const downs: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const name = await namespace(`t${size}-${round}`);
      const before = spawned;
      ups.push(await timed(() => maker.up(name)));
      result.processesPerUp = spawned - before;
      downs.push(await timed(() => maker.down(name)));
      await ip([`netns del ${name}`]);
    }
    result.upMs[size] = median(ups);
    result.downMs[size] = median(downs);
    say(`${size} present: up ${result.upMs[size]} ms, down ${result.downMs[size]} ms`);
    if (size === 0) {
      const names = await Promise.all(Array.from({ length: 50 }, (_, i) => namespace(`p${i}`)));
      const ms = await timed(() => Promise.all(names.map((name) => run(() => maker.up(name)))));
      result.parallel50Seconds = Math.round(ms) / 1000;
      await Promise.all(names.map((name) => run(() => maker.down(name))));
      say(`50, ${PARALLEL} at a time: ${result.parallel50Seconds} s`);
    }
    if (PACKET_SIZES.includes(size)) {
      const name = await namespace(`path${size}`);
      await maker.up(name);
      result.gsoGbps[size] = await throughput(name);
      await setOffload(name, 'off');
      result.gbps[size] = await throughput(name);
      await setOffload(name, 'on');
      await maker.down(name);
      say(`${size} present: ${result.gbps[size]} Gb/s per MTU, ${result.gsoGbps[size]} Gb/s with GSO`);
    }
  }
  process.stdout.write(JSON.stringify(result));
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

function median(values: number[]): BySize[string] {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round(sorted[sorted.length >> 1]! * 10) / 10;
}

/** Packets of one MTU each, as a network card would bring them. */
async function setOffload(name: string, state: 'on' | 'off'): Promise<void> {
  const features = ['gso', state, 'tso', state, 'gro', state];
  await runCommand('ip', ['netns', 'exec', name, 'ethtool', '-K', 'eth0', ...features]);
  await runCommand('ip', ['netns', 'exec', 'outside', 'ethtool', '-K', 'out0', ...features]);
  await runCommand('ethtool', ['-K', 'up0', ...features]);
}

async function throughput(name: string): Promise<number> {
  const report = await runCommand(
    'ip',
    ['netns', 'exec', name, 'iperf3', '-c', OUTSIDE, '-t', String(SECONDS), '-O', '1', '-J'],
    { timeLimitMs: 20_000 },
  );
  const { end } = JSON.parse(report) as { end: { sum_received: { bits_per_second: number } } };
  return Math.round(end.sum_received.bits_per_second / 1e7) / 100;
}
