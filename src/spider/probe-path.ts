import { hostOf, identifier } from '../address.ts';
import { UserError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import type { Http } from './http.ts';
import {
  type ProbeDeps,
  type ProbeRequest,
  type ProbeResult,
  probe,
  pschedulerUrl,
  type TestConsent,
  testConsent,
} from './pscheduler.ts';

/** What is known of a measurement host, as far as it matters for who may be tested and where. */
export interface ProbeHost {
  names: readonly string[];
  addresses: readonly string[];
  site: string | null;
  /** As registered. */
  accessPolicy: string | null;
  /** As registered, the preferred one first. */
  pschedulerUrls: readonly string[];
}

/** A test between two ends: each a site, a host by name or address, or a pScheduler by its URL. */
export type PathProbeRequest = Pick<ProbeRequest, 'type' | 'durationSeconds' | 'slipSeconds'> & {
  source: string;
  destination: string;
  /** Also where a host's access policy forbids it: only with its operators' consent. */
  forcePolicy?: boolean;
};

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

export type PathProbeResult = ProbeResult & { source: string; destination: string };

/**
 * Tests a path once: chooses a host for each end and has them test, as `probe` says. What is worth telling on the way
 * goes to the log. Asks nobody whose access policy forbids it.
 * @throws UserError where an end stands for no host that may and can be tested; the signal's reason when it aborts
 */
export async function probePath(
  request: PathProbeRequest,
  hosts: readonly ProbeHost[],
  deps: ProbeDeps,
): Promise<PathProbeResult> {
  const { type, durationSeconds, slipSeconds, forcePolicy = false } = request;
  const sources = candidatesFor(request.source, hosts, { forcePolicy });
  const destinations = candidatesFor(request.destination, hosts, { forcePolicy });
  const [source, destination] = await Promise.all([
    choose(request.source, sources, true, deps),
    choose(request.destination, destinations, type !== 'rtt', deps),
  ]);
  for (const { remark } of [source, destination]) if (remark !== undefined) deps.log.info({}, remark);
  if (source.at === destination.at || source.aliases.includes(destination.at))
    throw new UserError(`${request.source} and ${request.destination} are the same host`);
  deps.log.info({}, `${type} from ${source.at} to ${destination.at}, by the pScheduler at ${urlOf(source)}`);
  const result = await probe(
    {
      type,
      source: source.at,
      sourceAliases: source.aliases,
      pschedulerUrl: urlOf(source),
      destination: destination.at,
      durationSeconds,
      slipSeconds,
    },
    deps,
  );
  return { ...result, source: source.at, destination: destination.at };
}

const urlOf = ({ at, pschedulerUrl: url }: Candidate) =>
  pschedulerUrl({ source: at, ...(url !== undefined && { pschedulerUrl: url }) });

/**
 * What an end stands for. Hosts of a site come in order of preference: those whose registered access policy permits
 * tests, then those with none.
 * @throws UserError for what is not known, and for hosts whose policy forbids it unless `forcePolicy`
 */
export function candidatesFor(
  text: string,
  hosts: readonly ProbeHost[],
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

const consentOf = ({ accessPolicy }: ProbeHost) => testConsent(accessPolicy);

function forbiddenMessage(text: string, hosts: readonly ProbeHost[]): string {
  const policies = [...new Set(hosts.map(({ accessPolicy }) => accessPolicy))].join(', ');
  const who = hosts.length === 1 && hosts[0]?.site !== text ? `${text} is` : `all hosts of ${text} are`;
  return `${who} registered with the access policy "${policies}": ask their operators first, then use --force-policy`;
}

function candidate(at: string, host: ProbeHost | undefined): Candidate {
  const url = host && registeredUrl(at, host);
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
    ...(url !== undefined && url !== pschedulerUrl({ source: at }) && { pschedulerUrl: url }),
    ...(remark !== undefined && { remark }),
  };
}

/** That which names the place itself, or else the preferred one: it leads to the same machine. */
function registeredUrl(at: string, { pschedulerUrls }: ProbeHost): string | undefined {
  return pschedulerUrls.find((url) => identifier(hostOf(url))?.text === at) ?? pschedulerUrls[0];
}

/** Its first name, and an address for where that does not resolve. */
function placesOf({ names, addresses }: ProbeHost): string[] {
  const address = addresses.find((text) => !text.includes(':')) ?? addresses[0];
  return [names[0], address].filter((place) => place !== undefined);
}

/** Of a site, at most so many names and addresses are asked whether a pScheduler answers there. */
const MAX_ASKED = 8;

/**
 * The first candidate at which a pScheduler answers; a single one is taken as it is.
 * @throws UserError where none answers
 */
export async function choose(
  text: string,
  candidates: readonly Candidate[],
  needsPscheduler: boolean,
  { http, signal }: { http: Pick<Http, 'getJson'>; signal?: AbortSignal },
): Promise<Candidate> {
  const [only, ...others] = candidates;
  if (only && others.length === 0) return only;
  const asked = candidates.slice(0, MAX_ASKED);
  const answers = await Promise.allSettled(asked.map((each) => http.getJson(`${urlOf(each)}/api`, signal)));
  signal?.throwIfAborted();
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
