import type { Host, Json, Model, PathModel, Test, TestType } from './model.ts';
import type { Reply } from './query.ts';
import { hash32, unit, uuid } from './rng.ts';
import { hopDetails, trace } from './routes.ts';
import {
  failureText,
  type Histogram,
  latencyRun,
  retransmits,
  rttRun,
  statistics,
  throughputBps,
} from './series.ts';
import type { NodeRequest } from './servers.ts';

/**
 * pScheduler on the measurement hosts: takes tasks, puts one run of each on its schedule, and says how the run goes
 * and what it measured. Routes, states and texts after perfsonar/pscheduler's server; results after captured runs,
 * measured on the same paths as everything else. Error bodies are plain text.
 */

/** How a run may end, and `unscheduled`: it never gets on the schedule. */
export const RUN_ENDS = [
  'finished',
  'unsuccessful',
  'failed',
  'missed',
  'overdue',
  'preempted',
  'nonstart',
  'unscheduled',
] as const;
export type RunEnd = (typeof RUN_ENDS)[number];

export interface PSchedulerOptions {
  /** How many times faster than in reality runs are scheduled and run. Default 1. */
  speed?: number;
  /** What schedules go by, in ms, since a world's clock may stand still. Default: real time. */
  elapsedMs?: () => number;
}

export interface PSchedulerDeps {
  model: Model;
  options: PSchedulerOptions;
  clock: () => Date;
  pathBetween: (from: Host, to: Host) => PathModel;
  /** Whether nobody would get an answer there. */
  isUnreachable: (key: string) => boolean;
}

type ProbeType = 'throughput' | 'latency' | 'rtt' | 'trace';

interface Task {
  id: string;
  host: Host;
  document: { [key: string]: Json };
  type: ProbeType;
  destination: Host | null;
  /** As the spec names the ends. */
  participants: string[];
  tool: string;
  durationSeconds: number;
  postedAtMs: number;
  /** When the run gets on the schedule, starts and ends, in elapsed ms. */
  scheduledMs: number;
  startMs: number;
  endMs: number;
  end: RunEnd;
  canceled: boolean;
}

/** Time from posting to the schedule, and from the schedule to the earliest start. */
const SCHEDULING_SECONDS = 1;
const LEAD_SECONDS = 4;
const ON_DECK_SECONDS = 2;
const CLEANUP_SECONDS = 1;
/** What a run takes besides the test itself: starting the tool, waiting for the other end. */
const OVERHEAD_SECONDS = 9;

/** How long `wait` holds an answer back at most, whatever is asked for. */
const MAX_WAIT_SECONDS = 30;
const LOOK_EVERY_MS = 20;

export type AccessPolicy = 'public' | 'research-education' | 'private';

/** Those that are private have limits that let nobody in. */
export function accessPolicyOf(host: Host): AccessPolicy {
  const draw = unit(host.id, 90);
  return draw < 0.1 ? 'private' : draw < 0.4 ? 'public' : 'research-education';
}

/** Latency hosts have no throughput tools and the other way round; some lack one that most have. */
export function toolsOf(host: Host): string[] {
  const tools = ['ping', 'traceroute', 'twping'];
  if (host.role !== 'latency') tools.push('iperf3', ...(unit(host.id, 91) < 0.8 ? ['nuttcp'] : []));
  if (host.role !== 'throughput') tools.push('owping', 'powstream');
  return tools;
}

/** In the order in which pScheduler prefers them. */
const TOOLS_OF_TEST: Record<ProbeType, string[]> = {
  throughput: ['iperf3', 'nuttcp'],
  latency: ['owping'],
  rtt: ['ping', 'twping'],
  trace: ['traceroute'],
};

/** An answer that is not 200; bodies are plain text. */
class Complaint extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export class PScheduler {
  readonly #deps: PSchedulerDeps;
  readonly #tasks = new Map<string, Task>();
  /** Throughput runs, which never overlap at either end. */
  readonly #exclusive: { keys: string[]; startMs: number; endMs: number; task: Task }[] = [];
  readonly #ends = new Map<string, RunEnd>();
  readonly #hosts = new Map<string, Host>();
  readonly #timers = new Set<{ timer: NodeJS.Timeout; wake: () => void }>();
  #posted = 0;
  #closed = false;

  constructor(deps: PSchedulerDeps) {
    this.#deps = deps;
    for (const host of deps.model.hosts) {
      this.#hosts.set(host.address4, host).set(host.name, host);
      if (host.address6) this.#hosts.set(host.address6, host);
    }
  }

  /** How runs end that are posted to the host from now on; null leaves it to chance again. */
  setRunEnd(key: string, end: RunEnd | null): void {
    if (!this.#hosts.has(key)) throw new RangeError(`the world has no host ${key}`);
    if (end) this.#ends.set(key, end);
    else this.#ends.delete(key);
  }

  /** Answers what is being waited for. */
  close(): void {
    this.#closed = true;
    for (const { timer, wake } of this.#timers) {
      clearTimeout(timer);
      wake();
    }
    this.#timers.clear();
  }

  accepts(method: string, path: string): boolean {
    return method === 'GET' || (method === 'POST' && /\/tasks\/?$/.test(path)) || method === 'DELETE';
  }

  async answer(host: Host, request: NodeRequest): Promise<Reply> {
    try {
      return await this.#route(host, request);
    } catch (error) {
      if (error instanceof Complaint) return text(error.status, error.message);
      throw error;
    }
  }

  async #route(host: Host, request: NodeRequest): Promise<Reply> {
    const [, resource, id, sub, runName, part, ...rest] = request.path.split('/').filter((p) => p !== '');
    const base = `${request.origin}/pscheduler`;
    if (rest.length > 0) throw new Complaint(404, 'Not found');
    switch (id === undefined ? (resource ?? '') : `${resource}/`) {
      case '':
        return json(`This is the pScheduler API server on ${host.name} (${host.address4}).`);
      case 'api':
        return json(host.id % 2 === 0 ? 5 : 4);
      case 'status':
        return json({
          time: iso(this.#deps.clock()),
          scheduler: { running: true },
          runner: { running: true },
        });
      case 'clock':
        return json({
          time: iso(this.#deps.clock()),
          synchronized: host.clockOffsetMs === 0,
          source: 'ntp',
          offset: host.clockOffsetMs / 1000,
        });
      case 'schedule-horizon':
        return json('P1D');
      case 'tests':
        return json(Object.keys(TOOLS_OF_TEST).map((name) => `${base}/tests/${name}`));
      case 'tools':
        return json(toolsOf(host).map((name) => `${base}/tools/${name}`));
      case 'schedule':
        return json(this.#schedule(host, base));
      case 'tasks':
        if (request.method === 'POST') return json(`${base}/tasks/${this.#post(host, request).id}`);
        return json(this.#of(host).map((task) => `${base}/tasks/${task.id}`));
      case 'tasks/':
        break;
      default:
        throw new Complaint(404, 'Not found');
    }
    const task = this.#tasks.get(id!);
    if (!task || task.host !== host) throw new Complaint(404, 'Task not found');
    if (sub === undefined) {
      if (request.method === 'DELETE') {
        task.canceled = true;
        return json('OK');
      }
      return json({ ...task.document, href: `${base}/tasks/${task.id}`, tool: task.tool });
    }
    if (sub !== 'runs' || request.method !== 'GET') throw new Complaint(404, 'Not found');
    const own = uuid(`run of ${task.id}`);
    if (runName === undefined)
      return json(this.#isScheduled(task) ? [`${base}/tasks/${task.id}/runs/${own}`] : []);
    if (runName !== 'first' && runName !== own) throw new Complaint(404, 'Run not found');
    await this.#untilScheduled(task, request.query);
    if (!this.#isScheduled(task)) throw new Complaint(404, 'Run not found');
    const run = this.#run(task, base, own);
    if (part === undefined) return json(run);
    if (part !== 'result') throw new Complaint(404, 'Not found');
    if (run.result === null) throw new Complaint(404, 'No result');
    return json(run.result!);
  }

  // --- posting

  #post(host: Host, request: NodeRequest): Task {
    const document = parse(request.body);
    const test = document.test;
    if (!isObject(test) || !isObject(test.spec))
      throw new Complaint(400, 'No test or no specification in task.');
    const { type, spec } = test;
    if (typeof type !== 'string' || !isProbeType(type)) {
      throw new Complaint(400, `Unable to validate test: unknown test type '${String(type)}'`);
    }
    const durationSeconds = readSpec(type, spec);
    if (accessPolicyOf(host) === 'private') throw new Complaint(403, forbidden(request));
    const from = typeof spec.source === 'string' ? spec.source : host.address4;
    const to = String(spec.dest);
    if (this.#hosts.get(from) !== host) {
      throw new Complaint(400, `Lead participant is ${from}, which is not this host.`);
    }
    const destination = this.#hosts.get(to) ?? null;
    const participants = type === 'rtt' || type === 'trace' ? [from] : [from, to];
    const tool = this.#pickTool(host, destination, to, type, participants, document.tools, request);
    const now = this.#elapsedMs();
    const slip = isObject(document.schedule) ? seconds(document.schedule.slip, 300) : 300;
    const atOnce = isObject(document.schedule) && document.schedule.start !== undefined;
    const runSeconds = durationSeconds + OVERHEAD_SECONDS;
    const keys = [host.key, ...(destination && participants.length > 1 ? [destination.key] : [])];
    const earliest = now + this.#ms(SCHEDULING_SECONDS + LEAD_SECONDS);
    const startMs = type === 'throughput' ? this.#firstFree(keys, earliest, this.#ms(runSeconds)) : earliest;
    if (atOnce && startMs > earliest) throw new Complaint(409, 'Requested time conflicts with another run.');
    const id = uuid(`task ${this.#deps.model.seed} ${host.key} ${++this.#posted}`);
    const task: Task = {
      id,
      host,
      document,
      type,
      destination,
      participants,
      tool,
      durationSeconds: runSeconds,
      postedAtMs: this.#deps.clock().getTime() - now,
      scheduledMs: now + this.#ms(SCHEDULING_SECONDS),
      startMs,
      endMs: startMs + this.#ms(runSeconds),
      end: startMs - earliest > this.#ms(slip) ? 'nonstart' : this.#endOf(host, id),
      canceled: false,
    };
    this.#tasks.set(id, task);
    if (type === 'throughput' && task.end !== 'nonstart' && task.end !== 'unscheduled') {
      this.#exclusive.push({ keys, startMs, endMs: task.endMs, task });
    }
    return task;
  }

  #pickTool(
    host: Host,
    destination: Host | null,
    to: string,
    type: ProbeType,
    participants: string[],
    asked: Json | undefined,
    request: NodeRequest,
  ): string {
    const offers = [TOOLS_OF_TEST[type].filter((tool) => toolsOf(host).includes(tool))];
    if (participants.length > 1) {
      // The archive's own machine measures nothing.
      if (!destination || destination.role === 'archive' || this.#deps.isUnreachable(destination.key)) {
        const why = destination ? 'Failed to connect: Connection refused' : 'Could not resolve host';
        throw new Complaint(500, `Error getting tools from ${to}: 400: ${why}`);
      }
      offers.push(TOOLS_OF_TEST[type].filter((tool) => toolsOf(destination).includes(tool)));
    }
    const wanted = Array.isArray(asked) ? asked.map(String) : TOOLS_OF_TEST[type];
    const tool = wanted.find((name) => offers.every((offer) => offer.includes(name)));
    if (tool === undefined) {
      const offered = offers.map((names, i) => `${participants[i]} offered ${names.join(', ') || 'nothing'}`);
      throw new Complaint(
        422,
        `Unable to complete request: No tool in common among the participants:  ${offered.join(';  ')}.`,
      );
    }
    if (participants.length > 1 && accessPolicyOf(destination!) === 'private') {
      throw new Complaint(
        500,
        `Error while tasking ${to}: Unable to post task to ${to}: ${forbidden(request)}`,
      );
    }
    return tool;
  }

  #firstFree(keys: string[], earliest: number, lengthMs: number): number {
    const taken = this.#exclusive
      .filter((slot) => !slot.task.canceled && slot.keys.some((key) => keys.includes(key)))
      .sort((a, b) => a.startMs - b.startMs);
    let at = earliest;
    for (const slot of taken) if (slot.endMs > at && slot.startMs < at + lengthMs) at = slot.endMs;
    return at;
  }

  #endOf(host: Host, id: string): RunEnd {
    return this.#ends.get(host.key) ?? (unit(hash32(id), 1) < 0.02 ? 'unsuccessful' : 'finished');
  }

  #elapsedMs(): number {
    return (this.#deps.options.elapsedMs ?? (() => performance.now()))();
  }

  #ms(worldSeconds: number): number {
    return (worldSeconds * 1000) / (this.#deps.options.speed ?? 1);
  }

  // --- looking

  #of(host: Host): Task[] {
    return [...this.#tasks.values()].filter((task) => task.host === host);
  }

  #isScheduled(task: Task): boolean {
    return task.end !== 'unscheduled' && this.#elapsedMs() >= task.scheduledMs;
  }

  /** `wait`: hold the answer until there is a run, or until that many real seconds are over. */
  async #untilScheduled(task: Task, query: URLSearchParams): Promise<void> {
    const wait = Math.min(Number(query.get('wait') ?? 0) || 0, MAX_WAIT_SECONDS) * 1000;
    const until = performance.now() + wait;
    // Looked at again and again: timers may be early, and a test's own clock may be moved at any time.
    while (!this.#closed && !this.#isScheduled(task) && performance.now() < until) {
      await this.#pause(LOOK_EVERY_MS);
    }
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const entry = {
        timer: setTimeout(() => {
          this.#timers.delete(entry);
          resolve();
        }, milliseconds),
        wake: resolve,
      };
      this.#timers.add(entry);
    });
  }

  #schedule(host: Host, base: string): Json {
    return this.#of(host)
      .filter((task) => this.#isScheduled(task))
      .map((task) => {
        const run = this.#run(task, base, uuid(`run of ${task.id}`));
        return {
          'start-time': run['start-time']!,
          'end-time': run['end-time']!,
          'run-state': run.state!,
          href: run.href!,
          test: { type: task.type },
        };
      });
  }

  #stateOf(task: Task): string {
    const now = this.#elapsedMs();
    if (task.end === 'nonstart') return 'nonstart';
    if (task.canceled && now < task.endMs) return 'canceled';
    if (now < task.startMs - this.#ms(ON_DECK_SECONDS)) return 'pending';
    if (now < task.startMs) return 'on-deck';
    if (task.end === 'missed') return 'missed';
    if (now < task.endMs) return 'running';
    if (task.end === 'preempted' || task.end === 'failed' || task.end === 'overdue') return task.end;
    return now < task.endMs + this.#ms(CLEANUP_SECONDS) ? 'cleanup' : 'finished';
  }

  #run(task: Task, base: string, id: string): { [key: string]: Json } {
    const state = this.#stateOf(task);
    const at = (elapsed: number): string => iso(new Date(task.postedAtMs + elapsed));
    const href = `${base}/tasks/${task.id}/runs/${id}`;
    const result = state === 'finished' ? this.#result(task) : null;
    return {
      href,
      'task-href': `${base}/tasks/${task.id}`,
      'result-href': `${href}/result`,
      'start-time': at(task.startMs),
      'end-time': at(task.endMs),
      added: at(task.scheduledMs),
      duration: `PT${task.durationSeconds}S`,
      participant: 0,
      participants: task.participants,
      'participant-data': {},
      'participant-data-full': state === 'pending' ? null : task.participants.map(() => ({})),
      state,
      'state-display': STATE_DISPLAY[state] ?? state,
      errors: ERRORS[state] ?? null,
      result,
      'result-full': null,
      'result-merged': null,
    };
  }

  #result(task: Task): Json {
    const { host, destination, type } = task;
    const ts = Math.floor((task.postedAtMs + task.startMs) / 1000);
    if (task.end === 'unsuccessful') {
      const error = failureText(this.#test(host, destination ?? host, type), ts);
      return { schema: 1, succeeded: false, error, diags: `${task.tool}: ${error}` };
    }
    const spec = (task.document.test as { spec: { [key: string]: Json } }).spec;
    const count = Number(spec.count ?? 5);
    // Where nobody is, pings get no answer, and that is a result.
    const gone = !destination || this.#deps.isUnreachable(destination.key);
    if (gone && type === 'rtt') return rttResult(count, []);
    if (gone && type === 'trace')
      return { schema: 1, succeeded: true, paths: [Array.from({ length: 30 }, () => ({}))] };
    if (gone) return { schema: 1, succeeded: false, error: 'Connection refused', diags: '' };
    const test = this.#test(host, destination, type);
    switch (type) {
      case 'throughput':
        return throughputResult(test, ts, task.durationSeconds - OVERHEAD_SECONDS);
      case 'latency':
        return latencyResult(test, ts, Number(spec['packet-count'] ?? 100));
      case 'rtt':
        return rttResult(count, rttRun(test, ts).histogram);
      case 'trace':
        return {
          schema: 1,
          succeeded: true,
          paths: [
            trace(test, ts).map(
              (hop): Json =>
                hop.ip === null
                  ? {}
                  : { ip: hop.ip, rtt: isoSeconds(hop.rttMs!), mtu: hop.mtu, ...hopDetails(hop) },
            ),
          ],
        };
    }
  }

  /** A test on the path as the scheduled ones are. */
  #test(source: Host, destination: Host, type: ProbeType): Test {
    const path = this.#deps.pathBetween(source, destination);
    const testType: TestType = type === 'latency' ? 'latencybg' : type;
    return {
      id: hash32(path.id, 'probe', type),
      key: '',
      type: testType,
      tool: 'pscheduler',
      udp: false,
      source,
      destination,
      ipVersion: 4,
      sourceAddress: source.address4,
      destinationAddress: destination.address4,
      inputSource: source.address4,
      inputDestination: destination.address4,
      intervalSeconds: 1,
      phaseSeconds: 0,
      startSeconds: 0,
      endSeconds: Number.POSITIVE_INFINITY,
      path,
    };
  }
}

const STATE_DISPLAY: Record<string, string> = {
  pending: 'Pending',
  'on-deck': 'On Deck',
  running: 'Running',
  cleanup: 'Cleanup',
  finished: 'Finished',
  overdue: 'Overdue',
  missed: 'Missed',
  failed: 'Failed',
  preempted: 'Preempted',
  nonstart: 'Non-Starter',
  canceled: 'Canceled',
};

const ERRORS: Record<string, string> = {
  failed: 'Tool exited with status 1',
  nonstart: 'Unable to schedule this run: no time slot within the slip',
  missed: 'Run was not started in time',
  preempted: 'Run was preempted',
};

// --- specifications

type JsonObject = { [key: string]: Json };

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isProbeType(type: string): type is ProbeType {
  return Object.hasOwn(TOOLS_OF_TEST, type);
}

function parse(body: string): JsonObject {
  let document: Json;
  try {
    document = JSON.parse(body) as Json;
  } catch (error) {
    throw new Complaint(400, `Invalid task specification: ${(error as Error).message}`);
  }
  if (!isObject(document)) throw new Complaint(400, 'Invalid task specification: no object');
  return document;
}

const ENDS = ['schema', 'source', 'source-node', 'dest', 'dest-node', 'ip-version'];
const SPEC_KEYS: Record<ProbeType, string[]> = {
  throughput: [
    'duration',
    'interval',
    'parallel',
    'omit',
    'udp',
    'bandwidth',
    'window-size',
    'mss',
    'reverse',
  ],
  latency: [
    'packet-count',
    'packet-interval',
    'packet-timeout',
    'packet-padding',
    'bucket-width',
    'output-raw',
  ],
  rtt: ['count', 'interval', 'length', 'timeout', 'ttl', 'deadline'],
  trace: ['probe-type', 'hops', 'length', 'wait', 'sendwait', 'first-ttl', 'as', 'hostnames'],
};

/** How long the test takes in seconds. */
function readSpec(type: ProbeType, spec: JsonObject): number {
  const bad = (why: string): Complaint => new Complaint(400, `Invalid test specification: ${why}`);
  const allowed = [...ENDS, ...SPEC_KEYS[type]];
  const unknown = Object.keys(spec).find((key) => !allowed.includes(key));
  if (unknown !== undefined) {
    throw bad(`At /: Additional properties are not allowed ('${unknown}' was unexpected)`);
  }
  if (typeof spec.dest !== 'string' || spec.dest === '') throw bad("At /: 'dest' is a required property");
  for (const key of ['count', 'packet-count']) {
    const value = spec[key];
    if (value !== undefined && !(Number.isInteger(value) && Number(value) > 0)) {
      throw bad(`At /${key}: ${JSON.stringify(value)} is not a positive number`);
    }
  }
  for (const key of ['duration', ...(type === 'rtt' ? ['interval'] : [])]) {
    if (spec[key] !== undefined && Number.isNaN(seconds(spec[key], 0))) {
      throw bad(`At /${key}: ${JSON.stringify(spec[key])} is not an ISO 8601 duration`);
    }
  }
  switch (type) {
    case 'throughput':
      return seconds(spec.duration, 10);
    case 'latency':
      return Number(spec['packet-count'] ?? 100) * Number(spec['packet-interval'] ?? 0.1);
    case 'rtt':
      return Number(spec.count ?? 5) * seconds(spec.interval, 1);
    case 'trace':
      return 8;
  }
}

function seconds(duration: Json | undefined, fallback: number): number {
  if (duration === undefined) return fallback;
  const found = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(String(duration));
  if (!found) return Number.NaN;
  const [days = 0, hours = 0, minutes = 0, rest = 0] = found.slice(1).map((part) => Number(part ?? 0));
  return days * 86_400 + hours * 3600 + minutes * 60 + rest;
}

function forbidden(request: NodeRequest): string {
  return `Task forbidden by limits:\nHints:\n  server: ${new URL(request.origin).hostname}\nIdentified as everybody\nNo application allows this task.`;
}

// --- results

function throughputResult(test: Test, ts: number, durationSeconds: number): Json {
  const bits = throughputBps(test, ts);
  const again = retransmits(test, ts);
  const part = (start: number, end: number): JsonObject => ({
    start,
    end,
    omitted: false,
    'throughput-bits': bits,
    'throughput-bytes': Math.round((bits * (end - start)) / 8),
    retransmits: Math.floor((again * (end - start)) / durationSeconds),
  });
  const step = Math.max(1, durationSeconds / 5);
  const intervals: Json[] = [];
  for (let at = 0; at < durationSeconds; at += step) {
    const summary = part(at, Math.min(durationSeconds, at + step));
    intervals.push({
      summary,
      streams: [{ ...summary, 'stream-id': 5, rtt: Math.round(test.path.oneWayMs * 2000) }],
    });
  }
  const whole: JsonObject = { ...part(0, durationSeconds), retransmits: again };
  // Newer tools say what arrived as well.
  const received: JsonObject =
    unit(test.id, 92) < 0.5 ? { 'receiver-throughput-bits': Math.round(bits * 0.998) } : {};
  return {
    schema: 1,
    succeeded: true,
    diags: `/usr/bin/iperf3 -c ${test.destinationAddress} -t ${durationSeconds} --json`,
    intervals,
    summary: { summary: { ...whole, ...received }, streams: [{ ...whole, 'stream-id': 5 }] },
  };
}

function latencyResult(test: Test, ts: number, count: number): Json {
  const run = latencyRun(test, ts);
  const lost = Math.round((count * run.lost) / run.sent);
  const histogram = shrunk(run.histogram, count - lost);
  return {
    schema: 1,
    succeeded: true,
    'packets-sent': count,
    'packets-received': count - lost,
    'packets-lost': lost,
    'packets-duplicated': 0,
    'packets-reordered': 0,
    'max-clock-error': run.clockErrorMs,
    'histogram-latency': Object.fromEntries(histogram.map(([ms, packets]) => [ms.toFixed(2), packets])),
    'histogram-ttl': histogram.length > 0 ? { [255 - run.hops]: count - lost } : {},
  };
}

/** The same shape with fewer packets, taken at even steps. */
function shrunk(histogram: Histogram, count: number): Histogram {
  const total = histogram.reduce((sum, [, packets]) => sum + packets, 0);
  const kept = new Map<number, number>();
  for (let i = 0; i < count && total > 0; i++) {
    const at = Math.floor(((i + 0.5) * total) / count);
    let seen = 0;
    for (const [ms, packets] of histogram) {
      seen += packets;
      if (at >= seen) continue;
      kept.set(ms, (kept.get(ms) ?? 0) + 1);
      break;
    }
  }
  return [...kept];
}

function rttResult(count: number, histogram: Histogram): Json {
  const some = shrunk(histogram, count);
  const stats = statistics(some);
  if (!stats) {
    return { schema: 1, succeeded: true, sent: count, received: 0, lost: count, loss: 1, roundtrips: [] };
  }
  const times = some.flatMap(([ms, packets]) => Array.from({ length: packets }, () => ms));
  return {
    schema: 1,
    succeeded: true,
    sent: count,
    received: count,
    lost: 0,
    loss: 0,
    duplicates: 0,
    reorders: 0,
    min: isoSeconds(stats.minimum),
    mean: isoSeconds(stats.mean),
    max: isoSeconds(stats.maximum),
    stddev: isoSeconds(stats.standardDeviation),
    roundtrips: times.map((ms, i) => ({ seq: i + 1, rtt: isoSeconds(ms), ttl: 64, length: 64 })),
  };
}

function isoSeconds(milliseconds: number): string {
  return `PT${(milliseconds / 1000).toFixed(6)}S`;
}

// ---

function iso(at: Date): string {
  return `${at.toISOString().slice(0, 19)}Z`;
}

function json(body: Json): Reply {
  return { status: 200, contentType: 'application/json', body: JSON.stringify(body) };
}

function text(status: number, body: string): Reply {
  return { status, contentType: 'text/plain', body };
}
