/** What `lark why` prints. */
import { type BreakerCause, mb } from './breaker-cause.ts';
import type { Cause } from './causes.ts';
import type { JobWhy } from './job.ts';

/** `2026-11-21 18:15 UTC (12 min ago)` */
export function timeText(iso: string, now: Date): string {
  const seconds = (now.getTime() - Date.parse(iso)) / 1000;
  const when = `${iso.slice(0, 16).replace('T', ' ')} UTC`;
  return seconds >= 0 ? `${when} (${spanText(seconds)} ago)` : `${when} (in ${spanText(-seconds)})`;
}

/** In the largest unit that fits. */
export function spanText(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** In the unit that HTCondor has for it. */
export function amountText(resource: string, value: number | null): string {
  const unit = resource === 'Memory' ? ' MiB' : resource === 'Disk' ? ' KiB' : '';
  return value === null ? 'none' : `${value}${unit}`;
}

/** Several lines, without the last line break. */
export function jobWhyText(why: JobWhy, now: Date): string {
  const since = why.since ? ` since ${timeText(why.since, now)}` : '';
  const input = !why.inputMB ? '' : `, ${mb(why.inputMB)} of input`;
  const from = why.submitSite ? ` from ${why.submitSite}` : '';
  const lines = [
    `Job ${why.job} of ${why.owner ?? 'nobody'} at ${why.schedd}${from}${input}: ${why.status}${since}.`,
  ];
  for (const say of why.says) lines.push(`  ${say}`);
  for (const { site, slots, enforced, outcomes } of why.sites) {
    lines.push(
      '',
      `${site ?? '(no site)'}: ${countText(slots)}${enforced ? '' : '; no breaker is asked there'}`,
    );
    for (const outcome of outcomes) {
      const all = outcome.slots === slots ? 'all' : String(outcome.slots);
      if (outcome.causes.length === 0) lines.push(`  ${all}: free, and it matches`);
      for (const [i, one] of outcome.causes.entries()) {
        lines.push(`  ${i === 0 ? `${all}:` : 'and'} ${causeText(one, now)}`);
      }
    }
  }
  if (why.advice.length > 0) lines.push('', 'What can be done:');
  for (const one of why.advice) lines.push(`  - ${one}`);
  return lines.join('\n');
}

const countText = (slots: number): string => (slots === 1 ? '1 slot' : `${slots} slots`);

function causeText(one: Cause, now: Date): string {
  switch (one.kind) {
    case 'breaker':
      return breakerText(one, now);
    case 'requirements':
      return `the job requires ${one.clause}${one.found ? `; ${one.found}` : ''}`;
    case 'start':
      return `the slot takes only jobs with ${one.clause}${one.found ? `; ${one.found}` : ''}`;
    case 'too-small':
      return `too little ${one.resource}: the job asks for ${amount(one, one.asked)}, the largest slot has ${amount(one, one.most)}`;
    case 'busy':
      return `in use: the job asks for ${amount(one, one.asked)} ${one.resource}, at most ${amount(one, one.most)} are free`;
    case 'claimed':
      return 'in use by another job';
    case 'offline':
      return 'asleep (offline)';
    case 'drained':
      return 'being drained by its administrators';
    case 'owner':
      return 'kept by its owner';
  }
}

const amount = ({ resource }: { resource: string }, value: number | null): string =>
  amountText(resource, value);

function breakerText(one: BreakerCause, now: Date): string {
  if (one.state === null)
    return `Lark withholds it on ${one.path}, of which the collector has no ad any more`;
  const parts = [`the breaker of ${one.path} is ${one.state}`];
  if (one.since) parts[0] += ` since ${timeText(one.since, now)}`;
  if (one.policy) parts[0] += ` under ${one.policy}`;
  if (one.reason) parts[0] += `: ${one.reason}`;
  parts.push(...one.exceeds);
  if (one.tickets && one.tickets.to > one.tickets.from) {
    parts.push(
      `the turn is of tickets ${one.tickets.from} to ${one.tickets.to - 1}, this job's is ${one.ticket}`,
    );
  }
  return parts.join('; ');
}
