import { existsSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { Log } from '../../../src/log.ts';
import { histogramQuantile } from '../../../src/spider/drivers/metrics.ts';
import {
  histogramStatistics,
  interpretRun,
  isoDurationSeconds,
  type ProbeDeps,
  type ProbeRequest,
  type ProbeType,
  probe,
  probeTask,
  testConsent,
} from '../../../src/spider/pscheduler.ts';
import { closedPort, httpClient, listen } from '../../support/loopback.ts';

const SAMPLES = new URL('../../../../shared/samples/perfsonar/', import.meta.url);
const present = existsSync(SAMPLES);
const skipped = present ? '' : ' (skipped: no ../shared/samples/perfsonar)';
const sample = (name: string) => JSON.parse(readFileSync(new URL(name, SAMPLES), 'utf8'));

const UUID = '6e109b71-b6f2-4721-adef-9c47aeca2e30';
const START = Date.parse('2026-07-01T12:00:00Z');

/** What a server answers: a status with its text, or 200 with JSON. */
type Reply = { status: number; text: string } | { json: unknown };
const refusal = (status: number, text: string): Reply => ({ status, text });

interface Script {
  /** The answer to the task; by default its URL. */
  post?: (base: string) => Reply | Promise<Reply>;
  /** The answers to looks at the run, in turn; the last one stays. */
  runs?: Reply[];
  delete?: Reply;
}

/** A pScheduler on loopback that answers by a script and keeps a list of what it was asked. */
async function pscheduler(script: Script) {
  const asked: string[] = [];
  let task: unknown;
  let looks = 0;
  const answer = async (request: IncomingMessage): Promise<Reply> => {
    if (request.method === 'POST') {
      let text = '';
      for await (const chunk of request) text += chunk;
      task = JSON.parse(text);
      return script.post?.(base) ?? { json: `${base}/tasks/${UUID}` };
    }
    if (request.method === 'DELETE') return script.delete ?? refusal(200, 'OK\n');
    const runs = script.runs ?? [];
    return runs[Math.min(looks++, runs.length - 1)] ?? refusal(404, 'Resource not found.');
  };
  const server = createServer(async (request: IncomingMessage, response: ServerResponse) => {
    asked.push(`${request.method} ${request.url}`);
    const reply = await answer(request);
    if ('json' in reply) response.end(`${JSON.stringify(reply.json)}\n`);
    else response.writeHead(reply.status, { 'content-type': 'text/plain' }).end(reply.text);
  });
  const base = `http://127.0.0.1:${await listen(server)}/pscheduler`;
  return { base, asked, task: () => task };
}

/** A clock that only moves when somebody sleeps. */
function world(more: Partial<ProbeDeps> = {}) {
  const http = httpClient({ connectTimeoutSeconds: 10, bodyTimeoutSeconds: 15 });
  let nowMs = START;
  const said: string[] = [];
  const note = (_: object, message: string) => void said.push(message);
  const log: Log = { debug() {}, info: note, warn: note, error: note };
  const deps: ProbeDeps = {
    http,
    now: () => new Date(nowMs),
    sleep: async (milliseconds) => {
      nowMs += milliseconds;
    },
    log,
    ...more,
  };
  return { deps, said, elapsedSeconds: () => (nowMs - START) / 1000 };
}

const request = (base: string, more: Partial<ProbeRequest> = {}): ProbeRequest => ({
  type: 'throughput',
  source: '127.0.0.1',
  pschedulerUrl: base,
  destination: 'b.example.org',
  durationSeconds: 10,
  slipSeconds: 300,
  ...more,
});

const at = (seconds: number) => new Date(START + seconds * 1000).toISOString();
const run = (state: string, more: object = {}): Reply => ({
  json: { state, 'start-time': at(20), 'end-time': at(40), errors: null, result: null, ...more },
});
const THROUGHPUT = {
  succeeded: true,
  summary: { summary: { 'throughput-bits': 9.4e8, 'receiver-throughput-bits': 9.3e8, retransmits: 7 } },
};
const DELETED = `DELETE /pscheduler/tasks/${UUID}`;

describe('a run that ends well', () => {
  it('is followed through its states; nothing is cancelled', async () => {
    const server = await pscheduler({
      runs: [
        refusal(404, 'Resource not found.\n'),
        run('pending'),
        run('on-deck'),
        run('running'),
        run('cleanup'),
        run('overdue'),
        run('finished', { result: THROUGHPUT }),
      ],
    });
    const { deps, said } = world();
    expect(await probe(request(server.base), deps)).toEqual({
      outcome: 'measured',
      measurement: {
        type: 'throughput',
        throughputMbps: 940,
        receiverThroughputMbps: 930,
        retransmits: 7,
      },
      startedAt: new Date(at(20)),
      taskUrl: `${server.base}/tasks/${UUID}`,
    });
    expect(said).toEqual([
      '127.0.0.1 took the task, waiting for its turn',
      'scheduled for 12:00:20 UTC',
      'running, due to end at 12:00:40 UTC',
      'cleanup',
      'overdue',
    ]);
    expect(server.asked).toEqual([
      'POST /pscheduler/tasks',
      ...Array(7).fill(`GET /pscheduler/tasks/${UUID}/runs/first?wait=5`),
    ]);
    expect(server.task()).toEqual(probeTask(request(server.base)));
  });

  it('is not lost to a few answers that fail', async () => {
    const broken = refusal(500, 'Internal server error');
    const server = await pscheduler({
      runs: [broken, broken, run('running'), broken, run('finished', { result: THROUGHPUT })],
    });
    expect(await probe(request(server.base), world().deps)).toMatchObject({ outcome: 'measured' });
  });

  it('is watched without haste: a run that is minutes away costs a look every ten seconds', async () => {
    const far = { 'start-time': at(290), 'end-time': at(310) };
    const server = await pscheduler({
      runs: [...Array(29).fill(run('pending', far)), run('finished', { result: THROUGHPUT })],
    });
    const { deps, elapsedSeconds } = world();
    await probe(request(server.base), deps);
    expect(elapsedSeconds()).toBe(290);
  });
});

it('a result that is merged a moment after the run finished is waited for, but not for long', async () => {
  const early = run('finished');
  const server = await pscheduler({ runs: [early, early, run('finished', { result: THROUGHPUT })] });
  expect(await probe(request(server.base), world().deps)).toMatchObject({ outcome: 'measured' });

  const never = await pscheduler({ runs: [early] });
  const { deps, elapsedSeconds } = world();
  expect(await probe(request(never.base), deps)).toMatchObject({
    failure: 'bad-answer',
    message: expect.stringContaining('finished without a result'),
  });
  expect(elapsedSeconds()).toBeLessThan(30);
});

describe('a run that ends badly', () => {
  it.each([
    ['failed', 'failed', 'the run failed (iperf3: unable to connect)'],
    ['missed', 'missed', 'the run was missed'],
    ['preempted', 'preempted', 'preempted by one of higher priority'],
    ['nonstart', 'nonstart', 'could not be put on the schedule (iperf3: unable to connect)'],
    ['canceled', 'canceled', 'cancelled at the host'],
  ])('%s', async (state, failure, message) => {
    const server = await pscheduler({
      runs: [run('pending'), run(state, { errors: 'iperf3: unable to connect' })],
    });
    const result = await probe(request(server.base), world().deps);
    expect(result).toMatchObject({ outcome: 'failed', failure, message: expect.stringContaining(message) });
    expect(server.asked).not.toContain(DELETED);
  });

  it('finished, but did not succeed', () => {
    const result = { succeeded: false, error: 'no route to host' };
    expect(interpretRun('rtt', { state: 'finished', result })).toEqual({
      status: 'failed',
      failure: 'failed',
      message: 'the run failed (no route to host)',
    });
  });

  it.each([
    ['no run at all', 'throughput', ['x']],
    ['no result', 'throughput', { state: 'finished', result: null }],
    ['no throughput', 'throughput', { state: 'finished', result: { succeeded: true } }],
    [
      'a throughput of zero',
      'throughput',
      {
        state: 'finished',
        result: { succeeded: true, summary: { summary: { 'throughput-bits': 0 } } },
      },
    ],
    ['no packets', 'latency', { state: 'finished', result: { succeeded: true, 'packets-sent': 0 } }],
    [
      'more packets lost than sent',
      'latency',
      {
        state: 'finished',
        result: { succeeded: true, 'packets-sent': 5, 'packets-lost': 6, 'histogram-latency': { 1: 1 } },
      },
    ],
    ['loss in percent', 'rtt', { state: 'finished', result: { succeeded: true, loss: 20, mean: 'PT0.01S' } }],
    ['no mean', 'rtt', { state: 'finished', result: { succeeded: true, loss: 0.2 } }],
  ] as [string, ProbeType, unknown][])('bad answer: %s', (_, type, document) => {
    expect(interpretRun(type, document)).toMatchObject({ status: 'failed', failure: 'bad-answer' });
  });
});

describe('a task that is refused', () => {
  it.each([
    [400, 'Invalid test specification: duration', 'bad-spec', 'does not accept the test'],
    [403, 'Task forbidden by limits:\nHints: requester', 'forbidden', 'limits of 127.0.0.1 do not allow'],
    [404, 'Not Found', 'no-pscheduler', 'runs no pScheduler'],
    [409, 'Resource busy', 'conflict', 'another run at that time: Resource busy'],
    [
      422,
      'Unable to complete request: No tool in common among the participants: a offered iperf3',
      'no-common-tool',
      '127.0.0.1 and b.example.org have no tool in common for throughput',
    ],
    [
      422,
      'Unable to complete request: Limit processor is not initialized',
      'server-error',
      'cannot take tasks now',
    ],
    [
      500,
      'Error getting tools from b.example.org: Host is not running pScheduler',
      'participant-failed',
      'could not get b.example.org to take part',
    ],
    [
      500,
      'Error while tasking b.example.org: Unable to post task to b.example.org: Task forbidden by limits:',
      'forbidden',
      'limits of b.example.org do not allow',
    ],
    [500, 'Task post failed', 'server-error', 'answered 500: Task post failed'],
    [503, '', 'server-error', 'answered 503: it did not say why'],
  ])('%i %s', async (status, text, failure, message) => {
    const server = await pscheduler({ post: () => refusal(status, text) });
    const result = await probe(request(server.base), world().deps);
    expect(result).toMatchObject({ outcome: 'failed', failure, message: expect.stringContaining(message) });
    expect((result as { message: string }).message).not.toMatch(/\n/);
    expect(server.asked).toEqual(['POST /pscheduler/tasks']);
  });

  it('unreachable: nobody listens', async () => {
    const base = `http://127.0.0.1:${await closedPort()}/pscheduler`;
    expect(await probe(request(base), world().deps)).toMatchObject({ failure: 'unreachable' });
  });

  it.each([
    ['no text', { json: { href: 'x' } }],
    ['no task', { json: 'https://127.0.0.1/pscheduler/' }],
    ['HTML', { status: 200, text: '<html><title>Welcome</title></html>' }],
  ] as [string, Reply][])('a task URL that is none: %s', async (_, reply) => {
    const server = await pscheduler({ post: () => reply });
    expect(await probe(request(server.base), world().deps)).toMatchObject({ failure: 'bad-answer' });
    expect(server.asked).toEqual(['POST /pscheduler/tasks']);
  });

  it('a task URL at another host: nobody is asked there, and the task is cancelled where it was given', async () => {
    const elsewhere = await pscheduler({});
    const server = await pscheduler({
      post: () => ({ json: `${elsewhere.base.replace('127.0.0.1', 'localhost')}/tasks/${UUID}` }),
    });
    expect(await probe(request(server.base), world().deps)).toMatchObject({
      failure: 'bad-answer',
      message: expect.stringContaining('at another host'),
    });
    expect(elsewhere.asked).toEqual([]);
    expect(server.asked).toEqual(['POST /pscheduler/tasks', DELETED]);
  });
});

describe('a task that is not left behind', () => {
  it('out of time before the run has its turn', async () => {
    const server = await pscheduler({});
    const { deps, elapsedSeconds } = world();
    expect(await probe(request(server.base, { slipSeconds: 60 }), deps)).toMatchObject({
      failure: 'not-scheduled',
      message: expect.stringContaining('within 190 s'),
    });
    expect(elapsedSeconds()).toBe(190);
    expect(server.asked.at(-1)).toBe(DELETED);
  });

  it('out of time while it runs', async () => {
    const server = await pscheduler({ runs: [run('running')] });
    expect(await probe(request(server.base), world().deps)).toMatchObject({
      failure: 'timeout',
      message: expect.stringContaining('still running after 430 s'),
    });
    expect(server.asked.at(-1)).toBe(DELETED);
  });

  it('lost sight of', async () => {
    const server = await pscheduler({ runs: [run('running'), refusal(500, 'database down')] });
    expect(await probe(request(server.base), world().deps)).toMatchObject({
      failure: 'unreachable',
      message: expect.stringContaining('database down'),
    });
    expect(server.asked.filter((line) => line.startsWith('GET'))).toHaveLength(6);
    expect(server.asked.at(-1)).toBe(DELETED);
  });

  it('aborted while it waits', async () => {
    const server = await pscheduler({ runs: [run('pending')] });
    const stop = new AbortController();
    const reason = new Error('enough');
    const { deps } = world({
      signal: stop.signal,
      sleep: async () => {
        stop.abort(reason);
        throw new Error('the sleep of a timer that was aborted');
      },
    });
    await expect(probe(request(server.base), deps)).rejects.toBe(reason);
    expect(server.asked.at(-1)).toBe(DELETED);
  });

  it('aborted while the host takes it: the answer is waited for, to know what to cancel', async () => {
    const stop = new AbortController();
    const reason = new Error('enough');
    const server = await pscheduler({
      post: (base) => {
        stop.abort(reason);
        return { json: `${base}/tasks/${UUID}` };
      },
    });
    await expect(probe(request(server.base), world({ signal: stop.signal }).deps)).rejects.toBe(reason);
    expect(server.asked).toEqual(['POST /pscheduler/tasks', DELETED]);
  });

  it('a task that cannot be cancelled is said', async () => {
    const server = await pscheduler({ delete: refusal(403, 'Not allowed.') });
    const { deps, said } = world();
    await probe(request(server.base), deps);
    expect(said.at(-1)).toMatch(/^the task could not be cancelled: .*Not allowed/);
  });
});

describe('what is measured', () => {
  const measured = (type: ProbeType, result: object) => {
    const reading = interpretRun(type, { state: 'finished', result: { succeeded: true, ...result } });
    return reading.status === 'measured' ? reading.measurement : reading;
  };

  it('throughput without what the tool does not tell', () => {
    expect(
      measured('throughput', { summary: { summary: { 'throughput-bits': 1e9, retransmits: null } } }),
    ).toEqual({ type: 'throughput', throughputMbps: 1000 });
  });

  it('latency from the histogram; loss from the counts', () => {
    const result = {
      'packets-sent': 100,
      'packets-lost': 4,
      'packets-received': 96,
      'max-clock-error': 0.5,
      'histogram-latency': { '12.10': 48, '11.9': 40, '30.00': 8 },
    };
    expect(measured('latency', result)).toEqual({
      type: 'latency',
      lossRate: 0.04,
      packetsSent: 100,
      delayMs: { min: 11.9, median: 12.1, p95: 30, max: 30 },
      maxClockErrorMs: 0.5,
    });
  });

  it('latency that the clocks put in doubt', () => {
    const result = { 'packets-sent': 1, 'packets-lost': 0, 'histogram-latency': { '5.00': 1 } };
    expect(measured('latency', { ...result, 'max-clock-error': 9 })).toMatchObject({
      doubt: expect.stringContaining('9 ms apart'),
    });
  });

  it('100 % loss is a result that has no delays', () => {
    expect(
      measured('latency', { 'packets-sent': 100, 'packets-lost': 100, 'histogram-latency': {} }),
    ).toEqual({ type: 'latency', lossRate: 1, packetsSent: 100 });
    expect(measured('rtt', { sent: 10, lost: 10, loss: 1, roundtrips: [] })).toEqual({
      type: 'rtt',
      lossRate: 1,
      packetsSent: 10,
    });
  });

  test('durations of ISO 8601', () => {
    expect(['PT0.000976S', 'P0D', 'P1DT1H2M3.5S', 'PT2M'].map(isoDurationSeconds)).toEqual([
      0.000976, 0, 90_123.5, 120,
    ]);
    expect(['P', 'PT', 'P1DT', '1.5', '', 'PT-1S'].map(isoDurationSeconds)).toEqual(Array(6).fill(undefined));
  });

  test('law: histogram statistics are in order, and the median is that of the archives', () => {
    const histogram = fc.dictionary(
      fc.integer({ min: -500, max: 5000 }).map((hundredths) => (hundredths / 100).toFixed(2)),
      fc.integer({ min: 0, max: 50 }),
    );
    fc.assert(
      fc.property(histogram, (bins) => {
        const found = histogramStatistics(bins);
        expect(found?.median ?? null).toBe(histogramQuantile(bins, 0.5));
        if (!found) return;
        const { min, median, p95, max } = found;
        expect([min, median, p95, max]).toEqual([min, median, p95, max].toSorted((a, b) => a - b));
      }),
    );
  });
});

test('access policies: a word that is not known is a no', () => {
  expect(
    ['public', ' Research-Education ', 'private', 'limited', 'ask Bob', '', undefined].map(testConsent),
  ).toEqual(['permitted', 'permitted', 'forbidden', 'forbidden', 'forbidden', 'unstated', 'unstated']);
});

describe('the task', () => {
  const spec = (more: Partial<ProbeRequest>) => {
    const { pschedulerUrl: _, ...usual } = request('');
    return (probeTask({ ...usual, source: 'a.example.org', ...more }) as { test: { spec: object } }).test
      .spec;
  };

  it('says how long in the words of each test', () => {
    const ends = { schema: 1, source: 'a.example.org', dest: 'b.example.org' };
    expect(spec({ type: 'throughput' })).toEqual({ ...ends, duration: 'PT10S' });
    expect(spec({ type: 'latency' })).toEqual({ ...ends, 'packet-count': 100, 'packet-interval': 0.1 });
    expect(spec({ type: 'rtt' })).toEqual({ ...ends, count: 10, interval: 'PT1S' });
  });

  it('names the node where its pScheduler is on another port', () => {
    expect(spec({ pschedulerUrl: 'https://a.example.org:8443/pscheduler/' })).toMatchObject({
      'source-node': 'a.example.org:8443',
    });
    expect(spec({ source: '2001:db8::1' })).not.toHaveProperty('source-node');
  });
});

describe.skipIf(!present)(`captured payloads${skipped}`, () => {
  it('the task of May 2018, from POST to result', async () => {
    const server = await pscheduler({
      post: () => ({ json: sample('pscheduler-task-post-response.json') }),
      runs: ['pending-2018', 'running-2018', 'finished-throughput-2018'].map((name) => ({
        json: sample(`pscheduler-run-${name}.json`),
      })),
    });
    const { deps, said } = world();
    const result = await probe(request(server.base, { sourceAliases: ['psmall-b-3.basnet.by'] }), deps);
    expect(result).toEqual({
      outcome: 'measured',
      measurement: { type: 'throughput', throughputMbps: 907.6863786575366, retransmits: 0 },
      startedAt: new Date('2018-05-24T06:55:09Z'),
      taskUrl: `${server.base}/tasks/${UUID}`,
    });
    expect(said.slice(1)).toEqual(['scheduled for 06:55:09 UTC', 'running, due to end at 06:55:48 UTC']);
  });

  /** An archiver's document holds the run and its result side by side; the run's own page has one in the other. */
  const runOf = (name: string) => {
    const document = sample(name);
    return { ...document.run, result: document.result };
  };

  it('runs of July 2026', () => {
    expect(interpretRun('throughput', runOf('archiver-throughput-iperf3-2026.json'))).toMatchObject({
      measurement: {
        throughputMbps: 942.617924239199,
        receiverThroughputMbps: 939.753602196996,
        retransmits: 7,
      },
    });
    expect(interpretRun('rtt', runOf('archiver-rtt-twping-2026.json'))).toMatchObject({
      measurement: { lossRate: 0, packetsSent: 10, rttMs: { min: 0.725, mean: 0.976, max: 1.301 } },
    });
    expect(interpretRun('latency', runOf('archiver-latency-negative-owd-2026.json'))).toMatchObject({
      measurement: {
        lossRate: 0,
        packetsSent: 100,
        maxClockErrorMs: 27.47,
        doubt: expect.stringContaining('clocks of the two hosts disagree'),
      },
    });
  });
});
