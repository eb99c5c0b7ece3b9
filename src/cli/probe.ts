import { setTimeout as wait } from 'node:timers/promises';
import type { HostView } from '../api/view-types.ts';
import { type Config, loadConfig } from '../config.ts';
import { messageOf, UserError } from '../errors.ts';
import type { Log } from '../log.ts';
import { createHttp } from '../spider/http.ts';
import { type PathProbeResult, probePath } from '../spider/probe-path.ts';
import type { ProbeMeasurement, ProbeType } from '../spider/pscheduler.ts';
import { readHosts } from './read.ts';
import { figure } from './table.ts';

export interface ProbeOptions {
  type: ProbeType;
  duration: number;
  forcePolicy?: boolean;
  json?: boolean;
}

/** How long a run may wait for its turn. */
const SLIP_SECONDS = 300;

/** `lark probe SRC DST`: one test now. Exits 1 when it brought no measurement. Ctrl-C cancels the task. */
export async function probeCommand(
  configFile: string | undefined,
  src: string,
  dst: string,
  options: ProbeOptions,
): Promise<void> {
  const { config } = loadConfig(configFile, process.env);
  const stop = new AbortController();
  const onSignal = () => stop.abort(new UserError('interrupted'));
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const http = createHttp(config.http);
  try {
    const result = await probePath(
      {
        type: options.type,
        source: src,
        destination: dst,
        durationSeconds: options.duration,
        slipSeconds: SLIP_SECONDS,
        forcePolicy: options.forcePolicy ?? false,
      },
      await knownHosts(config, options),
      { http, now: () => new Date(), sleep: waitFor, log: progressLog, signal: stop.signal },
    );
    print(result, options);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    process.exitCode = 130;
  } finally {
    http.close();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

const waitFor = (milliseconds: number, signal?: AbortSignal) => wait(milliseconds, undefined, { signal });

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** People read along on standard error. */
const progressLog: Log = {
  debug() {},
  info: (_, message) => say(message),
  warn: (_, message) => say(`warning: ${message}`),
  error: (_, message) => say(`error: ${message}`),
};

async function knownHosts(config: Config, { forcePolicy }: ProbeOptions): Promise<HostView[]> {
  try {
    return await readHosts(config, new Date());
  } catch (error) {
    if (!forcePolicy)
      throw new UserError(
        `the hosts' access policies cannot be read (${messageOf(error)}); --force-policy probes named hosts without them`,
      );
    say(`the hosts' access policies are not known: ${messageOf(error)}`);
    return [];
  }
}

function print(result: PathProbeResult, { json, type }: ProbeOptions): void {
  if (json) process.stdout.write(`${JSON.stringify({ type, ...result }, null, 2)}\n`);
  if (result.outcome === 'failed') {
    if (!json) say(`lark: ${result.message}`);
    process.exitCode = 1;
  } else if (!json) {
    process.stdout.write(
      `${result.source} > ${result.destination}: ${measurementText(result.measurement)}\n`,
    );
  }
}

/** A measurement in one line, e.g. `907.7 Mb/s, 0 retransmits`. */
export function measurementText(measured: ProbeMeasurement): string {
  const loss = (lossRate: number) => `loss ${figure(lossRate * 100)} %`;
  switch (measured.type) {
    case 'throughput': {
      const { throughputMbps, receiverThroughputMbps, retransmits } = measured;
      return [
        `${figure(throughputMbps)} Mb/s`,
        ...(receiverThroughputMbps === undefined ? [] : [`${figure(receiverThroughputMbps)} Mb/s received`]),
        ...(retransmits === undefined ? [] : [`${retransmits} retransmits`]),
      ].join(', ');
    }
    case 'latency': {
      const { delayMs, lossRate, doubt } = measured;
      const delay = delayMs
        ? `one-way delay ${figure(delayMs.median)} ms (${figure(delayMs.min)} to ${figure(delayMs.max)}), `
        : 'no packet arrived, ';
      return `${delay}${loss(lossRate)}${doubt === undefined ? '' : `; ${doubt}`}`;
    }
    case 'rtt': {
      const { rttMs, lossRate } = measured;
      return `${rttMs ? `round trip ${figure(rttMs.mean)} ms` : 'no packet came back'}, ${loss(lossRate)}`;
    }
  }
}
