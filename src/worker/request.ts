import type { ClassAd } from 'classad-parser';
import { UserError } from '../errors.ts';
import type { WorkerConfig } from './config.ts';
import { grant, type OnFailure } from './policy.ts';
import type { JobNetworkRequest, ProcessId } from './types.ts';
import { parseMode, portWishes, wantsOf } from './wants.ts';

/** What becomes of one job. */
export type Decision =
  | { kind: 'untouched' }
  | { kind: 'refused'; reason: string }
  | {
      kind: 'network';
      request: JobNetworkRequest;
      onFailure: OnFailure;
      /** For hooks of the site: a line of the job's ad and one of the machine's, in the new ClassAd language. */
      ads?: string;
    };

/**
 * The decision for one job, made of nothing but what is passed.
 * @param from the job's starter, and the slot as the starter was told it; where it was not told, the machine's ad decides
 * @throws UserError that names the attribute of the job's ad or of the policy that cannot be used
 */
export function decide(
  ads: { job: ClassAd; machine: ClassAd; policy: ClassAd },
  from: { starter: ProcessId; slot?: string },
  config: Pick<WorkerConfig, 'onFailure' | 'shaping'>,
): Decision {
  const { job, machine, policy } = ads;
  const { starter, slot = slotOf(machine) } = from;
  const granted = grant(policy, { job, machine, wants: wantsOf(job, machine) }, config);
  if (granted.refusal !== undefined) return { kind: 'refused', reason: granted.refusal };
  const { mode } = granted;
  if (mode === 'host') return { kind: 'untouched' };
  const request: JobNetworkRequest = {
    mode,
    inbound: mode === 'none' ? [] : granted.inbound,
    ...(mode !== 'none' && granted.bandwidth && { bandwidth: granted.bandwidth }),
    isAccounted: granted.isAccounted && mode !== 'none',
    owner: printable(job.getString('User') ?? job.getString('Owner') ?? 'unknown'),
    jobId: printable(jobIdOf(job)),
    starter,
    ...(slot && { slot }),
  };
  return { kind: 'network', request, onFailure: granted.onFailure };
}

/** `ap.example.org#12.0` of GlobalJobId `ap.example.org#12.0#1700000000`, else `12.0`. */
export function jobIdOf(job: ClassAd): string {
  const global = job.getString('GlobalJobId')?.split('#');
  if (global && global.length >= 2) return `${global[0]}#${global[1]}`;
  return `${job.getNumber('ClusterId') ?? 0}.${job.getNumber('ProcId') ?? 0}`;
}

const LONGEST_NAME = 256;

/** What a job's ad calls itself is shown on terminals and written down for every job: no control characters, no novels. */
function printable(text: string): string {
  return text.slice(0, LONGEST_NAME).replace(/[\p{C}\p{Z}]/gu, '_');
}

/** `slot1_3` of Name `slot1_3@ep1.example.org`. */
function slotOf(machine: ClassAd): string | undefined {
  return machine.getString('Name')?.split('@')[0];
}

/**
 * What `lark worker exec` and `lark worker lease try` ask for: no job and no policy, only what the admin typed.
 * @throws UserError that names the option
 */
export function requestByHand(
  options: { mode: string; port?: string[]; bandwidth?: string },
  owner: string,
  self: ProcessId,
  config: Pick<WorkerConfig, 'shaping'>,
): JobNetworkRequest {
  const mode = parseMode(options.mode, '--mode');
  if (mode === 'host') throw new UserError('--mode host is no network of its own');
  const minMbps = options.bandwidth === undefined ? undefined : Number(options.bandwidth);
  if (minMbps !== undefined && !(minMbps > 0 && minMbps <= 1_000_000)) {
    throw new UserError(`--bandwidth ${options.bandwidth}: expected Mb/s above 0`);
  }
  const { ceilingFactor } = config.shaping;
  return {
    mode,
    inbound: portWishes((options.port ?? []).join(','), '--port'),
    ...(minMbps !== undefined && {
      bandwidth: { minMbps, ...(ceilingFactor !== 'none' && { maxMbps: minMbps * ceilingFactor }) },
    }),
    isAccounted: mode !== 'none',
    owner,
    jobId: `by-hand-${self.pid}`,
    starter: self,
  };
}
