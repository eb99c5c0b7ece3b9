import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandError, runCommand } from './commands.ts';
import {
  ASK,
  BRIDGED,
  GIVES,
  HEADER_BYTES,
  HOST,
  hold,
  LISTEN,
  MOVE,
  makeLink,
  OUTSIDE,
  PACKETS,
  PAYLOAD_BYTES,
  ready,
  SEND,
  SERVER,
  TAKES,
  within,
} from './selftest-world.ts';

/** One thing that was tried. */
export interface Check {
  name: string;
  ok: boolean;
  detail: string;
  ms: number;
}

const LARK = join(import.meta.dirname, '../cli/main.ts');

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
    runCommand('nsenter', [...within(pid), ...command], { timeLimitMs: 30_000 });
  const configFile = join(folder, 'worker.yaml');
  const larkWords = (...args: string[]): string[] => {
    // The options of a command come before what it is to run.
    const options = args.includes('--') ? args.indexOf('--') : args.length;
    const words = [...args.slice(0, options), '--config', configFile, ...args.slice(options)];
    return [process.execPath, LARK, 'worker', ...words];
  };
  const lark = (...args: string[]): Promise<string> => inside(host.pid!, ...larkWords(...args));
  const start = (pid: number, ...command: string[]): ChildProcess => {
    const child = spawn('nsenter', [...within(pid), ...command], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    return child;
  };
  const exec = (options: string[], ...script: string[]): Promise<string> =>
    lark('exec', '--quiet', ...options, '--', process.execPath, '-e', ...script);
  try {
    await Promise.all([ready(host), ready(outside)]);
    await makeLink(host.pid!, outside.pid!);
    const server = start(outside.pid!, process.execPath, '-e', SERVER);
    await ready(server);
    writeFileSync(
      configFile,
      [
        `shaping: {uplinkMbps: 1000}`,
        `accounting: {classes: [{name: Near, cidrs: [${OUTSIDE[4]}/32, "${OUTSIDE[6]}/128"]}], defaultClass: Far}`,
        `state: {runDirectory: ${folder}/run, dataDirectory: ${folder}/data}`,
        `agent: {socket: ${folder}/run/worker.sock}`,
        `bridge: {ipv4Ranges: [{first: ${BRIDGED[4]}, last: ${BRIDGED[4]}}], ipv6Ranges: [{first: "${BRIDGED[6]}", last: "${BRIDGED[6]}"}]}`,
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
      const open = start(host.pid!, process.execPath, '-e', LISTEN(7002));
      await ready(open);
      const answer = await exec([], ASK(HOST[4], 7002, 3000)).catch(() => 'refused');
      open.kill();
      return expect(answer, 'refused');
    });
    await check('a port of the host leads to the job that wished it', async () => {
      const job = start(
        host.pid!,
        ...larkWords('exec', '--quiet', '--port', '20123', '--', process.execPath, '-e', LISTEN(20_123)),
      );
      const ended = new Promise((resolve) => job.once('close', resolve));
      await ready(job);
      const answer = await inside(outside.pid!, process.execPath, '-e', ASK(HOST[4], 20_123));
      await ended;
      return expect(answer.trim(), 'from the job');
    });
    for (const [direction, port] of [
      ['sends', TAKES],
      ['gets', GIVES],
    ] as const) {
      await check(`a job with 8 Mb/s ${direction} a megabyte in no less than a second`, async () => {
        const ms = Number(await exec(['--bandwidth', '8'], MOVE(port)));
        // Less what its first burst holds.
        if (!(ms > 900)) throw new Error(`it took ${ms} ms`);
        return `${ms} ms`;
      });
    }
    await check('the bridge comes up, and reaches the gateway', async () => {
      await lark('bridge', 'up');
      await lark('bridge', 'test');
      return 'all of its tests';
    });
    for (const family of [4, 6] as const) {
      await check(`mode bridge reaches outside over IPv${family}, under an address of its own`, async () =>
        expect((await exec(['--mode', 'bridge'], ASK(OUTSIDE[family], 7000))).trim(), BRIDGED[family]),
      );
      await check(`accounting in mode bridge over IPv${family} is exact`, async () => {
        await exec(['--mode', 'bridge'], SEND(OUTSIDE[family], family));
        const bytes = lastUsage(folder).Near?.out.bytes ?? 0;
        return expect(String(bytes), String(PACKETS * (PAYLOAD_BYTES + HEADER_BYTES[family])));
      });
    }
    await check('the bridge goes, and the machine is reached as before', async () => {
      await lark('bridge', 'down');
      return expect((await inside(host.pid!, process.execPath, '-e', ASK(OUTSIDE[4], 7000))).trim(), HOST[4]);
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
