import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { measurementText } from '../../../src/cli/probe.ts';
import { openStore } from '../../../src/store/store.ts';
import { lark } from '../../support/lark.ts';
import { listen } from '../../support/loopback.ts';

test('a measurement in one line', () => {
  expect(
    [
      { type: 'throughput', throughputMbps: 907.6863, retransmits: 0 } as const,
      {
        type: 'latency',
        lossRate: 0.04,
        packetsSent: 100,
        delayMs: { min: 1, median: 2, p95: 3, max: 4 },
      } as const,
      { type: 'latency', lossRate: 1, packetsSent: 100 } as const,
      { type: 'rtt', lossRate: 0, rttMs: { mean: 0.976 } } as const,
    ].map(measurementText),
  ).toEqual([
    '907.7 Mb/s, 0 retransmits',
    'one-way delay 2 ms (1 to 4), loss 4 %',
    'no packet arrived, loss 100 %',
    'round trip 0.976 ms, loss 0 %',
  ]);
});

describe('lark probe', () => {
  const UUID = '00000000-0000-4000-8000-000000000001';
  let folder: string;
  let config: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lark-probe-'));
    config = join(folder, 'lark.yaml');
    await writeFile(config, `store: { directory: ${join(folder, 'store')} }\n`);
    const store = await openStore({ directory: join(folder, 'store') });
    const known = {
      clientUuids: [],
      clonedUuids: [],
      communities: [],
      domains: [],
      roles: [],
      sources: [],
      names: [],
      pschedulerUrls: [],
    };
    const hosts = [
      { ...known, key: 'a', addresses: ['127.0.0.1'], accessPolicy: 'public' },
      { ...known, key: 'b', addresses: ['127.0.0.2'], accessPolicy: 'private' },
    ];
    await store.saveDiscovery({ hosts, archives: [], sources: [], expected: [] }, new Date());
    await store.close();
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  /** A pScheduler whose runs are in the given state. */
  async function pscheduler(run: object, onAsked: (line: string) => void = () => {}) {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      const line = `${request.method} ${request.url}`;
      asked.push(line);
      onAsked(line);
      const answer = request.method === 'GET' ? run : `${base}/tasks/${UUID}`;
      response.end(JSON.stringify(answer));
    });
    const base = `http://127.0.0.1:${await listen(server)}/pscheduler`;
    return { base, asked };
  }
  const FINISHED = { state: 'finished', result: { succeeded: true, loss: 0, mean: 'PT0.005S' } };

  it('does not test a host whose policy forbids it, unless it is told to', async () => {
    const { base, asked } = await pscheduler(FINISHED);
    const args = ['--config', config, 'probe', base, '127.0.0.2', '--type', 'rtt', '--json'];
    const refused = await lark(args);
    expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
    expect(refused.stderr).toContain('127.0.0.2 is registered with the access policy "private"');
    expect(asked).toEqual([]);

    const forced = await lark([...args, '--force-policy']);
    expect(forced.exitCode, forced.stderr).toBe(0);
    expect(JSON.parse(forced.stdout)).toMatchObject({
      source: '127.0.0.1',
      destination: '127.0.0.2',
      outcome: 'measured',
      measurement: { type: 'rtt', rttMs: { mean: 5 }, lossRate: 0 },
    });
  });

  it('exits 1 with one sentence where nothing was measured', async () => {
    const { base } = await pscheduler({ state: 'preempted' });
    const { exitCode, stderr } = await lark(['--config', config, 'probe', base, '127.0.0.3']);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('lark: 127.0.0.1: the run was preempted by one of higher priority');
  });

  it('cancels the task on Ctrl-C', async () => {
    const running = Promise.withResolvers<void>();
    const { base, asked } = await pscheduler({ state: 'running' }, (line) => {
      if (line.startsWith('GET')) running.resolve();
    });
    const command = lark(['--config', config, 'probe', base, '127.0.0.3']);
    await Promise.race([running.promise, command]);
    command.kill('SIGINT');
    const { exitCode, stderr } = await command;
    expect(exitCode, stderr).toBe(130);
    expect(asked.at(-1)).toBe(`DELETE /pscheduler/tasks/${UUID}`);
  });
});
