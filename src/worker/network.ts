import { join } from 'node:path';
import { type ApplyOptions, allDone, apply, applyStages, type StepTiming } from './apply.ts';
import { untilCarrier } from './carrier.ts';
import type { WorkerConfig } from './config.ts';
import { keepAds, runHook } from './hooks.ts';
import { type JournalEntry, readEntry, readJournal, removeEntry, writeEntry } from './journal.ts';
import { acquireLease, claimName, listLeases, releaseLease } from './leases.ts';
import { downFor, type Parts, planFor } from './plan.ts';
import { linkExists } from './proc.ts';
import { standingOperations } from './standing.ts';
import type { HostFacts, JobNetwork, JobNetworkRequest, Lease, Operation, Plan, ProcessId } from './types.ts';

/** What set-up and tear-down need of the world. */
export interface NetworkContext {
  config: WorkerConfig;
  host: HostFacts;
  parts: Parts;
  bootId: string;
  /** This process: as long as it lives, what it began is its own to finish. */
  by: ProcessId;
  now: () => Date;
  /** Of the job that gets a network, for the site's hooks. */
  ads?: string | undefined;
  /** As soon as it is told what the job's network is called. */
  onName?: (name: string) => void;
  /** Before each step of a set-up, of a tear-down (`down:…`), of a sweep (`sweep:…`) and of an agent's start (`start:…`). */
  onStep?: (step: string, of?: StepOwner) => void;
}

/** Whose network a step is of. */
export interface StepOwner {
  name?: string;
  /** Absent where nothing is known of it but its name. */
  request?: JobNetworkRequest;
}

export const leasesFolder = (config: Pick<WorkerConfig, 'state'>): string =>
  join(config.state.runDirectory, 'leases');
export const journalFolder = (config: Pick<WorkerConfig, 'state'>): string =>
  join(config.state.runDirectory, 'journal');

/** Steps too small for a word in the journal of their own. */
const IN_THIS_PROCESS: ReadonlySet<string> = new Set(['file', 'sysctl']);

/** A job's network that stands. */
export interface Standing {
  lease: Lease;
  timings: StepTiming[];
}

/**
 * Gives a job its network: journal, lease, journal, and then the kernel, step by step. If anything fails, all of it is
 * taken back.
 * @param netns a path that leads to the job's network namespace, and the namespace's number
 * @throws UserError when nothing is free or the mode is not set up; CommandError when the kernel refused
 */
export async function setUp(
  request: JobNetworkRequest,
  netns: { path: string; number: number },
  context: NetworkContext,
): Promise<Standing> {
  const { config, parts, by, now, bootId, onStep } = context;
  const [leases, journal] = [leasesFolder(config), journalFolder(config)];
  const startedAt = now();
  onStep?.('name', { request });
  const name = claimName(leases, by, startedAt, request.owner);
  context.onName?.(name);
  let entry: JournalEntry = {
    name,
    request,
    step: 'lease',
    by,
    netns: netns.number,
    startedAt,
    isSilent: true,
  };
  const mark = (step: string): void => {
    entry = { ...entry, step };
    if (!IN_THIS_PROCESS.has(step)) writeEntry(journal, entry);
    onStep?.(step, entry);
  };
  try {
    mark('lease');
    const lease = acquireLease(name, request, { config, folder: leases, bootId, now: startedAt, by });
    entry = { ...entry, lease };
    const network = { request, lease };
    const plan = planFor(network, context, siblingsOf(network, config));
    const begin = async (): Promise<StepTiming[]> => {
      if (!request.isAccounted) return [];
      mark('begin');
      const begun = performance.now();
      for (const part of parts.parts) await part.begin?.(network, config);
      return [{ step: 'begin', ms: performance.now() - begun }];
    };
    const options = { netns: netns.path, onStep: mark };
    // What counts has to be written down before the first packet, and before the last stage there can be none.
    const before = await allDone([begin(), applyStages(plan.up.slice(0, -1), options)]);
    entry = { ...entry, isSilent: false };
    const timings = [...before.flat(), ...(await applyStages(plan.up.slice(-1), options))];
    await untilCarrier(name);
    const announce = parts.announce?.[request.mode];
    if (announce) {
      mark('announce');
      await announce(network, netns.path);
    }
    if (config.hooks.create) mark('hook');
    if (context.ads) keepAds(network.lease, config, context.ads);
    await runHook('create', network, config);
    mark('up');
    return { lease, timings };
  } catch (error) {
    await tearDown(name, context, { entry }).catch(() => {
      // The next sweep tries again; what matters now is why the set-up failed.
    });
    throw error;
  }
}

/**
 * Takes everything of a job away, whatever of it is there. Can be repeated, and be cut short at any place.
 * @throws CommandError when something is still in the kernel afterwards; journal and lease then stay, for the next try
 */
export async function tearDown(
  name: string,
  context: NetworkContext,
  known: { entry?: JournalEntry } = {},
): Promise<StepTiming[]> {
  const { config, host, parts, by, onStep } = context;
  const [leases, journal] = [leasesFolder(config), journalFolder(config)];
  let entry = known.entry ?? readEntry(journal, name);
  const lease =
    entry?.lease ?? listLeases(leases).holders.find((holder) => holder.lease.name === name)?.lease;
  let timings: StepTiming[] = [];
  if (entry && lease) {
    const { request } = entry;
    const network = { request, lease };
    const mark = (step: string): void => {
      entry = { ...entry!, by, lease, step: `down:${step}` };
      writeEntry(journal, entry);
      onStep?.(entry.step, entry);
    };
    // Mostly the device is gone by now, with the namespace of a job that ended: the site is told all the same.
    if (config.hooks.delete) mark('hook');
    await runHook('delete', network, config).catch(() => {
      // The site's program cannot keep a network from going.
    });
    if (linkExists(name)) {
      mark('quiet');
      timings = await apply([ipHost(`link set ${name} down`)], { isForced: true }).catch(() => []);
    }
    const collect = async (): Promise<StepTiming[]> => {
      if (!request.isAccounted) return [];
      mark('collect');
      const begun = performance.now();
      for (const part of parts.parts) await (entry?.isSilent ? part.discard?.(name) : part.collect?.(name));
      return [{ step: 'collect', ms: performance.now() - begun }];
    };
    const down = downFor(network, context, siblingsOf(network, config));
    timings.push(
      ...(await applyDown(down, name, {
        onStep: mark,
        collect,
        restoreStanding: async () => apply(await standingOperations(config, host, parts), { isForced: true }),
      })),
    );
  } else {
    // There is no more to know of it than its name. What else it has in the kernel, the sweep finds to be nobody's.
    if (linkExists(name)) {
      onStep?.('down:device', { name });
      timings = await applyDown([ipHost(`link del ${name}`)], name, {
        collect: async () => [],
        restoreStanding: async () => [],
      });
    }
    onStep?.('down:collect', { name });
    for (const part of parts.parts) await part.collect?.(name);
  }
  // The journal first: an entry whose addresses are somebody else's by now would have theirs taken away.
  onStep?.('down:journal', entry ?? { name });
  removeEntry(journal, name);
  onStep?.('down:release', entry ?? { name });
  releaseLease(leases, name, lease);
  return timings;
}

const ipHost = (line: string): Operation => ({ kind: 'ip', where: 'host', lines: [line] });

/** Where shares are by user, those of all its jobs change when one comes or goes. */
function siblingsOf({ request, lease }: JobNetwork, config: WorkerConfig): JobNetwork[] {
  if (config.shaping.shareBy !== 'user' || !request.bandwidth) return [];
  return readJournal(journalFolder(config)).entries.flatMap((entry) =>
    entry.lease && entry.step === 'up' && entry.request.owner === request.owner && entry.name !== lease.name
      ? [{ request: entry.request, lease: entry.lease }]
      : [],
  );
}

interface DownOptions extends Pick<ApplyOptions, 'onStep'> {
  /** Writes down what the counters hold. */
  collect(): Promise<StepTiming[]>;
  restoreStanding(): Promise<unknown>;
}

/**
 * What is missing already makes lines fail, so failures are judged by what is left. Counters go when they are written
 * down; the device, which takes longest, need not wait for that.
 */
async function applyDown(
  down: Plan['down'],
  name: string,
  { onStep, collect, restoreStanding }: DownOptions,
): Promise<StepTiming[]> {
  const collected = collect();
  const one = async (operation: Operation): Promise<StepTiming[]> => {
    if (operation.kind === 'nft') await collected;
    try {
      return await apply([operation], { isForced: true, ...(onStep && { onStep }) });
    } catch (error) {
      if (operation.kind === 'ip' && linkExists(name)) throw error;
      if (operation.kind !== 'nft') return [];
      // One bad line voids a whole nft batch: the tables were gone. With them back, it has to work.
      await restoreStanding();
      return apply([operation], { isForced: true });
    }
  };
  return (await allDone([collected, ...down.map(one)])).flat();
}
