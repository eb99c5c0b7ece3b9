import ipaddr from 'ipaddr.js';
import type { Knowledge } from './knowledge.ts';
import { sitesNamed } from './machine.ts';
import { type Resolution, resolve } from './resolve.ts';
import { indexSites, type SiteIndex } from './site-index.ts';
import { canonicalHost } from './sites-file.ts';

/** A host whose site is known: by any name the site goes by. */
export interface TrueHost {
  host: string;
  address?: string;
  site: string;
}

export interface Score {
  /** right / (right + wrong): of the answers given, how many were true. */
  precision: number;
  /** (right + wrong) / all: to how many of the hosts an answer was given. */
  coverage: number;
  right: number;
  wrong: number;
  ambiguous: number;
  none: number;
}

export interface Confusion {
  host: string;
  said: string;
  truth: string;
  evidence: string;
}

export interface Evaluation {
  /** Hosts that have a name, by it alone. */
  byName: Score;
  /** All hosts, by name and address where each is known. */
  withAddress: Score;
  /** Wrong answers of either, each once. */
  confusions: Confusion[];
}

/** By method, how often its answers were right: what stands behind the confidences. */
export type MethodScores = Record<string, { right: number; wrong: number }>;

/**
 * Leave-one-out: each host that the sources know by exact name or address is forgotten, with all that follows from it,
 * and then resolved. Where a source that describes networks is among them (CRIC, sites.yaml), the hosts of its sites
 * are `leading`, and those of groups that OSG alone lists are `others`.
 */
export function leaveOneOut(knowledge: Knowledge): {
  leading: Evaluation;
  others: Evaluation;
  methods: MethodScores;
} {
  const index = indexSites(knowledge);
  const cases = [...index.hosts].map(([host, { sites }]): Case => {
    const isAddress = ipaddr.isValid(host);
    return {
      host,
      names: isAddress ? [] : [host],
      addresses: isAddress ? [host] : [],
      truth: sites,
      hidden: (other) => other === host,
    };
  });
  const { leading = [], others = [] } = Object.groupBy(cases, ({ truth }) =>
    index.leading.size === 0 || truth.some((site) => index.leading.has(site)) ? 'leading' : 'others',
  );
  const methods: MethodScores = {};
  return {
    leading: evaluateCases(leading, index, methods),
    others: evaluateCases(others, index, {}),
    methods,
  };
}

/** Against a given truth, which may call the sites by any of their names. Nothing is forgotten. */
export function againstTruth(
  knowledge: Knowledge,
  truth: readonly TrueHost[],
): { evaluation: Evaluation; methods: MethodScores } {
  const index = indexSites(knowledge);
  const cases = truth.map(({ host, address, site }): Case => {
    const id = canonicalHost(host);
    const isAddress = ipaddr.isValid(id);
    const known = sitesNamed(site, index);
    return {
      host: id,
      names: isAddress ? [] : [id],
      addresses: [...(isAddress ? [id] : []), ...(address === undefined ? [] : [canonicalHost(address)])],
      truth: known.length > 0 ? known : [site],
    };
  });
  const methods: MethodScores = {};
  return { evaluation: evaluateCases(cases, index, methods), methods };
}

interface Case {
  host: string;
  names: string[];
  addresses: string[];
  truth: readonly string[];
  hidden?: (host: string) => boolean;
}

function evaluateCases(cases: readonly Case[], index: SiteIndex, methods: MethodScores): Evaluation {
  const confusions = new Map<string, Confusion>();
  const score = (all: readonly Case[], tally: MethodScores): Score => {
    const counts = { right: 0, wrong: 0, ambiguous: 0, none: 0 };
    for (const { host, names, addresses, truth, hidden } of all) {
      const said = resolve({ subject: host, names, addresses }, index, hidden && { hidden });
      const outcome = outcomeOf(said, truth);
      counts[outcome]++;
      if (outcome !== 'right' && outcome !== 'wrong') continue;
      tally[said.method!] ??= { right: 0, wrong: 0 };
      tally[said.method!]![outcome]++;
      if (outcome === 'wrong') {
        const confusion = { host, said: said.site!, truth: truth.join(', '), evidence: said.evidence };
        confusions.set(`${host} ${said.site}`, confusion);
      }
    }
    const answered = counts.right + counts.wrong;
    return {
      precision: share(counts.right, answered),
      coverage: share(answered, all.length),
      ...counts,
    };
  };
  const byName = score(
    cases.filter(({ names }) => names.length > 0).map((one) => ({ ...one, addresses: [] })),
    {},
  );
  const withAddress = score(cases, methods);
  return { byName, withAddress, confusions: [...confusions.values()] };
}

function outcomeOf(said: Resolution, truth: readonly string[]): 'right' | 'wrong' | 'ambiguous' | 'none' {
  if (said.site !== undefined) return truth.includes(said.site) ? 'right' : 'wrong';
  return said.candidates.length > 0 ? 'ambiguous' : 'none';
}

/** A share of nothing is 0: no answer is no merit. */
const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
