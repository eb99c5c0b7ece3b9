import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import { apply } from './apply.ts';
import { runCommand } from './commands.ts';
import { type JournalEntry, readEntry, readJournal } from './journal.ts';
import { listLeases, restoreLease } from './leases.ts';
import { type Limiter, limiter } from './limiter.ts';
import { journalFolder, leasesFolder, type NetworkContext, tearDown } from './network.ts';
import { planFor } from './plan.ts';
import { interfacesOf, isAlive, pidExists } from './proc.ts';
import { removeDebris, UNFINISHED } from './records.ts';
import { forwardingOperations, standingOperations } from './standing.ts';
import { JOB_NAME, type Operation } from './types.ts';

export interface SweepReport {
  /** Networks without a living job, which are gone now. */
  removed: string[];
  /** Living ones whose rules or lease had vanished, e.g. by `nft flush ruleset`, and stand again. */
  mended: string[];
  /** Files of journal and leases that held nothing that can be understood. */
  unreadable: string[];
  /** What is still there, and why. */
  failed: string[];
}

/** `inet lark` and `netdev lark`. */
const TABLES = 2;
/** Anywhere: a chain's name has more around it. */
const NAMES = /(?<![0-9a-z])lk[0-9a-z]{8}(?![0-9a-z])/g;

/**
 * The union of what kernel, journal and leases know is compared with the jobs that live, and the difference mended.
 * @param inHand names that this process is setting up or taking down right now
 */
export async function sweep(
  context: NetworkContext,
  inHand: ReadonlySet<string>,
  limit: Limiter = limiter(context.config.agent.parallel),
): Promise<SweepReport> {
  const mark = (step: string): void => context.onStep?.(`sweep:${step}`);
  const report: SweepReport = { removed: [], mended: [], unreadable: [], failed: [] };
  const { config, host, parts } = context;
  const [leases, journal] = [leasesFolder(config), journalFolder(config)];

  // What is in the kernel is read first: a network that is begun afterwards is not among it, and left alone.
  const links = (interfacesOf(process.pid) ?? []).filter((name) => JOB_NAME.test(name));
  const nft = await nftState();
  const held = listLeases(leases);
  const { entries, debris } = readJournal(journal);

  const living = entries.filter((entry) => isLiving(entry, context, inHand));
  const isTorn = (file: string): boolean => !UNFINISHED.test(file);
  report.unreadable.push(...held.debris.filter(isTorn), ...debris.filter(isTorn));
  const restored = new Set<string>();
  for (const { name, lease, request, step, by } of living) {
    if (step !== 'up' || !lease || inHand.has(name)) continue;
    context.onStep?.('sweep:lease', { name, request });
    const again = restoreLease(leases, held, { lease, owner: request.owner, by }, request.mode);
    for (const file of again.restored) restored.add(file);
    if (again.restored.length > 0) report.mended.push(name);
    if (again.lost.length > 0) report.failed.push(`${name}: somebody else has ${again.lost.join(', ')}`);
  }
  const kept = new Set([...inHand, ...living.map(({ name }) => name)]);
  const known = new Set([...links, ...nft.names, ...held.names.keys(), ...entries.map(({ name }) => name)]);
  await Promise.all(
    [...known].map(async (name) => {
      if (kept.has(name) || isTakenByOther(name, context, held.names)) return;
      try {
        await limit.run(() => tearDown(name, context));
        report.removed.push(name);
      } catch (error) {
        report.failed.push(`${name}: ${messageOf(error)}`);
      }
    }),
  );

  await mend(
    living.filter(({ name }) => !inHand.has(name)),
    nft,
    context,
    report,
  );
  mark('leftovers');
  await limit.alone(async () => {
    // Whatever is written down belongs to somebody, however far it has come.
    const written = () => readJournal(journal).entries.flatMap(({ lease }) => lease ?? []);
    for (const part of parts.parts) {
      const leftovers = (await part.leftovers?.(written, host)) ?? [];
      await apply(leftovers, { isForced: true, onStep: mark }).catch((error) =>
        report.failed.push(messageOf(error)),
      );
    }
  });
  mark('debris');
  for (const file of held.debris) if (!restored.has(file)) removeDebris(leases, file, pidExists);
  for (const file of debris) removeDebris(journal, file, pidExists);
  mark('folders');
  await removeFolders(context, kept);
  return report;
}

/** Its job lives, and either it stands or somebody is at work on it. */
function isLiving(entry: JournalEntry, context: NetworkContext, inHand: ReadonlySet<string>): boolean {
  if (inHand.has(entry.name)) return true;
  if (entry.lease && entry.lease.bootId !== context.bootId) return false;
  if (!isOwn(entry.by, context) && entry.step !== 'up' && isAlive(entry.by)) return true;
  return entry.step === 'up' && isAlive(entry.request.starter);
}

/** A name that another living process has claimed and not yet written down. */
function isTakenByOther(
  name: string,
  context: NetworkContext,
  names: ReadonlyMap<string, JournalEntry['by']>,
): boolean {
  const by = names.get(name);
  if (!by || isOwn(by, context) || !isAlive(by)) return false;
  // Once there is an entry, the entry decides.
  return readEntry(journalFolder(context.config), name) === undefined;
}

const isOwn = (by: JournalEntry['by'], context: NetworkContext): boolean =>
  by.pid === context.by.pid && by.startTicks === context.by.startTicks;

interface NftState {
  /** Names of jobs that Lark's tables speak of. */
  names: Set<string>;
  /** Whether both tables are there. */
  isWhole: boolean;
}

async function nftState(): Promise<NftState> {
  const tables =
    (await runCommand('nft', ['list', 'tables'], { isRepeatable: true })).match(/^table \w+ lark\w*$/gm) ??
    [];
  const texts = await Promise.all(
    tables.map((table) =>
      runCommand('nft', ['list', ...table.split(' ')], { isRepeatable: true }).catch(() => ''),
    ),
  );
  return { names: new Set(texts.join('\n').match(NAMES) ?? []), isWhole: tables.length >= TABLES };
}

/**
 * Somebody may have flushed the ruleset, taken the tree from the uplink or removed Lark's device: then what stands, and
 * what jobs have in it, is made again.
 */
async function mend(
  living: readonly JournalEntry[],
  nft: NftState,
  context: NetworkContext,
  report: SweepReport,
): Promise<void> {
  const { config, host, parts } = context;
  const isGone = !nft.isWhole;
  const mark = (what: object) => (step: string) => context.onStep?.(`sweep:mend-${step}`, what);
  const standing = await Promise.all(parts.parts.map((part) => part.isStanding?.(config, host) ?? true));
  const isUnshaped = standing.includes(false);
  // Whatever loads the machine's sysctls anew may not know that it forwards.
  const missing =
    isGone || isUnshaped ? await standingOperations(config, host, parts) : forwardingOperations(config, host);
  await apply(missing, { isForced: true, onStep: mark({}) });
  for (const { name, lease, request, step } of living) {
    const isMissing = isGone || !nft.names.has(name);
    if (step !== 'up' || !lease || !(isMissing || isUnshaped)) continue;
    // It may have gone since it was read.
    if (readEntry(journalFolder(config), name)?.step !== 'up') continue;
    try {
      const { up } = planFor({ request, lease }, context);
      const wanted = up
        .flat()
        .filter(({ kind }) => (isMissing && kind === 'nft') || (isUnshaped && kind === 'tc'));
      if (wanted.length === 0) continue;
      // Not taken down before: what of it stands holds counters, and one that came up just now stands wholly.
      await apply(wanted, { isForced: true, onStep: mark({ name, request }) });
      report.mended.push(name);
    } catch (error) {
      report.failed.push(`${name}: ${messageOf(error)}`);
    }
  }
}

async function removeFolders({ config }: NetworkContext, kept: ReadonlySet<string>): Promise<void> {
  const folder = join(config.state.runDirectory, 'jobs');
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return;
  }
  const { entries } = readJournal(journalFolder(config));
  const known = new Set(entries.map(({ name }) => name));
  const stale = names.filter((name) => !kept.has(name) && !known.has(name));
  await apply(stale.map((name): Operation => ({ kind: 'remove', path: join(folder, name) })));
}

/** Everything of Lark's, whoever's it is: for an admin who wants Lark gone. */
export async function removeAll(context: NetworkContext): Promise<string[]> {
  const { config } = context;
  const names = new Set([
    ...(interfacesOf(process.pid) ?? []).filter((name) => JOB_NAME.test(name)),
    ...(await nftState()).names,
    ...listLeases(leasesFolder(config)).names.keys(),
    ...readJournal(journalFolder(config)).entries.map(({ name }) => name),
  ]);
  for (const name of names) {
    await tearDown(name, context);
  }
  return [...names].sort();
}
