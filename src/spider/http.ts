import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls';
import axios from 'axios';
import { hostOf } from '../address.ts';
import type { Fault } from '../domain.ts';
import { type HostRule, policyOf } from '../host-rules.ts';
import { BodyMemory } from './body-memory.ts';
import { BodyTooLarge, NoAnswer, sendDirectly } from './direct.ts';
import { Semaphore } from './limit.ts';
import { Names } from './names.ts';
import { RememberedDocuments, type Validators, validatorsOf } from './unchanged.ts';

export interface HttpOptions {
  /** Limit for name resolution, connection and TLS handshake together. */
  connectTimeoutSeconds: number;
  /** Limit from the moment the request may start to the last byte of the body. */
  bodyTimeoutSeconds: number;
  /** Limit for the body as it is after decompression. */
  maxBodyMB: number;
  /** Requests at once over all hosts, and to one machine, by whichever of its names and addresses. */
  concurrency: number;
  perHostConcurrency: number;
  /** Whether a certificate must be signed by a known authority; a perfSONAR host's own is not. */
  verifyCertificates: boolean;
  /** Hosts that are spoken to in another way. */
  hosts: readonly HostRule[];
  /** Whom an operator may write to: part of the User-Agent. */
  contact: string;
}

/** `contact` as HttpOptions has it. */
const userAgent = (contact: string) => `lark/0.1 (perfSONAR spider${contact === '' ? '' : `; ${contact}`})`;

/** Why a request brought no JSON. `message` is one sentence that names the URL. */
export class HttpFailure extends Error {
  override readonly name = 'HttpFailure';
  readonly fault: Fault;
  readonly url: string;
  /** The HTTP status, where the server answered with one that is not 2xx. */
  readonly status: number | undefined;
  /** The beginning of what such an answer said to people; '' where it said nothing. */
  readonly said: string;

  constructor(fault: Fault, url: string, what: string, status?: number, said = '') {
    super(`${url} ${what}`);
    this.fault = fault;
    this.url = url;
    this.status = status;
    this.said = said;
  }
}

/** No connection stood within its time: whatever else is asked of that host and port would wait as long. */
export class ConnectTimeout extends HttpFailure {
  constructor(url: string, seconds: number) {
    super('timeout', url, `was not connected within ${seconds} s`);
  }
}

/** It was reached and did not begin to answer, nor will it answer anything else that is asked of it. */
export class SilentServer extends HttpFailure {
  constructor(url: string, seconds: number) {
    super('timeout', url, `said nothing within ${seconds} s`);
  }
}

/** What a server of which nobody knows that it lives has to begin to answer within, in connect limits. */
const HURRIED_CONNECT_LIMITS = 2;

export interface RequestOptions {
  /** Not sent on to another host or port. */
  credentials?: Credentials | undefined;
  /**
   * The answer must begin within two connect limits: a machine that takes connections and then is silent would
   * otherwise be waited for as long as for the longest body. Not where a proxy, or credentials, stand between.
   */
  isHurried?: boolean;
}

/** For HTTP's basic authentication. */
export interface Credentials {
  user: string;
  password: string;
}

/** PEM texts: an authority to trust besides the known ones, and the certificate to show. */
export interface TlsIdentity {
  ca?: string;
  certificate?: string;
  key?: string;
}

/**
 * What came, to be taken once. Who waits for an answer has grown old by the time it is there, as V8 counts: what its
 * promise or suspended function refers to is not free before the next collection of everything. A long body so comes in
 * something that can be emptied, and what it is parsed into is best held by functions that never wait.
 */
export interface Body {
  take(): string;
}

/** A document, or the news that it has not changed. */
export type FetchedDocument = { isUnchanged: true } | ({ isUnchanged: false; text: string } & Validators);

export interface Http {
  /**
   * GETs a document of any type, unless the server says that it is still the one that `known` describes. In all else
   * like `getJson`, but that the server's certificate is always verified: what such a document says is believed.
   * @throws HttpFailure, or the signal's reason when it aborts
   */
  getDocument(
    url: string,
    known: Validators,
    tls?: TlsIdentity,
    signal?: AbortSignal,
  ): Promise<FetchedDocument>;
  /**
   * GETs a URL and parses its body. Proxies are taken from the environment (http_proxy, https_proxy, no_proxy). An
   * answer whose server can tell that it has not changed is not sent again.
   * @throws HttpFailure, or the signal's reason when it aborts
   */
  getJson(url: string, signal?: AbortSignal, options?: Pick<RequestOptions, 'isHurried'>): Promise<unknown>;
  /** Like `getJson`, but for answers that are long: their text. */
  getBody(url: string, signal?: AbortSignal, options?: Pick<RequestOptions, 'isHurried'>): Promise<Body>;
  /**
   * POSTs a JSON body and parses the answer, in all else like `getJson`. Redirects are followed with the same
   * method and body. A request that meets a kept connection just as the server closes it is sent again: only for
   * requests that do no harm twice, such as searches.
   * @throws HttpFailure, or the signal's reason when it aborts
   */
  postJson(url: string, body: unknown, signal?: AbortSignal, options?: RequestOptions): Promise<unknown>;
  /** Like `postJson`, but for answers that are long: their text. */
  postForBody(url: string, body: unknown, signal?: AbortSignal, options?: RequestOptions): Promise<Body>;
  /**
   * For requests that change something at the server: sent once, on a connection of its own, redirected nowhere.
   * Returns the answer's text.
   * @throws HttpFailure, or the signal's reason when it aborts
   */
  send(method: 'POST' | 'DELETE', url: string, body?: unknown, signal?: AbortSignal): Promise<string>;
  /** Notes that all these names and addresses are of one machine, and limited together. */
  oneMachine(hosts: readonly string[]): void;
  /**
   * Makes a connection and gives it up again: no request, so it waits for nobody's turn. What kept it from standing;
   * undefined where it stood, and where a proxy may stand between.
   * @throws the signal's reason when it aborts
   */
  connectFailure(url: string, signal?: AbortSignal): Promise<HttpFailure | undefined>;
  /** Requests sent so far, by host. */
  requestsByHost(): ReadonlyMap<string, number>;
  /** Closes the connections that are kept alive. */
  close(): void;
}

export function createHttp(options: HttpOptions): Http {
  const agentName = userAgent(options.contact);
  const names = new Names();
  const remembered = new RememberedDocuments();
  const connectTimeoutMs = options.connectTimeoutSeconds * 1000;
  const answerLimitMs = HURRIED_CONNECT_LIMITS * connectTimeoutMs;
  const kept = connectionAgents(connectTimeoutMs, true, names);
  const fresh = connectionAgents(connectTimeoutMs, false, names);
  const globalSlots = new Semaphore(options.concurrency);
  const memory = new BodyMemory();
  const hostSlots = new Map<string, Semaphore>();
  const requests = new Map<string, number>();
  const verifies = (host: string) => {
    const { certificates } = policyOf(options.hosts, host);
    return certificates === undefined ? options.verifyCertificates : certificates === 'verify';
  };
  const refusePlain = (url: string, protocol: string, host: string) => {
    if (protocol === 'http:' && policyOf(options.hosts, host).scheme === 'https')
      throw new HttpFailure(
        'forbidden',
        url,
        `is to be asked by plain http, which http.hosts forbids for ${host}`,
      );
  };

  async function fetchResponse(
    request: Request,
    signal: AbortSignal,
    agents: ConnectionAgents,
    redirects = MAX_REDIRECTS,
  ): Promise<Answer> {
    const { method, url, host, body, isRepeatable, isHurried, credentials, conditions, validators } = request;
    refusePlain(url, new URL(url).protocol, host);
    const known = conditions ?? validators;
    requests.set(host, (requests.get(host) ?? 0) + 1);
    const httpsAgent = verifies(host) || conditions ? agents.verifying : agents.accepting;
    const headers = {
      'User-Agent': agentName,
      Accept: conditions ? '*/*' : 'application/json',
      ...(known?.etag && { 'If-None-Match': known.etag }),
      ...(known?.lastModified && { 'If-Modified-Since': known.lastModified }),
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
    };
    const isPlain = isRepeatable && !conditions && !credentials && method !== 'DELETE' && !mayHaveProxy();
    const agent = url.startsWith('https:') ? httpsAgent : agents.http;
    const maxBodyBytes = options.maxBodyMB * 1e6;
    const direct = isPlain
      ? await sendDirectly(
          { method, url, agent, headers, body, maxBodyBytes, ...(isHurried && { answerLimitMs }) },
          memory,
          signal,
        )
      : undefined;
    // Where a GET is redirected to is found by the long way.
    const isRedirect = direct && direct.status >= 300 && direct.status <= 399 && direct.status !== 304;
    const response = direct && (method === 'POST' || !isRedirect) ? direct : await askAxios();
    const target = method === 'GET' || !isRepeatable ? undefined : redirectTarget(url, response);
    if (target !== undefined) {
      if (redirects === 0) throw new HttpFailure('http-error', url, 'redirects too often', response.status);
      const staysThere = new URL(target).origin === new URL(url).origin;
      const onward = { method, url: target, host: hostOf(target), body, isRepeatable, isHurried };
      const next = staysThere ? { ...onward, credentials } : onward;
      return fetchResponse(next, signal, agents, redirects - 1);
    }
    const isUnchanged = response.status === 304 && (known?.etag || known?.lastModified);
    if ((response.status < 200 || response.status > 299) && !isUnchanged) throw statusFailure(url, response);
    return response;

    async function askAxios(): Promise<Answer> {
      const response = await axios.request<string>({
        url,
        method,
        data: body,
        ...(credentials && { auth: { username: credentials.user, password: credentials.password } }),
        signal,
        httpAgent: agents.http,
        httpsAgent,
        headers,
        responseType: 'text',
        transformResponse: [(data: string) => data],
        validateStatus: null,
        // A POST that is redirected by 301 or 302 would go on as a GET without its body, and be answered as such.
        maxRedirects: method === 'GET' ? MAX_REDIRECTS : 0,
        beforeRedirect: ({ protocol, hostname }) =>
          refusePlain(url, String(protocol), String(hostname).replace(/^\[|\]$/g, '')),
        maxContentLength: maxBodyBytes,
      });
      const { status, statusText, headers: said, data: text } = response;
      const isRedirected = response.request?.res?.responseUrl !== url;
      return { status, statusText, headers: said, text, isRedirected };
    }
  }

  async function fetchWithin(request: Request, signal?: AbortSignal, agents = kept): Promise<Answer> {
    // It may have aborted while the request waited for its turn.
    signal?.throwIfAborted();
    const total = new AbortController();
    const onAbort = () => total.abort(signal?.reason);
    const limit = setTimeout(() => total.abort(new TotalTimeout()), options.bodyTimeoutSeconds * 1000);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      if (!request.isRepeatable) return await fetchResponse(request, total.signal, fresh);
      return await fetchResponse(request, total.signal, agents).catch((error: unknown) => {
        // A server may close a kept connection just as it is used again: one more try, on a new one.
        if (wasResetUnanswered(error) && agents === kept) return fetchResponse(request, total.signal, fresh);
        throw error;
      });
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (total.signal.reason instanceof TotalTimeout)
        throw new HttpFailure('timeout', request.url, `was not done within ${options.bodyTimeoutSeconds} s`);
      throw failureOf(error, request.url, options);
    } finally {
      clearTimeout(limit);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** The name itself where the name service is slow: the connection then meets its limit. */
  async function inTime(machine: Promise<string>, name: string): Promise<string> {
    const late = new AbortController();
    try {
      return await Promise.race([machine, wait(connectTimeoutMs, name, { signal: late.signal })]);
    } finally {
      late.abort();
    }
  }

  async function fetchInTurn(
    request: Request,
    signal?: AbortSignal,
    agents?: ConnectionAgents,
  ): Promise<Answer> {
    const found = names.machine(request.host);
    const machine = typeof found === 'string' ? found : await inTime(found, request.host);
    const ofHost = hostSlots.get(machine) ?? new Semaphore(options.perHostConcurrency);
    hostSlots.set(machine, ofHost);
    // The host's slot first: a request that waits for a busy host must not hold up the others.
    const releaseHost = await ofHost.acquire(signal);
    try {
      const releaseGlobal = await globalSlots.acquire(signal);
      try {
        return await fetchWithin(request, signal, agents);
      } finally {
        releaseGlobal();
      }
    } finally {
      releaseHost();
      if (ofHost.isIdle) hostSlots.delete(machine);
    }
  }

  async function getBody(
    url: string,
    signal?: AbortSignal,
    { isHurried = false }: Pick<RequestOptions, 'isHurried'> = {},
  ): Promise<Body> {
    const request: Request = { method: 'GET', url, host: hostOf(url), isRepeatable: true, isHurried };
    const answer = await fetchInTurn({ ...request, validators: remembered.validators(url) }, signal);
    if (answer.status !== 304) {
      if (!answer.isRedirected) remembered.remember(url, answer.text, answer.headers);
      return bodyOf(answer);
    }
    const known = remembered.text(url);
    return known === undefined ? bodyOf(await fetchInTurn(request, signal)) : { take: () => known };
  }

  async function postForBody(
    url: string,
    body: unknown,
    signal?: AbortSignal,
    asking: RequestOptions = {},
  ): Promise<Body> {
    const text = JSON.stringify(body);
    const request: Request = { method: 'POST', url, host: hostOf(url), body: text, isRepeatable: true };
    return bodyOf(await fetchInTurn({ ...request, ...asking }, signal));
  }

  return {
    async getDocument(url, known, tls, signal) {
      const request: Request = {
        method: 'GET',
        url,
        host: hostOf(url),
        isRepeatable: true,
        conditions: known,
      };
      // A connection of its own: others must not be given one that was made with this identity.
      const own = tls && connectionAgents(connectTimeoutMs, false, names, tls);
      const { status, text, headers } = await fetchInTurn(request, signal, own);
      if (status === 304) return { isUnchanged: true };
      return { isUnchanged: false, text, ...validatorsOf(headers) };
    },
    getBody,
    async getJson(url, signal, asking) {
      return parseJson((await getBody(url, signal, asking)).take(), url);
    },
    async postJson(url, body, signal, asking) {
      return parseJson((await postForBody(url, body, signal, asking)).take(), url);
    },
    postForBody,
    async send(method, url, body, signal) {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const request: Request = { method, url, host: hostOf(url), body: text, isRepeatable: false };
      return (await fetchInTurn(request, signal)).text;
    },
    oneMachine: (hosts) => names.join(hosts),
    async connectFailure(url, signal) {
      signal?.throwIfAborted();
      if (mayHaveProxy()) return undefined;
      const { protocol, port } = new URL(url);
      const { promise, resolve, reject } = Promise.withResolvers<HttpFailure | undefined>();
      const socket = net.connect({
        host: hostOf(url),
        port: Number(port) || (protocol === 'https:' ? 443 : 80),
        lookup: names.lookup,
      });
      const onAbort = () => reject(signal?.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      socket.once('connect', () => resolve(undefined));
      socket.once('error', (error) => resolve(failureOf(error, url, options)));
      limitConnect(socket, 'connect', connectTimeoutMs);
      return promise.finally(() => {
        signal?.removeEventListener('abort', onAbort);
        socket.destroy();
      });
    },
    requestsByHost: () => requests,
    close() {
      for (const agent of [...Object.values(kept), ...Object.values(fresh)]) agent.destroy();
    },
  };
}

interface Request {
  method: 'GET' | 'POST' | 'DELETE';
  url: string;
  host: string;
  /** JSON text. */
  body?: string | undefined;
  /** Whether it may be sent again after a dropped connection, and sent on by a redirect. */
  isRepeatable: boolean;
  /** See RequestOptions. */
  isHurried?: boolean | undefined;
  credentials?: Credentials | undefined;
  /** Set for documents: what the server is asked to compare with, if anything is known. */
  conditions?: Validators;
  /** What the server may compare with. */
  validators?: Validators | undefined;
}

interface Answer {
  status: number;
  statusText: string;
  headers: Readonly<Record<string, unknown>>;
  text: string;
  /** Whether it came from another URL than the one that was asked. */
  isRedirected?: boolean;
}

function bodyOf(answer: Answer): Body {
  return {
    take() {
      const { text } = answer;
      answer.text = '';
      return text;
    },
  };
}

/** Whether the environment names a proxy at all; axios then finds out for which hosts. */
function mayHaveProxy(): boolean {
  const { env } = process;
  return Boolean(
    env.http_proxy || env.HTTP_PROXY || env.https_proxy || env.HTTPS_PROXY || env.all_proxy || env.ALL_PROXY,
  );
}

const MAX_REDIRECTS = 3;

function redirectTarget(url: string, { status, headers }: Answer): string | undefined {
  const location: unknown = headers.location;
  if (![301, 302, 307, 308].includes(status) || typeof location !== 'string') return undefined;
  const target = URL.parse(location, url);
  return target && /^https?:$/.test(target.protocol) ? target.href : undefined;
}

class TotalTimeout extends Error {}

const CONNECT_LIMIT = 'LARK_CONNECT_LIMIT';

type ConnectionAgents = ReturnType<typeof connectionAgents>;

function limitConnect<S extends Duplex | null | undefined>(
  socket: S,
  readyEvent: string,
  connectTimeoutMs: number,
): S {
  if (!socket) return socket;
  const error = Object.assign(new Error('connect limit'), { code: CONNECT_LIMIT });
  const timer = setTimeout(() => socket.destroy(error), connectTimeoutMs);
  const done = () => clearTimeout(timer);
  socket.once(readyEvent, done).once('close', done);
  return socket;
}

/** For all connections that bring no certificates of their own: Node makes one for each, of a hundred kilobytes, if it is let. */
let contextOfAll: SecureContext | undefined;

function plainContext(): SecureContext {
  contextOfAll ??= createSecureContext();
  return contextOfAll;
}

/** Agents that give up a connection which does not stand in time: axios itself limits only the whole. */
function connectionAgents(
  connectTimeoutMs: number,
  keepAlive: boolean,
  { lookup }: Names,
  tls: TlsIdentity = {},
) {
  const hasIdentity = Object.keys(tls).length > 0;
  class HttpAgent extends http.Agent {
    override createConnection(options: http.ClientRequestArgs, callback?: ConnectionCallback) {
      return limitConnect(super.createConnection(options, callback), 'connect', connectTimeoutMs);
    }
  }
  class HttpsAgent extends https.Agent {
    override createConnection(options: https.RequestOptions, callback?: ConnectionCallback) {
      const secure = hasIdentity ? options : { ...options, secureContext: plainContext() };
      return limitConnect(super.createConnection(secure, callback), 'secureConnect', connectTimeoutMs);
    }
  }
  const identity = {
    ...(tls.ca !== undefined && { ca: [...rootCertificates, tls.ca] }),
    ...(tls.certificate !== undefined && { cert: tls.certificate }),
    ...(tls.key !== undefined && { key: tls.key }),
  };
  return {
    http: new HttpAgent({ keepAlive, lookup }),
    verifying: new HttpsAgent({ keepAlive, lookup, rejectUnauthorized: true, ...identity }),
    accepting: new HttpsAgent({ keepAlive, lookup, rejectUnauthorized: false }),
  };
}

type ConnectionCallback = (error: Error | null, stream: Duplex) => void;

function statusFailure(url: string, response: Answer): HttpFailure {
  const { status, statusText } = response;
  const fault = status === 401 || status === 403 ? 'forbidden' : 'http-error';
  const said = bodySummary(response.text);
  const what = `answered ${status}${statusText ? ` ${statusText}` : ''}${said ? ` (${said})` : ''}`;
  return new HttpFailure(fault, url, what, status, said);
}

/** The human part of an error page: the `detail` of esmond's JSON, the title of HTML, or the first words. */
function bodySummary(body: string): string {
  const text =
    /"detail"\s*:\s*"([^"]*)"/.exec(body)?.[1] ?? /<title>([^<]*)<\/title>/i.exec(body)?.[1] ?? body;
  const line = text
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  return line.length > 120 ? `${line.slice(0, 120)}…` : line;
}

function wasResetUnanswered(error: unknown): boolean {
  if (!(error instanceof Error) || (axios.isAxiosError(error) && error.response)) return false;
  const { code, message } = error as NodeJS.ErrnoException;
  return (code === 'ECONNRESET' || code === 'EPIPE') && !/aborted/.test(message);
}

const FAULT_BY_CODE: Record<string, Fault> = {
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENETUNREACH: 'unreachable',
  ENETDOWN: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  EINVAL: 'unreachable',
  ETIMEDOUT: 'timeout',
  [CONNECT_LIMIT]: 'timeout',
  HOSTNAME_MISMATCH: 'certificate',
  ERR_FR_TOO_MANY_REDIRECTS: 'http-error',
};

/** Names, as OpenSSL and Node report them, of what can be wrong with a certificate. */
const CERTIFICATE_CODE = /SELF_SIGNED|^CERT_|^UNABLE_TO_|^ERR_TLS_CERT|^INVALID_CA|_ISSUER/;

function failureOf(error: unknown, url: string, options: HttpOptions): HttpFailure {
  // What was thrown at a redirect comes wrapped.
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (cause instanceof HttpFailure) return cause;
  if (!(error instanceof Error)) return new HttpFailure('unreachable', url, `failed: ${String(error)}`);
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (error instanceof BodyTooLarge || /maxContentLength/.test(error.message))
    return new HttpFailure('too-large', url, `answered more than the ${options.maxBodyMB} MB allowed`);
  if (CERTIFICATE_CODE.test(code))
    return new HttpFailure('certificate', url, `has a certificate that is not accepted (${error.message})`);
  if (error instanceof NoAnswer)
    return new SilentServer(url, HURRIED_CONNECT_LIMITS * options.connectTimeoutSeconds);
  if (code === CONNECT_LIMIT) return new ConnectTimeout(url, options.connectTimeoutSeconds);
  if (code === 'ENOTFOUND' || code.startsWith('EAI_'))
    return new HttpFailure('dns', url, `has a name that does not resolve (${code})`);
  const fault = FAULT_BY_CODE[code];
  if (fault) return new HttpFailure(fault, url, `could not be reached (${error.message || code})`);
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_'))
    return new HttpFailure('refused', url, `failed in the TLS handshake (${code})`);
  if (wasResetUnanswered(error))
    return new HttpFailure('refused', url, `closed the connection without an answer (${code})`);
  if (
    code === 'ECONNRESET' ||
    code === 'EPIPE' ||
    // What was compressed breaks off, or is garbled.
    code.startsWith('Z_') ||
    code.startsWith('ERR__ERROR_') ||
    code === 'ERR_BAD_RESPONSE' ||
    /aborted/.test(error.message)
  )
    return new HttpFailure('truncated', url, `broke off its answer (${error.message})`);
  return new HttpFailure('unreachable', url, `failed (${error.message || code})`);
}

/** @throws HttpFailure `not-json` or `truncated` */
export function parseJson(body: string, url: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    const text = body.trim();
    if (text === '') throw new HttpFailure('not-json', url, 'answered with an empty body');
    if (text.startsWith('<')) throw new HttpFailure('not-json', url, `answered HTML (${bodySummary(text)})`);
    const { message } = error as SyntaxError;
    if (/^[[{]/.test(text) && endsInTheMiddle(body.trimEnd(), message))
      throw new HttpFailure(
        'truncated',
        url,
        `answered JSON that breaks off after ${body.length} characters`,
      );
    throw new HttpFailure('not-json', url, `answered no JSON (${message})`);
  }
}

/** Whether the parser met the end of the text where it expected more. */
function endsInTheMiddle(text: string, message: string): boolean {
  const closing = text.trimStart().startsWith('[') ? ']' : '}';
  const position = /at position (\d+)/.exec(message)?.[1];
  return !text.endsWith(closing) || /end of JSON/.test(message) || Number(position) >= text.length;
}
