import { setTimeout as wait } from 'node:timers/promises';
import type { HostView } from '../api/view-types.ts';
import { type Config, loadConfig } from '../config.ts';
import { messageOf, UserError } from '../errors.ts';
import type { Log } from '../log.ts';
import { nearest } from '../nearest.ts';
import { hostOf, identifier } from '../spider/address.ts';
import { createHttp, type Http } from '../spider/http.ts';
import {
  type ProbeMeasurement,
  type ProbeResult,
  type ProbeType,
  probe,
  pschedulerUrl,
  type TestConsent,
  testConsent,
} from '../spider/pscheduler.ts';
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
/** Of a site, at most so many names and addresses are asked whether a pScheduler answers there. */
const MAX_ASKED = 8;

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
    const hosts = await knownHosts(config, options);
    const sources = candidatesFor(src, hosts, options);
    const destinations = candidatesFor(dst, hosts, options);
    const needsPscheduler = options.type !== 'rtt';
    const [source, destination] = await Promise.all([
      choose(src, sources, true, http, stop.signal),
      choose(dst, destinations, needsPscheduler, http, stop.signal),
    ]);
    for (const end of [source, destination]) if (end.remark) say(end.remark);
    if (source.at === destination.at || source.aliases.includes(destination.at))
      throw new UserError(`${src} and ${dst} are the same host`);
    say(
      `${options.type} from ${source.at} to ${destination.at}, by the pScheduler at ${pschedulerUrlOf(source)}`,
    );
    const result = await probe(
      {
        type: options.type,
        source: source.at,
        sourceAliases: source.aliases,
        ...(source.pschedulerUrl !== undefined && { pschedulerUrl: source.pschedulerUrl }),
        destination: destination.at,
        durationSeconds: options.duration,
        slipSeconds: SLIP_SECONDS,
      },
      { http, now: () => new Date(), sleep: waitFor, log: progressLog, signal: stop.signal },
    );
    print(result, source, destination, options);
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

/** One end of a test. */
export interface Candidate {
  /** Name or address, as it goes into the test. */
  at: string;
  /** All names and addresses known. */
  aliases: string[];
  /** Where it is not the usual one of `at`. */
  pschedulerUrl?: string;
  /** What to tell the user if this one is taken. */
  remark?: string;
}

const pschedulerUrlOf = ({ at, pschedulerUrl: url }: Candidate) =>
  pschedulerUrl({ source: at, ...(url !== undefined && { pschedulerUrl: url }) });

/**
 * What SRC or DST stands for: a site's hosts, a host by name or address, or a pScheduler by its URL. Hosts of a
 * site come in order of preference: those whose registered access policy permits tests, then those with none.
 * @throws UserError for what is not known, and for hosts whose policy forbids it unless `forcePolicy`
 */
export function candidatesFor(
  text: string,
  hosts: readonly HostView[],
  { forcePolicy = false }: { forcePolicy?: boolean },
): Candidate[] {
  const ofSite = hosts.filter(({ site }) => site === text);
  if (ofSite.length > 0) {
    const ranked = ofSite
      .filter((host) => forcePolicy || consentOf(host) !== 'forbidden')
      .toSorted((a, b) => PREFERENCE.indexOf(consentOf(a)) - PREFERENCE.indexOf(consentOf(b)));
    if (ranked.length === 0) throw new UserError(forbiddenMessage(text, ofSite));
    return ranked.flatMap((host) => placesOf(host).map((at) => candidate(at, host)));
  }

  const url = /^https?:\/\//i.test(text) && URL.canParse(text) ? text : undefined;
  const named = identifier(url === undefined ? text : hostOf(url));
  if (named === undefined)
    throw new UserError(
      `"${text}" is no site that has measurement hosts, and neither a host's name, address nor pScheduler URL${nearest(
        text,
        [...new Set(hosts.flatMap(({ site }) => site ?? []))],
      )}`,
    );
  const host = hosts.find(({ names, addresses }) => [...names, ...addresses].includes(named.text));
  if (host && !forcePolicy && consentOf(host) === 'forbidden')
    throw new UserError(forbiddenMessage(text, [host]));
  return [{ ...candidate(named.text, host), ...(url !== undefined && { pschedulerUrl: url }) }];
}

const PREFERENCE: TestConsent[] = ['permitted', 'unstated', 'forbidden'];

const consentOf = ({ accessPolicy }: HostView) => testConsent(accessPolicy);

function forbiddenMessage(text: string, hosts: readonly HostView[]): string {
  const policies = [...new Set(hosts.map(({ accessPolicy }) => accessPolicy))].join(', ');
  const who = hosts.length === 1 && hosts[0]?.site !== text ? `${text} is` : `all hosts of ${text} are`;
  return `${who} registered with the access policy "${policies}": ask their operators first, then use --force-policy`;
}

function candidate(at: string, host: HostView | undefined): Candidate {
  const remark =
    host === undefined
      ? `${at} is not known here: its own limits decide whether it may be tested`
      : consentOf(host) === 'unstated'
        ? `${at} registered no access policy: its own limits decide whether it may be tested`
        : consentOf(host) === 'forbidden'
          ? `${at} is tested against its access policy "${host.accessPolicy}"`
          : undefined;
  return {
    at,
    aliases: host ? [...host.names, ...host.addresses] : [],
    ...(remark !== undefined && { remark }),
  };
}

/** Its first name, and an address for where that does not resolve. */
function placesOf({ names, addresses }: HostView): string[] {
  const address = addresses.find((text) => !text.includes(':')) ?? addresses[0];
  return [names[0], address].filter((place) => place !== undefined);
}

/** The first candidate at which a pScheduler answers; a single one is taken as it is. */
export async function choose(
  text: string,
  candidates: readonly Candidate[],
  needsPscheduler: boolean,
  http: Pick<Http, 'getJson'>,
  signal: AbortSignal,
): Promise<Candidate> {
  const [only, ...others] = candidates;
  if (only && others.length === 0) return only;
  const asked = candidates.slice(0, MAX_ASKED);
  const answers = await Promise.allSettled(
    asked.map((each) => http.getJson(`${pschedulerUrlOf(each)}/api`, signal)),
  );
  signal.throwIfAborted();
  const found = asked.find((_, index) => {
    const answer = answers[index];
    return answer?.status === 'fulfilled' && typeof answer.value === 'number';
  });
  if (found) return found;
  // The target of pings needs no pScheduler; an address works from everywhere.
  const pinged = asked.find(({ at }) => identifier(at)?.kind === 'address') ?? asked[0];
  if (!needsPscheduler && pinged) return pinged;
  throw new UserError(
    `no pScheduler answers at the hosts of ${text} (asked: ${asked.map(({ at }) => at).join(', ')}); name a host, or a pScheduler by its URL`,
  );
}

function print(
  result: ProbeResult,
  source: Candidate,
  destination: Candidate,
  { json, type }: ProbeOptions,
): void {
  const ends = { source: source.at, destination: destination.at, type };
  if (json) process.stdout.write(`${JSON.stringify({ ...ends, ...result }, null, 2)}\n`);
  if (result.outcome === 'failed') {
    if (!json) say(`lark: ${result.message}`);
    process.exitCode = 1;
  } else if (!json) {
    process.stdout.write(`${source.at} > ${destination.at}: ${measurementText(result.measurement)}\n`);
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
