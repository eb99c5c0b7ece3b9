import { allEvidence, type Evidence, type Resolution, resolve, type Subject } from './resolve.ts';
import type { SiteIndex } from './site-index.ts';

/** One piece of evidence, and how it stands to the answer. */
export interface WeighedEvidence extends Evidence {
  /** for: it names the site. open: it allows the site among others, or there is no answer. against: it names others. */
  stand: 'for' | 'open' | 'against';
}

export interface Why extends Resolution {
  subject: Subject;
  /** The strongest kind first. */
  found: WeighedEvidence[];
  /** For sites.yaml, under `overrides`; absent where a site is known for certain. */
  pin?: string;
}

/** Everything that is known for and against a subject's site, and the line that would pin it. */
export function why(subject: Subject, index: SiteIndex, machineAttributes?: readonly string[]): Why {
  const options = machineAttributes ? { machineAttributes } : {};
  const resolution = resolve(subject, index, options);
  const found = [...allEvidence(subject, index, options), ...tooWeak(subject, resolution)].map(
    (evidence): WeighedEvidence => ({ ...evidence, stand: standOf(evidence, resolution) }),
  );
  const host = subject.names[0] ?? subject.addresses[0];
  return {
    subject,
    ...resolution,
    found,
    ...(resolution.site === undefined && host !== undefined && { pin: pinLine(host, resolution.candidates) }),
  };
}

/** What the neighbours on traces say where no other hint came to their help. */
function tooWeak({ neighbour }: Subject, { site }: Resolution): Evidence[] {
  if (!neighbour || site !== undefined) return [];
  const text = `${neighbour.text}, which is too little alone`;
  return [{ method: 'hints', sites: [neighbour.site], text, confidence: 0 }];
}

function standOf({ sites }: Evidence, { site }: Resolution): WeighedEvidence['stand'] {
  if (site === undefined) return 'open';
  if (!sites.includes(site)) return 'against';
  return sites.length === 1 ? 'for' : 'open';
}

/** A line for `overrides` in sites.yaml. Without any candidate its site is left to be written in. */
export function pinLine(host: string, candidates: readonly string[]): string {
  const [first = 'SITE', ...others] = candidates;
  const shown = others.slice(0, MOST_CANDIDATES);
  const more = others.length > shown.length ? `, … (${others.length - shown.length} more)` : '';
  const comment = others.length > 0 ? `  # or ${shown.join(', ')}${more}` : '';
  return `  - { host: ${JSON.stringify(host)}, site: ${JSON.stringify(first)} }${comment}`;
}

const MOST_CANDIDATES = 5;
