import { z } from 'zod';
import { hostOf, identifier } from '../address.ts';
import type { Log } from '../log.ts';
import { numberOf } from './drivers/numbers.ts';
import { type Http, HttpFailure, parseJson } from './http.ts';

/**
 * A test on demand: the source host's pScheduler is given a task of one run, the run is followed to its end, its
 * result read. Read from pScheduler's server (`tasks.py`, `runs.py`, `run_state.sql`) and the test plug-ins' schemas.
 */
export const PROBE_TYPES = ['throughput', 'latency', 'rtt'] as const;
export type ProbeType = (typeof PROBE_TYPES)[number];

export interface ProbeRequest {
  type: ProbeType;
  /** Name or address of the host that sends. Its pScheduler is asked. */
  source: string;
  /** Other names and addresses of the source, under which it may speak of itself. */
  sourceAliases?: readonly string[];
  /** Default `https://SOURCE/pscheduler`. */
  pschedulerUrl?: string;
  /** Name or address of the host that receives; for throughput and latency it needs a pScheduler of its own. */
  destination: string;
  /** Whole seconds. Latency sends 10 packets a second, rtt one. */
  durationSeconds: number;
  /** How long the run may wait for its turn: throughput runs alone on both hosts. */
  slipSeconds: number;
}

export interface ProbeDeps {
  http: Pick<Http, 'getJson' | 'send'>;
  now: () => Date;
  /** Waits; may reject when the signal aborts. */
  sleep: (milliseconds: number, signal?: AbortSignal) => Promise<unknown>;
  /** Progress as `info`, one sentence each; what should not be as `warn`. */
  log: Log;
  signal?: AbortSignal;
}

export type ProbeMeasurement =
  | {
      type: 'throughput';
      /** What the sender sent; Mb/s. */
      throughputMbps: number;
      /** What the receiver got, where the tool says. */
      receiverThroughputMbps?: number;
      /** TCP segments. */
      retransmits?: number;
    }
  | {
      type: 'latency';
      lossRate: number;
      packetsSent: number;
      /** One way; absent where every packet was lost. */
      delayMs?: { min: number; median: number; p95: number; max: number };
      /** pScheduler's own bound on how far the clocks are apart; 0 may mean that it has none. */
      maxClockErrorMs?: number;
      /** Why the delays are not to be trusted: one sentence. */
      doubt?: string;
    }
  | {
      type: 'rtt';
      lossRate: number;
      packetsSent?: number;
      /** Absent where every packet was lost. */
      rttMs?: { min?: number; mean: number; max?: number };
    };

/** Why a probe brought no measurement. */
export const PROBE_FAILURES = [
  // No task was made:
  'unreachable',
  'no-pscheduler',
  'bad-spec',
  'forbidden',
  'conflict',
  'no-common-tool',
  'participant-failed',
  'server-error',
  'bad-answer',
  // The task's run:
  'not-scheduled',
  'timeout',
  'failed',
  'missed',
  'preempted',
  'nonstart',
  'canceled',
] as const;
export type ProbeFailure = (typeof PROBE_FAILURES)[number];

export type ProbeResult =
  | {
      outcome: 'measured';
      measurement: ProbeMeasurement;
      /** When the run began, by the source host's clock. */
      startedAt: Date;
      taskUrl: string;
    }
  | { outcome: 'failed'; failure: ProbeFailure; message: string; taskUrl?: string };

export type TestConsent = 'permitted' | 'unstated' | 'forbidden';

/**
 * What a host's `pshost-access-policy` says to tests by others. `probe` does not ask: its caller does. Most hosts
 * register none (16 of 19 in the captured dumps): then nobody objects, and the host's own limits decide. A word that
 * is not known is taken as a no.
 */
export function testConsent(accessPolicy: string | null | undefined): TestConsent {
  const policy = accessPolicy?.trim() ?? '';
  if (policy === '') return 'unstated';
  return /^(public|research-education)$/i.test(policy) ? 'permitted' : 'forbidden';
}

/** Beyond slip and duration: scheduling, starting the tool, cleaning up and merging the result. */
const OVERHEAD_SECONDS = 120;
/** Looks at the run that fail one after another before the probe is given up. */
const MAX_FAILED_LOOKS = 5;

/**
 * Runs one test and waits for its result, at most for slip, duration and two minutes more. A task whose run has not
 * come to an end is cancelled, whatever the reason. Whatever its URL says, it is looked for where it was given.
 * A probe that brings nothing is a result too, with the reason.
 * @throws the signal's reason when it aborts, after the task was cancelled
 */
export async function probe(request: ProbeRequest, deps: ProbeDeps): Promise<ProbeResult> {
  const { http, now, log, signal } = deps;
  signal?.throwIfAborted();
  const base = pschedulerUrl(request);
  const host = hostOf(base);
  const seconds = request.slipSeconds + request.durationSeconds + OVERHEAD_SECONDS;
  const limit = { at: new Date(now().getTime() + seconds * 1000), seconds };

  let taskUrl: string;
  try {
    // Not under the signal: only the answer says what there is to cancel.
    const answer = parseJson(await http.send('POST', `${base}/tasks`, probeTask(request)), `${base}/tasks`);
    const uuid = taskUuid(answer);
    if (uuid === undefined)
      return failed('bad-answer', `${host} answered no task URL but ${start(JSON.stringify(answer))}`);
    taskUrl = `${base}/tasks/${uuid}`;
    if (!isAtHome(String(answer), base, request.sourceAliases)) {
      await cancel(taskUrl, deps);
      return failed('bad-answer', `${host} gave a task URL at another host: ${answer}`);
    }
  } catch (error) {
    if (!(error instanceof HttpFailure)) throw error;
    return postFailure(error, request, host);
  }

  log.info({ taskUrl }, `${host} took the task, waiting for its turn`);
  let isOver = false;
  try {
    const end = await follow(taskUrl, request, limit, deps);
    isOver = end.isOver;
    return { ...end.result, taskUrl };
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    if (!isOver) await cancel(taskUrl, deps);
  }
}

/** Looks at the task's run until its end; `isOver` says that there is nothing left to cancel. */
async function follow(
  taskUrl: string,
  { type, slipSeconds }: ProbeRequest,
  limit: { at: Date; seconds: number },
  deps: ProbeDeps,
): Promise<{ isOver: boolean; result: ProbeResult }> {
  const { now, sleep, log, signal } = deps;
  const host = hostOf(taskUrl);
  let failedLooks = 0;
  let waiting: WaitingRun | undefined;
  for (;;) {
    const reading = await look(taskUrl, type, deps);
    if (reading?.status === 'measured') {
      const { measurement, startAt = now() } = reading;
      return { isOver: true, result: { outcome: 'measured', measurement, startedAt: startAt, taskUrl } };
    }
    if (reading?.status === 'failed') {
      const mayPass = reading.failure === 'unreachable' || reading.failure === 'bad-answer';
      failedLooks += 1;
      if (!mayPass || failedLooks === MAX_FAILED_LOOKS)
        return { isOver: !mayPass, result: failed(reading.failure, `${host}: ${reading.message}`) };
    } else {
      failedLooks = 0;
      if (reading && (!waiting || progress(reading) !== progress(waiting))) log.info({}, progress(reading));
      waiting = reading ?? waiting;
    }
    const leftMs = limit.at.getTime() - now().getTime();
    if (leftMs <= 0) return { isOver: false, result: outOfTime(host, waiting, slipSeconds, limit.seconds) };
    await sleep(Math.min(untilNextLookMs(reading, now()), leftMs), signal);
  }
}

/** Undefined: the run is not on the schedule yet. */
async function look(
  taskUrl: string,
  type: ProbeType,
  { http, signal }: ProbeDeps,
): Promise<RunReading | undefined> {
  try {
    // The server holds the answer back until there is a run, for up to twice the time asked for.
    return interpretRun(type, await http.getJson(`${taskUrl}/runs/first?wait=5`, signal));
  } catch (error) {
    if (!(error instanceof HttpFailure)) throw error;
    if (error.status === 404) return undefined;
    return {
      status: 'failed',
      failure: 'unreachable',
      message: `the run was lost sight of: ${error.message}`,
    };
  }
}

function outOfTime(
  host: string,
  waiting: WaitingRun | undefined,
  slipSeconds: number,
  limitSeconds: number,
): ProbeResult {
  if (waiting)
    return failed('timeout', `${host}: the run was still ${waiting.state} after ${limitSeconds} s`);
  return failed(
    'not-scheduled',
    `${host} put no run on its schedule within ${limitSeconds} s, though it might start up to ${slipSeconds} s late`,
  );
}

const failed = (failure: ProbeFailure, message: string): Extract<ProbeResult, { outcome: 'failed' }> => ({
  outcome: 'failed',
  failure,
  message,
});

/** Not under the signal either; the time limit of one request holds. */
async function cancel(taskUrl: string, { http, log }: ProbeDeps): Promise<void> {
  try {
    await http.send('DELETE', taskUrl);
    log.info({ taskUrl }, 'cancelled the task');
  } catch (error) {
    if (!(error instanceof HttpFailure)) throw error;
    // Gone already.
    if (error.status !== 404) log.warn({ taskUrl }, `the task could not be cancelled: ${error.message}`);
  }
}

/** Without a final slash. */
export function pschedulerUrl(request: Pick<ProbeRequest, 'source' | 'pschedulerUrl'>): string {
  const host = request.source.includes(':') ? `[${request.source}]` : request.source;
  return (request.pschedulerUrl ?? `https://${host}/pscheduler`).replace(/\/+$/, '');
}

/** The body of `POST /pscheduler/tasks`. Schema 1 of task and test is read by every pScheduler. */
export function probeTask(request: ProbeRequest): object {
  const { type, source, destination, durationSeconds, slipSeconds } = request;
  const { host, port } = new URL(pschedulerUrl(request));
  const spec = {
    schema: 1,
    source,
    // pScheduler asks each participant by its node's name; on another port it would not find itself.
    ...(port !== '' && { 'source-node': host }),
    dest: destination,
  };
  return {
    schema: 1,
    schedule: { slip: `PT${slipSeconds}S` },
    test: { type, spec: { ...spec, ...SPEC_OF_TYPE[type](durationSeconds) } },
    // For the operators of the two hosts, who see it beside the task.
    reference: { application: 'lark probe' },
  };
}

const SPEC_OF_TYPE: Record<ProbeType, (durationSeconds: number) => object> = {
  throughput: (durationSeconds) => ({ duration: `PT${durationSeconds}S` }),
  latency: (durationSeconds) => ({ 'packet-count': durationSeconds * 10, 'packet-interval': 0.1 }),
  rtt: (durationSeconds) => ({ count: durationSeconds, interval: 'PT1S' }),
};

/** The UUID at the end of a task URL. */
function taskUuid(answer: unknown): string | undefined {
  if (typeof answer !== 'string') return undefined;
  return /\/tasks\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/?$/i.exec(answer)?.[1]?.toLowerCase();
}

/** Whether the task URL names the host that was asked, by whichever of its names. */
function isAtHome(url: string, base: string, aliases: readonly string[] = []): boolean {
  if (!URL.canParse(url)) return false;
  const canonical = (host: string) => identifier(host)?.text ?? host.toLowerCase();
  return [hostOf(base), ...aliases].map(canonical).includes(canonical(hostOf(url)));
}

/** What pScheduler's refusal of a task means. Its error bodies are plain text. */
function postFailure(error: HttpFailure, request: ProbeRequest, host: string): ProbeResult {
  const said = error.said || 'it did not say why';
  const { destination } = request;
  switch (error.status) {
    case undefined:
      if (error.fault === 'not-json') return failed('bad-answer', `no task URL came: ${error.message}`);
      return failed(
        'unreachable',
        `the pScheduler of ${host} could not be asked: ${error.message}${inDoubt(error)}`,
      );
    case 400:
      return failed('bad-spec', `${host} does not accept the test as it was put: ${said}`);
    case 401:
    case 403:
      return failed('forbidden', `the limits of ${host} do not allow this test: ${said}`);
    case 404:
    case 405:
      return failed('no-pscheduler', `${host} runs no pScheduler at ${pschedulerUrl(request)}`);
    case 409:
      return failed('conflict', `${host} has another run at that time: ${said}`);
    case 422:
      return /no tool in common/i.test(said)
        ? failed(
            'no-common-tool',
            `${host} and ${destination} have no tool in common for ${request.type}: ${said}`,
          )
        : failed('server-error', `the pScheduler of ${host} cannot take tasks now: ${said}`);
    default:
      // The lead asks the other participant for its tools, and then hands it the task: both fail as 500 at the lead.
      if (/forbidden by limits/i.test(said))
        return failed('forbidden', `the limits of ${destination} do not allow this test: ${said}`);
      if (/getting tools from|while tasking/i.test(said))
        return failed('participant-failed', `${host} could not get ${destination} to take part: ${said}`);
      return failed('server-error', `the pScheduler of ${host} answered ${error.status}: ${said}`);
  }
}

/** Where a request was lost on its way, the host may have taken it. */
function inDoubt({ fault }: HttpFailure): string {
  return fault === 'timeout' || fault === 'truncated' ? '; it may have taken the task all the same' : '';
}

const start = (text: string) => (text.length > 120 ? `${text.slice(0, 120)}…` : text.trim());

/** A run that has not come to its end, with its times by the host's clock. */
interface WaitingRun {
  status: 'waiting';
  state: string;
  startAt?: Date;
  endAt?: Date;
}

/** What the document of a run says. */
export type RunReading =
  | WaitingRun
  | { status: 'measured'; measurement: ProbeMeasurement; startAt?: Date }
  | { status: 'failed'; failure: ProbeFailure; message: string };

const time = z
  .string()
  .nullish()
  .transform((text) => {
    const at = new Date(text ?? Number.NaN);
    return Number.isNaN(at.getTime()) ? undefined : at;
  });
const words = z
  .unknown()
  .optional()
  .transform((value) => (typeof value === 'string' && value.trim() !== '' ? start(value) : undefined));

const runSchema = z.object({
  state: z.string(),
  'start-time': time,
  'end-time': time,
  errors: words,
  result: z.unknown().optional(),
  'result-merged': z.unknown().optional(),
});
const outcomeSchema = z.object({ succeeded: z.boolean(), error: words });

/** States in which a run ends without a result, and what they mean. */
const LOST: Partial<Record<string, [ProbeFailure, string]>> = {
  failed: ['failed', 'the run failed'],
  missed: ['missed', 'the run was missed: it did not start when its time had come'],
  preempted: ['preempted', 'the run was preempted by one of higher priority'],
  nonstart: ['nonstart', 'the run could not be put on the schedule'],
  canceled: ['canceled', 'the run was cancelled at the host'],
};

/**
 * Reads the answer of `GET {task}/runs/first`. States that are not known wait, as do `pending`, `on-deck`,
 * `running`, `cleanup` and `overdue`: the last means that nobody knows yet how the run ended.
 */
export function interpretRun(type: ProbeType, document: unknown): RunReading {
  const parsed = runSchema.safeParse(document);
  if (!parsed.success) return bad('the answer is no run: it has no state');
  const run = parsed.data;
  const startAt = run['start-time'];
  const outcome = outcomeSchema.safeParse(run.result ?? run['result-merged']);
  const lost = LOST[run.state];
  if (lost) {
    const [failure, meaning] = lost;
    const why = run.errors ?? outcome.data?.error;
    return { status: 'failed', failure, message: why === undefined ? meaning : `${meaning} (${why})` };
  }
  if (run.state !== 'finished')
    return {
      status: 'waiting',
      state: run.state,
      ...(startAt && { startAt }),
      ...(run['end-time'] && { endAt: run['end-time'] }),
    };
  if (!outcome.success) return bad('the run finished without a result');
  if (!outcome.data.succeeded) {
    const why = outcome.data.error ?? run.errors ?? 'it did not say why';
    return { status: 'failed', failure: 'failed', message: `the run failed (${why})` };
  }
  const measurement = MEASUREMENT_OF_TYPE[type](run.result ?? run['result-merged']);
  if (typeof measurement === 'string') return bad(measurement);
  return { status: 'measured', measurement, ...(startAt && { startAt }) };
}

const bad = (message: string): RunReading => ({ status: 'failed', failure: 'bad-answer', message });

const number = z.unknown().optional().transform(numberOf);
const duration = z
  .unknown()
  .optional()
  .transform((value) => (typeof value === 'string' ? isoDurationSeconds(value) : undefined));

/** A measurement, or what is wrong with the result. */
const MEASUREMENT_OF_TYPE: Record<ProbeType, (result: unknown) => ProbeMeasurement | string> = {
  throughput: throughputOf,
  latency: latencyOf,
  rtt: rttOf,
};

const throughputSchema = z.object({
  summary: z.object({
    summary: z.object({
      'throughput-bits': number,
      'receiver-throughput-bits': number,
      retransmits: number,
    }),
  }),
});

function throughputOf(result: unknown): ProbeMeasurement | string {
  const summary = throughputSchema.safeParse(result).data?.summary.summary;
  const bitsPerSecond = summary?.['throughput-bits'] ?? null;
  if (!summary || bitsPerSecond === null || bitsPerSecond < 0) return 'the result holds no throughput';
  if (bitsPerSecond === 0) return 'the result is a throughput of 0: nothing was measured';
  const received = summary['receiver-throughput-bits'];
  return {
    type: 'throughput',
    throughputMbps: bitsPerSecond / 1e6,
    ...(received !== null && { receiverThroughputMbps: received / 1e6 }),
    ...(summary.retransmits !== null && { retransmits: summary.retransmits }),
  };
}

const latencySchema = z.object({
  'packets-sent': number,
  'packets-lost': number,
  'packets-received': number,
  'max-clock-error': number,
  'histogram-latency': z.record(z.string(), z.number()).nullish(),
});

function latencyOf(result: unknown): ProbeMeasurement | string {
  const { data } = latencySchema.safeParse(result);
  const sent = data?.['packets-sent'] ?? 0;
  if (!data || sent <= 0) return 'the result tells of no packet sent';
  const received = data['packets-received'];
  const lossRate = fraction(data['packets-lost'] ?? (received === null ? null : sent - received), sent);
  if (lossRate === undefined) return 'the result does not tell how many packets were lost';
  const delayMs = histogramStatistics(data['histogram-latency'] ?? {});
  if (delayMs === undefined && lossRate < 1) return 'the result holds no delays though packets arrived';
  const maxClockErrorMs = data['max-clock-error'];
  const doubt = delayMs && clockDoubt(delayMs.median, maxClockErrorMs ?? 0);
  return {
    type: 'latency',
    lossRate,
    packetsSent: sent,
    ...(delayMs && { delayMs }),
    ...(maxClockErrorMs !== null && { maxClockErrorMs }),
    ...(doubt !== undefined && { doubt }),
  };
}

function clockDoubt(medianMs: number, maxClockErrorMs: number): string | undefined {
  if (medianMs <= 0) return 'the delay is not above 0: the clocks of the two hosts disagree';
  if (maxClockErrorMs >= medianMs)
    return `the clocks may be ${maxClockErrorMs} ms apart, which is more than the delay`;
  return undefined;
}

/** Of `{"<ms>": count}`, by nearest rank. Undefined where it counts nothing. */
export function histogramStatistics(
  histogram: Readonly<Record<string, number>>,
): { min: number; median: number; p95: number; max: number } | undefined {
  const bins = Object.entries(histogram)
    .map(([ms, count]) => ({ ms: numberOf(ms), count }))
    .filter((bin): bin is { ms: number; count: number } => bin.ms !== null && bin.count > 0)
    .sort((a, b) => a.ms - b.ms);
  const total = bins.reduce((sum, { count }) => sum + count, 0);
  const [first, last] = [bins[0], bins.at(-1)];
  if (!first || !last) return undefined;
  const quantile = (share: number): number => {
    let counted = 0;
    const bin = bins.find(({ count }) => {
      counted += count;
      return counted >= share * total;
    });
    return (bin ?? last).ms;
  };
  return { min: first.ms, median: quantile(0.5), p95: quantile(0.95), max: last.ms };
}

const rttSchema = z.object({
  loss: number,
  sent: number,
  lost: number,
  min: duration,
  mean: duration,
  max: duration,
});

function rttOf(result: unknown): ProbeMeasurement | string {
  const { data } = rttSchema.safeParse(result);
  const lossRate = data && fraction(data.loss ?? data.lost, data.loss === null ? data.sent : 1);
  if (!data || lossRate === undefined) return 'the result does not tell how many packets were lost';
  const ms = (seconds: number) => Math.round(seconds * 1e6) / 1e3;
  const { min, mean, max, sent } = data;
  if (mean === undefined && lossRate < 1)
    return 'the result holds no round-trip time though packets came back';
  return {
    type: 'rtt',
    lossRate,
    ...(sent !== null && { packetsSent: sent }),
    ...(mean !== undefined && {
      rttMs: {
        ...(min !== undefined && { min: ms(min) }),
        mean: ms(mean),
        ...(max !== undefined && { max: ms(max) }),
      },
    }),
  };
}

/** `part / whole` where that is a fraction 0..1. */
function fraction(part: number | null, whole: number | null): number | undefined {
  if (part === null || whole === null || !(whole > 0) || part < 0 || part > whole) return undefined;
  return part / whole;
}

const ISO_DURATION =
  /^P(?=.)(?:(\d+(?:\.\d+)?)D)?(?:T(?=.)(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;

/** `PT0.000976S` and the like, of days and less. Undefined for any other text. */
export function isoDurationSeconds(text: string): number | undefined {
  const found = ISO_DURATION.exec(text.trim());
  if (!found) return undefined;
  const [, days, hours, minutes, seconds] = found.map((part) => Number(part ?? 0));
  return days! * 86_400 + hours! * 3600 + minutes! * 60 + seconds!;
}

function progress({ state, startAt, endAt }: WaitingRun): string {
  const clock = (at: Date) => `${at.toISOString().slice(11, 19)} UTC`;
  if ((state === 'pending' || state === 'on-deck') && startAt) return `scheduled for ${clock(startAt)}`;
  return state === 'running' && endAt ? `running, due to end at ${clock(endAt)}` : state;
}

/** Towards the run's start or end, but never far: its host's clock may be off. */
function untilNextLookMs(reading: RunReading | undefined, now: Date): number {
  if (reading?.status !== 'waiting') return 1000;
  const due = reading.state === 'pending' ? reading.startAt : reading.endAt;
  const untilMs = due ? due.getTime() - now.getTime() : 0;
  return Math.min(Math.max(untilMs, 2000), 10_000);
}
