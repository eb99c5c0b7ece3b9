import { hostname, userInfo } from 'node:os';
import { z } from 'zod';
import {
  type BreakerView,
  breakersView,
  breakerView,
  type EventView,
  eventOf,
  eventView,
  type ForceRequest,
  force,
  forcingsView,
  forcingView,
  type ReleaseRequest,
  release,
} from '../api/breakers.ts';
import { checkPolicy } from '../breaker/check.ts';
import { loadPolicies, loadPolicy } from '../breaker/policy.ts';
import { type Config, loadConfig } from '../config.ts';
import { UserError } from '../errors.ts';
import { asked, changed } from './store-or-api.ts';
import { ago, table, until } from './table.ts';
import { durationSeconds } from './times.ts';

interface Output {
  json?: boolean;
}

/** `lark breaker check [FILE…]`: what is wrong with policies; exits 1 where anything is. */
export function breakerCheck(configFile: string | undefined, files: readonly string[], output: Output): void {
  const folder = (): string => loadConfig(configFile, process.env).config.breaker.policies;
  const policies = files.length > 0 ? files.map(loadPolicy) : loadPolicies(folder());
  const checked = policies.map((policy) => ({ policy: policy.name, problems: checkPolicy(policy) }));
  if (output.json) print(JSON.stringify(checked, null, 2));
  else {
    for (const { policy, problems } of checked) {
      if (problems.length === 0) print(`${policy}: nothing is wrong`);
      for (const problem of problems) print(`${policy}: ${problem}`);
    }
  }
  if (checked.some(({ problems }) => problems.length > 0)) process.exitCode = 1;
}

/** `lark breaker list [SRC] [DST]` */
export async function breakerList(
  configFile: string | undefined,
  ends: { srcSite?: string; dstSite?: string },
  options: Output & { all?: boolean },
): Promise<void> {
  const { config } = loadConfig(configFile, process.env);
  const filter = { ...ends, notable: !options.all };
  const query = new URLSearchParams({
    notable: String(!options.all),
    ...(ends.srcSite !== undefined && { src: ends.srcSite }),
    ...(ends.dstSite !== undefined && { dst: ends.dstSite }),
  });
  const found = await asked(config, {
    fromStore: (store) => breakersView(store, filter),
    apiPath: `breakers?${query}`,
    schema: z.array(breakerView),
  });
  if (options.json) return print(JSON.stringify(found, null, 2));
  if (found.length > 0) return print(breakersTable(found, new Date()));
  print(
    options.all ? 'No breaker: nothing is measured yet, or no policy covers it.' : 'Every breaker is closed.',
  );
}

export function breakersTable(breakers: readonly BreakerView[], now: Date): string {
  return table(breakers, [
    { heading: 'PATH', cell: ({ path }) => path },
    { heading: 'POLICY', cell: ({ policy }) => policy },
    { heading: 'STATE', cell: ({ state }) => state },
    { heading: 'SINCE', cell: ({ since }) => ago(since, now), right: true },
    { heading: 'RETRY IN', cell: ({ retryAt }) => until(retryAt, now), right: true },
    { heading: 'WITHHOLDS', cell: withheldText },
    { heading: 'WHY', cell: ({ reason, partOf }) => (partOf ? `part of ${partOf}: ${reason}` : reason) },
  ]);
}

/** `> 100 MB in, > 600 s`, `-` for nothing. */
export function withheldText({ withholds, tickets }: Pick<BreakerView, 'withholds' | 'tickets'>): string {
  if (!withholds) return '-';
  const { maxInputMB, maxOutputMB, maxTransferSeconds, maxJobs } = withholds;
  const limits = [
    maxInputMB !== undefined && `> ${maxInputMB} MB in`,
    maxOutputMB !== undefined && `> ${maxOutputMB} MB out`,
    maxTransferSeconds !== undefined && `> ${maxTransferSeconds} s`,
    maxJobs !== undefined && `> ${maxJobs} jobs`,
  ].filter((limit) => limit !== false);
  const but = tickets && tickets.to > tickets.from ? ` but tickets ${tickets.from}..${tickets.to - 1}` : '';
  return limits.join(', ') + but;
}

/** `lark breaker events`: what happened, the newest last. */
export async function breakerEvents(
  configFile: string | undefined,
  ends: { srcSite?: string; dstSite?: string },
  options: Output & { since: string },
): Promise<void> {
  const { config } = loadConfig(configFile, process.env);
  const since = new Date(Date.now() - durationSeconds(options.since, '--since') * 1000);
  const query = new URLSearchParams({
    since: since.toISOString(),
    limit: String(EVENTS_SHOWN),
    ...(ends.srcSite !== undefined && { src: ends.srcSite }),
    ...(ends.dstSite !== undefined && { dst: ends.dstSite }),
  });
  const found = await asked(config, {
    fromStore: async (store) =>
      (await store.transitions({ ...ends, since, limit: EVENTS_SHOWN })).map(eventOf),
    apiPath: `transitions?${query}`,
    schema: z.array(eventView),
  });
  if (options.json) return print(JSON.stringify(found, null, 2));
  if (found.length === 0) return print(`No breaker changed its state in the last ${options.since}.`);
  print(eventsTable(found.reverse()));
}

const EVENTS_SHOWN = 1000;

function eventsTable(events: readonly EventView[]): string {
  return table(events, [
    { heading: 'AT', cell: ({ at }) => at.replace(/\.\d+Z$/, 'Z') },
    { heading: 'PATH', cell: ({ path }) => path },
    { heading: 'POLICY', cell: ({ policy }) => policy },
    { heading: 'CHANGE', cell: ({ from, to }) => `${from} -> ${to}` },
    { heading: 'WHY', cell: ({ reason, partOf }) => (partOf ? `part of ${partOf}: ${reason}` : reason) },
  ]);
}

/** `lark breaker force SRC DST open|closed --for 2h --reason …` */
export async function breakerForce(
  configFile: string | undefined,
  srcSite: string,
  dstSite: string,
  state: string,
  options: Output & { for: string; reason: string; policy?: string },
): Promise<void> {
  const { config } = loadConfig(configFile, process.env);
  if (state !== 'open' && state !== 'closed') {
    throw new UserError(
      `"${state}": a breaker is forced open or closed; "lark breaker release" takes it back`,
    );
  }
  const request: ForceRequest = {
    srcSite,
    dstSite,
    ...(options.policy !== undefined && { policy: options.policy }),
    state,
    seconds: durationSeconds(options.for, '--for'),
    reason: options.reason,
    owner: `${userInfo().username}@${hostname()}`,
  };
  const said = await changed(config, {
    inStore: (store) => force(store, request, new Date()),
    method: 'POST',
    apiPath: 'forcings',
    body: request,
    schema: forcingView,
  });
  if (options.json) return print(JSON.stringify(said, null, 2));
  print(`${said.path} is ${said.state} until ${said.until}, from the next cycle on: ${said.reason}`);
}

/** `lark breaker release SRC DST` */
export async function breakerRelease(
  configFile: string | undefined,
  srcSite: string,
  dstSite: string,
  options: { policy?: string },
): Promise<void> {
  const { config } = loadConfig(configFile, process.env);
  const request: ReleaseRequest = {
    srcSite,
    dstSite,
    ...(options.policy !== undefined && { policy: options.policy }),
  };
  await changed(config, {
    inStore: async (store) => ({ released: await release(store, request, new Date()) }),
    method: 'DELETE',
    apiPath: 'forcings',
    body: request,
    schema: z.object({ released: z.int() }),
  });
  print(`${srcSite}>${dstSite} is no more forced, from the next cycle on.`);
}

/** `lark breaker forced` */
export async function breakerForced(configFile: string | undefined, output: Output): Promise<void> {
  const { config } = loadConfig(configFile, process.env);
  const found = await forcedNow(config);
  if (output.json) return print(JSON.stringify(found, null, 2));
  if (found.length === 0) return print('Nothing is forced.');
  print(
    table(found, [
      { heading: 'PATH', cell: ({ path }) => path },
      { heading: 'POLICY', cell: ({ policy }) => policy ?? 'all' },
      { heading: 'STATE', cell: ({ state }) => state },
      { heading: 'ENDS IN', cell: ({ until: end }) => until(end, new Date()), right: true },
      { heading: 'BY', cell: ({ owner }) => owner },
      { heading: 'WHY', cell: ({ reason }) => reason },
    ]),
  );
}

const forcedNow = (config: Config) =>
  asked(config, {
    fromStore: (store) => forcingsView(store, new Date()),
    apiPath: 'forcings',
    schema: z.array(forcingView),
  });

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
