/** Jobs, slots and paths as a pool has them, with the conditions of config/htcondor/execution-point.conf. */
import { readFileSync } from 'node:fs';
import { type ClassAd, parseAds } from 'classad-parser';
import { attributesAsked } from '../../../src/why/attributes.ts';
import { type KnownPath, knownPaths } from '../../../src/why/breaker-cause.ts';
import { explainJob, type JobWhy, type Surroundings } from '../../../src/why/job.ts';
import { expressionsIn, groupSlots, slotLines } from '../../../src/why/slots.ts';

export const NOW = new Date('2026-03-01T12:00:00Z');
export const seconds = (after: number): number => NOW.getTime() / 1000 + after;

/** The settings of the file that a startd advertises, with continued lines joined. */
const CONDITIONS = (() => {
  const file = new URL('../../../config/htcondor/execution-point.conf', import.meta.url);
  const text = readFileSync(file, 'utf8').replaceAll(/\\\n\s*/g, ' ');
  const settings = new Map(
    text
      .split('\n')
      .map((line) => /^(\w+) = (.*)$/.exec(line))
      .filter((match) => match !== null)
      .map(([, name, value]) => [name!, value!.trim()]),
  );
  const own = ['LarkHere', 'LarkIn', 'LarkOut', 'LarkInputMB', 'LarkWithholdsIn', 'LarkWithholdsOut'];
  return {
    lines: own.map((name) => `${name} = ${settings.get(name)}`).join('\n'),
    start: settings.get('START')!,
  };
})();

const LIMITS =
  '(MY.Cpus > 0 && TARGET.RequestCpus <= MY.Cpus && MY.Memory > 0 && TARGET.RequestMemory <= MY.Memory)';

export interface SlotOptions {
  site?: string | undefined;
  machine?: string;
  start?: string;
  /** Without the condition of Lark. */
  plain?: boolean;
  lines?: string;
}

/** A partitionable slot as condor_status -long writes it. */
export function slot({
  site,
  machine = 'ep1.example',
  start = 'true',
  plain,
  lines = '',
}: SlotOptions): string {
  return `Name = "slot1@${machine}"
Machine = "${machine}"
${site === undefined ? '' : `LarkSite = "${site}"\n`}State = "Unclaimed"
PartitionableSlot = true
Cpus = 2
Memory = 2000
TotalSlotCpus = 4
TotalSlotMemory = 4000
Arch = "X86_64"
${plain ? '' : `${CONDITIONS.lines}\n`}START = ${plain ? start : CONDITIONS.start.replace('$(START)', start)}
Requirements = START && (WithinResourceLimits)
WithinResourceLimits = ${LIMITS}
${lines}
`;
}

export function job(lines = ''): ClassAd {
  const text = `ClusterId = 7
ProcId = 0
Owner = "ada"
JobStatus = 1
JobUniverse = 5
EnteredCurrentStatus = ${seconds(-600)}
LarkSubmitSite = "UNL"
LarkTicket = 40
TransferInputSizeMB = 100
RequestCpus = 1
RequestMemory = 1000
Requirements = (TARGET.Arch == "X86_64") && (TARGET.Memory >= RequestMemory)
`;
  // What is said later counts.
  const ad = parseAds(text)[0]!;
  for (const [name, expr] of parseAds(lines)[0] ?? []) ad.insert(name, expr);
  return ad;
}

/** The ad of a path, as the collector has it. */
export const pathAd = (src: string, dst: string, lines: string): string =>
  `MyType = "NetworkPath"\nName = "${src}>${dst}"\nSrcSite = "${src}"\nDstSite = "${dst}"\nThroughputMbps = 40.0\n${lines}\n`;

export const OPEN = `BreakerState = "OPEN"
BreakerPolicy = "bulk-input"
BreakerReason = "ThroughputMbps 40"
BreakerSince = ${seconds(-900)}
BreakerRetryAt = ${seconds(1800)}
MaxInputMB = 50.0`;

export const pathsOf = (...ads: string[]): Map<string, KnownPath> => knownPaths(parseAds(ads.join('\n')));

/** Explains a job over slots and paths, as `lark why` does after it has read them. */
export function why(ad: ClassAd, slots: string[], around: Partial<Surroundings> = {}): JobWhy {
  const lines = slotLines(slots.join('\n'));
  const siteOf = around.siteOf ?? new Map();
  const asked = attributesAsked(ad, expressionsIn(lines));
  return explainJob(ad, {
    schedd: 'ap.example',
    slots: groupSlots(lines, asked, (machine) => siteOf.get(machine)),
    paths: new Map(),
    siteOf,
    now: NOW,
    ...around,
  });
}
