import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { storedFacts, type WhyView, whyOf, whyView } from '../api/why.ts';
import { readUserFile } from '../checked-yaml.ts';
import { type Config, loadConfig } from '../config.ts';
import { messageOf, UserError } from '../errors.ts';
import { storePlace } from '../service.ts';
import {
  againstTruth,
  type Evaluation,
  leaveOneOut,
  type MethodScores,
  type TrueHost,
} from '../sites/evaluate.ts';
import { joinSources } from '../sites/join.ts';
import type { Knowledge, SourceFacts } from '../sites/knowledge.ts';
import { knowledgeOf } from '../sites/locate.ts';
import { parseSites, type SiteMap } from '../sites/sites-file.ts';
import { parseSource } from '../sites/sources/parse.ts';
import { openStore, type Store } from '../store/store.ts';
import { asked, runningApi } from './store-or-api.ts';
import { table } from './table.ts';

/** `lark sites why HOST|IP`: the service is asked while it has the store; without any store, sites.yaml alone. */
export async function sitesWhy(
  configFile: string | undefined,
  host: string,
  options: { json?: boolean },
): Promise<void> {
  const { config } = loadConfig(configFile, process.env);
  const found = await askWhy(config, host);
  process.stdout.write(options.json ? `${JSON.stringify(found, null, 2)}\n` : `${whyText(found)}\n`);
}

function askWhy(config: Config, host: string): Promise<WhyView> {
  const answer = (store?: Store) => whyOf(host, store, config.sites, ownSites(config), new Date());
  return asked(config, {
    fromStore: answer,
    apiPath: `sites/why?host=${encodeURIComponent(host)}`,
    schema: whyView,
    withoutStore: answer,
  });
}

const ownSites = ({ sites }: Config): SiteMap =>
  parseSites(readUserFile(sites.file, 'the sites file'), sites.file);

export function whyText(why: WhyView): string {
  const { subject, names, addresses, site, method, confidence, evidence, found, pin } = why;
  const known = [...new Set([subject, ...names, ...addresses])].join(' ');
  const lines = [known, ''];
  lines.push(site ? `site  ${site}, by ${method}, confidence ${confidence}` : `site  none: ${evidence}`);
  if (found.length > 0) {
    const rows = table(found, [
      { heading: 'EVIDENCE', cell: (one) => one.method },
      { heading: '', cell: (one) => one.stand },
      { heading: 'SITES', cell: (one) => shortened(one.sites) },
      { heading: 'BECAUSE', cell: (one) => one.text },
    ]);
    lines.push('', rows);
  }
  if (pin) lines.push('', 'To pin it, in sites.yaml:', 'overrides:', pin);
  return lines.join('\n');
}

const shortened = (sites: readonly string[]): string =>
  sites.length <= 3 ? sites.join(', ') : `${sites.slice(0, 3).join(', ')}, +${sites.length - 3}`;

export interface EvaluateOptions {
  cric?: string;
  osg?: string;
  gocdb?: string;
  hosts?: string;
  json?: boolean;
}

/**
 * `lark sites evaluate`: how often the site of a host is right. With files, by these alone; without, by the sources as
 * they are stored, and sites.yaml.
 */
export async function sitesEvaluate(configFile: string | undefined, options: EvaluateOptions): Promise<void> {
  const knowledge = await knowledgeFor(configFile, options);
  if (options.hosts !== undefined) {
    const { evaluation, methods } = againstTruth(knowledge, readTruth(options.hosts));
    print(evaluation, options, () => evaluationText('against the given truth', evaluation, methods));
    return;
  }
  const { leading, others, methods } = leaveOneOut(knowledge);
  print(leading, options, () => {
    const hasOthers = others.withAddress.right + others.withAddress.wrong > 0;
    return [
      evaluationText('each known host left out in turn', leading, methods),
      ...(hasOthers ? [evaluationText('groups that OSG Topology alone lists', others)] : []),
    ].join('\n\n');
  });
}

function print(evaluation: Evaluation, { json }: EvaluateOptions, text: () => string): void {
  process.stdout.write(json ? `${JSON.stringify(evaluation, null, 2)}\n` : `${text()}\n`);
}

async function knowledgeFor(configFile: string | undefined, files: EvaluateOptions): Promise<Knowledge> {
  const given: SourceFacts[] = [];
  if (files.cric !== undefined) given.push(factsOf('cric', files.cric));
  if (files.osg !== undefined) given.push(factsOf(osgFormat(files.osg), files.osg));
  if (files.gocdb !== undefined) given.push(factsOf('gocdb', files.gocdb));
  if (given.length > 0) return joinSources(given);
  const { config } = loadConfig(configFile, process.env);
  const place = storePlace(config);
  if ('directory' in place && !existsSync(place.directory)) {
    throw new UserError(
      `there is no store in ${place.directory} yet: run "lark cycle", or name files with --cric, --osg or --gocdb`,
    );
  }
  if ('directory' in place && (await runningApi(config))) {
    throw new UserError(
      'the running service has the store: name the files to judge by, with --cric, --osg or --gocdb',
    );
  }
  const store = await openStore(place);
  try {
    return knowledgeOf(ownSites(config), await storedFacts(store, config.sites));
  } finally {
    await store.close();
  }
}

function factsOf(format: Parameters<typeof parseSource>[0], file: string): SourceFacts {
  const text = readUserFile(file, `the ${format} file`);
  try {
    return parseSource(format, text, file).facts;
  } catch (error) {
    throw new UserError(`${file} ${messageOf(error)}`);
  }
}

/** OSG Topology is given as XML (rgsummary) or as JSON (miscresource, or a plain list). */
const osgFormat = (file: string): 'osg-xml' | 'osg-json' =>
  existsSync(file) && readFileSync(file, 'utf8').trimStart().startsWith('<') ? 'osg-xml' : 'osg-json';

const truthSchema = z.array(
  z.object({ host: z.string().min(1), address: z.string().nullish(), site: z.string().min(1) }),
);

function readTruth(file: string): TrueHost[] {
  let document: unknown;
  try {
    document = JSON.parse(readUserFile(file, 'the list of hosts'));
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${file} is no JSON: ${messageOf(error)}`);
  }
  const checked = truthSchema.safeParse(document);
  if (!checked.success) {
    throw new UserError(
      `${file} is no list of {host, address?, site}: ${z.prettifyError(checked.error).replace(/\s+/g, ' ')}`,
    );
  }
  return checked.data.map(({ host, address, site }) => ({ host, site, ...(address && { address }) }));
}

export function evaluationText(title: string, evaluation: Evaluation, methods: MethodScores = {}): string {
  const { byName, withAddress, confusions } = evaluation;
  const rows = [
    { what: 'by name', ...byName },
    { what: 'with address', ...withAddress },
  ];
  const parts = [
    `${title}\n${table(rows, [
      { heading: '', cell: ({ what }) => what },
      { heading: 'PRECISION', cell: ({ precision }) => precision.toFixed(4), right: true },
      { heading: 'COVERAGE', cell: ({ coverage }) => coverage.toFixed(4), right: true },
      { heading: 'RIGHT', cell: ({ right }) => String(right), right: true },
      { heading: 'WRONG', cell: ({ wrong }) => String(wrong), right: true },
      { heading: 'AMBIGUOUS', cell: ({ ambiguous }) => String(ambiguous), right: true },
      { heading: 'NONE', cell: ({ none }) => String(none), right: true },
    ])}`,
  ];
  if (Object.keys(methods).length > 0) {
    parts.push(
      table(Object.entries(methods), [
        { heading: 'BY', cell: ([method]) => method },
        { heading: 'RIGHT', cell: ([, { right }]) => String(right), right: true },
        { heading: 'WRONG', cell: ([, { wrong }]) => String(wrong), right: true },
      ]),
    );
  }
  if (confusions.length > 0) {
    parts.push(
      table(confusions, [
        { heading: 'HOST', cell: ({ host }) => host },
        { heading: 'SAID', cell: ({ said }) => said },
        { heading: 'TRUTH', cell: ({ truth }) => truth },
        { heading: 'BECAUSE', cell: ({ evidence }) => evidence },
      ]),
    );
  }
  return parts.join('\n\n');
}
