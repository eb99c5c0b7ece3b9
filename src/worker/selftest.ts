import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandError, runCommand } from './commands.ts';

/** One thing that was tried. */
export interface Check {
  name: string;
  ok: boolean;
  detail: string;
  ms: number;
}

const LARK = join(import.meta.dirname, '../cli/main.ts');
const PAYLOAD_BYTES = 1000;
const PACKETS = 200;
/** An IPv4 and a UDP header; IPv6's is 20 longer. */
const HEADER_BYTES = { 4: 28, 6: 48 };
const OUTSIDE = { 4: '192.0.2.254', 6: '2001:db8::fe' } as const;
const HOST = { 4: '192.0.2.1', 6: '2001:db8::1' } as const;

/** Answers every connection with the peer's address as it sees it, and swallows datagrams. */
const SERVER = `
const { createServer } = require('node:net');
for (const host of ['${OUTSIDE[4]}', '${OUTSIDE[6]}']) {
  createServer((socket) => socket.end(socket.remoteAddress)).listen(7000, host);
  require('node:dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4').bind(7001, host);
}
console.log('ready');`;
const ASK = (address: string, port: number) => `
const socket = require('node:net').connect(${port}, '${address}');
socket.setTimeout(4000, () => process.exit(3));
socket.on('error', (error) => { console.error(error.code); process.exit(2); });
socket.on('data', (data) => console.log(String(data)));`;
const SEND = (address: string, family: 4 | 6) => `
const socket = require('node:dgram').createSocket('udp${family}');
let sent = 0;
const next = () => sent++ === ${PACKETS} ? socket.close() : socket.send(Buffer.alloc(${PAYLOAD_BYTES}), 7001, '${address}', next);
next();`;
const LISTEN = (port: number) => `
require('node:net').createServer((socket) => { socket.end('from the job'); setTimeout(() => process.exit(), 100); })
  .listen(${port}, '0.0.0.0', () => console.log('listening'));
setTimeout(() => process.exit(4), 8000);`;

/**
 * The worker from end to end, with real traffic, on a machine of its own: two network namespaces joined by a link, one of
 * them with an agent's rules and jobs, the other the world outside. The real machine's network is not touched.
 */
export async function runSelftest(report: (check: Check) => void): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'lark-selftest-'));
  const [host, outside] = [hold(), hold()];
  const children: ChildProcess[] = [host, outside];
  let isGood = true;
  const check = async (name: string, what: () => Promise<string>): Promise<void> => {
    const begun = performance.now();
    const done = (ok: boolean, detail: string) => {
      isGood &&= ok;
      report({ name, ok, detail, ms: Math.round(performance.now() - begun) });
    };
    try {
      done(true, await what());
    } catch (error) {
      done(
        false,
        error instanceof CommandError ? error.stderr.trim() || error.message : (error as Error).message,
      );
    }
  };
  const inside = (pid: number, ...command: string[]): Promise<string> =>
    runCommand('nsenter', [`--net=/proc/${pid}/ns/net`, '--', ...command], { timeLimitMs: 30_000 });
  const configFile = join(folder, 'worker.yaml');
  const lark = (...args: string[]): Promise<string> =>
    inside(host.pid!, process.execPath, LARK, 'worker', args[0]!, '--config', configFile, ...args.slice(1));
  const exec = (options: string[], ...script: string[]): Promise<string> =>
    lark('exec', '--quiet', ...options, '--', process.execPath, '-e', ...script);
  try {
    await Promise.all([ready(host), ready(outside)]);
    await makeLink(host.pid!, outside.pid!);
    const server = spawn(
      'nsenter',
      [`--net=/proc/${outside.pid}/ns/net`, '--', process.execPath, '-e', SERVER],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    children.push(server);
    await ready(server);
    writeFileSync(
      configFile,
      [
        `shaping: {uplinkMbps: 1000}`,
        `accounting: {classes: [{name: Near, cidrs: [${OUTSIDE[4]}/32, "${OUTSIDE[6]}/128"]}], defaultClass: Far}`,
        `state: {runDirectory: ${folder}/run, dataDirectory: ${folder}/data}`,
        `agent: {socket: ${folder}/run/worker.sock}`,
      ].join('\n'),
    );

    await check('mode none has a loopback and nothing else', async () => {
      const devices = await lark('exec', '--quiet', '--mode', 'none', '--', 'cat', '/proc/net/dev');
      const names = [...devices.matchAll(/^\s*(\S+):/gm)].map(([, name]) => name);
      return expect(names.join(' '), 'lo');
    });
    for (const family of [4, 6] as const) {
      await check(`mode nat reaches outside over IPv${family}, behind the host's address`, async () =>
        expect((await exec([], ASK(OUTSIDE[family], 7000))).trim(), HOST[family]),
      );
      await check(`accounting of ${PACKETS} datagrams over IPv${family} is exact`, async () => {
        await exec([], SEND(OUTSIDE[family], family));
        const bytes = lastUsage(folder).Near?.out.bytes ?? 0;
        return expect(String(bytes), String(PACKETS * (PAYLOAD_BYTES + HEADER_BYTES[family])));
      });
    }
    await check('a job does not reach a service of the host', async () => {
      const open = spawn(
        'nsenter',
        [`--net=/proc/${host.pid}/ns/net`, '--', process.execPath, '-e', LISTEN(7002)],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
      children.push(open);
      await ready(open);
      const answer = await exec([], ASK(HOST[4], 7002)).catch(() => 'refused');
      open.kill();
      return expect(answer, 'refused');
    });
    await check('a port of the host leads to the job that wished it', async () => {
      const job = spawn(
        'nsenter',
        [
          `--net=/proc/${host.pid}/ns/net`,
          '--',
          process.execPath,
          LARK,
          'worker',
          'exec',
          '--config',
          configFile,
        ].concat(['--quiet', '--port', '20123', '--', process.execPath, '-e', LISTEN(20_123)]),
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      children.push(job);
      const ended = new Promise((resolve) => job.once('close', resolve));
      await ready(job);
      const answer = await inside(outside.pid!, process.execPath, '-e', ASK(HOST[4], 20_123));
      await ended;
      return expect(answer.trim(), 'from the job');
    });
    await check('nothing is left', async () => {
      const rules = await inside(host.pid!, 'nft', 'list', 'ruleset');
      const links = await inside(host.pid!, 'ip', '-o', 'link');
      const files = ['leases', 'journal', 'jobs'].flatMap((name) =>
        readdirSync(join(folder, 'run', name)).filter((file) => file !== 'last'),
      );
      const left = [...`${rules}\n${links}`.matchAll(/(?<![0-9a-z])lk[0-9a-z]{8}/g)].map(([name]) => name);
      return expect([...left, ...files].join(' '), '');
    });
  } finally {
    for (const child of children) {
      child.stdin?.end();
      if (child !== host && child !== outside) child.kill();
    }
    rmSync(folder, { recursive: true, force: true });
  }
  return isGood;
}

/** A process in a network namespace of its own, which lives until its standard input ends. */
function hold(): ChildProcess {
  return spawn('unshare', ['--net', 'sh', '-c', 'echo ready; read _'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stdout!.once('data', () => resolve());
    child.once('error', reject);
    child.once('close', (code) => reject(new Error(`a helper of the test ended early (${code})`)));
  });
}

async function makeLink(host: number, outside: number): Promise<void> {
  const ip = (pid: number, lines: string[]) =>
    runCommand('nsenter', [`--net=/proc/${pid}/ns/net`, '--', 'ip', '-batch', '-'], {
      input: `${lines.join('\n')}\n`,
    });
  await ip(host, [
    'link set lo up',
    `link add up0 type veth peer name out0 netns ${outside}`,
    `addr add ${HOST[4]}/24 dev up0`,
    `addr add ${HOST[6]}/64 dev up0 nodad`,
    'link set up0 up',
    `route add default via ${OUTSIDE[4]}`,
    `route add default via ${OUTSIDE[6]}`,
  ]);
  await ip(outside, [
    'link set lo up',
    `addr add ${OUTSIDE[4]}/24 dev out0`,
    `addr add ${OUTSIDE[6]}/64 dev out0 nodad`,
    'link set out0 up',
  ]);
}

function lastUsage(folder: string): Record<string, { out: { bytes: number } } | undefined> {
  const data = join(folder, 'data', 'accounting');
  const file = readdirSync(data).find((name) => name.startsWith('ended-'));
  const line = readFileSync(join(data, file!), 'utf8').trim().split('\n').at(-1);
  const { carried, counted } = JSON.parse(line!) as Record<
    string,
    Record<string, { out: { bytes: number } }>
  >;
  return { ...carried, ...counted };
}

function expect(got: string, wanted: string): string {
  if (got !== wanted) throw new Error(`expected "${wanted}", got "${got}"`);
  return got || 'nothing';
}
