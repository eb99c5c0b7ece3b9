import type { ExpectedTest, SourceReport } from '../../domain.ts';
import type { ArchiveClaim, HostClaim } from '../claims.ts';
import { HttpFailure, parseJson } from '../http.ts';
import type { Contents } from './contents.ts';
import { isObject } from './contents.ts';
import { isMeshConfig, readMeshConfig } from './mesh-config.ts';
import { requestFailure, type SourceDeps, sourceReport } from './source.ts';
import { isTemplate, mergeTemplates, readTemplate } from './template.ts';

/** How many documents deep includes are followed from a configured URL, and how many documents are read in all. */
const MAX_DEPTH = 5;
const MAX_DOCUMENTS = 2000;

export interface PsconfigAnswer {
  hosts: HostClaim[];
  archives: ArchiveClaim[];
  expected: ExpectedTest[];
  /** One for each document. `ok` means that all below it was read too. */
  reports: SourceReport[];
}

/**
 * A document is a list of others, a template (which may include others) or a mesh configuration. Its text is kept until
 * it is read, since what is parsed takes many times the memory.
 */
type Document =
  | { kind: 'list'; includes: string[] }
  | { kind: 'template' | 'mesh'; includes: string[]; text: string }
  | { kind: 'failed'; includes: string[]; failure: HttpFailure };

/**
 * Reads pSConfig templates and MeshConfigs: each URL is that of one, or of a list of them. A document that several
 * name is read once and counts for the first. A template and what it includes are one: what is defined in one part is
 * used in another, and the including one has its way.
 */
export async function readPsconfig(origins: readonly string[], deps: SourceDeps): Promise<PsconfigAnswer> {
  const roots = [...new Set(origins.map((url) => new URL(url).href))];
  const documents = await crawl(roots, deps);
  const answer: PsconfigAnswer = { hosts: [], archives: [], expected: [], reports: [] };
  const records = new Map<string, number>();
  const read = new Set<string>();
  for (const origin of roots) {
    for (const url of independentOf(origin, documents)) {
      if (read.has(url)) continue;
      read.add(url);
      const contents = contentsOf(url, documents);
      if (contents.remarks.length > 0)
        deps.log.warn({ source: url, remarks: contents.remarks }, 'not all is known');
      answer.hosts.push(...contents.hosts);
      answer.archives.push(...contents.archives);
      answer.expected.push(...contents.expected.map((test) => ({ ...test, origin })));
      records.set(url, contents.hosts.length + contents.expected.length);
    }
  }
  answer.expected = uniqueTests(answer.expected);
  for (const [url, { includes }] of documents) {
    const failure = failureBelow(url, documents);
    answer.reports.push(sourceReport(url, records.get(url) ?? includes.length, failure));
  }
  return answer;
}

/** Reads the documents and all that they include, level by level. */
async function crawl(roots: readonly string[], deps: SourceDeps): Promise<Map<string, Document>> {
  const documents = new Map<string, Document>();
  let level = [...roots];
  for (let depth = 0; level.length > 0; depth++) {
    const room = MAX_DOCUMENTS - documents.size;
    const found = await Promise.all(
      level.map((url, index) => {
        if (depth > MAX_DEPTH) return failed(url, `is included more than ${MAX_DEPTH} documents deep`);
        if (index >= room) return failed(url, `is one of more than ${MAX_DOCUMENTS} documents`);
        return load(url, deps);
      }),
    );
    level.forEach((url, index) => {
      documents.set(url, found[index]!);
    });
    level = [...new Set(found.flatMap(({ includes }) => includes))].filter((url) => !documents.has(url));
  }
  return documents;
}

function failed(url: string, what: string): Document {
  return { kind: 'failed', includes: [], failure: new HttpFailure('bad-data', url, what) };
}

async function load(url: string, deps: SourceDeps): Promise<Document> {
  if (!/^https?:/.test(url)) return failed(url, 'is included, but is no http or https URL');
  try {
    const text = (await deps.http.getBody(url, deps.signal)).take();
    const document = parseJson(text, url);
    if (Array.isArray(document))
      return { kind: 'list', includes: document.flatMap((item) => includesOf(item, url)) };
    const includes = includesOf(document, url);
    if (isMeshConfig(document)) return { kind: 'mesh', includes, text };
    if (isTemplate(document)) return { kind: 'template', includes, text };
    if (includes.length > 0) return { kind: 'list', includes };
    return failed(url, 'is no pSConfig template, no MeshConfig and no list of them');
  } catch (error) {
    return { kind: 'failed', includes: [], failure: requestFailure(error, deps) };
  }
}

/** `include` and `includes`, a text or a list; relative URLs, and those without a scheme, are as the document's own. */
function includesOf(item: unknown, base: string): string[] {
  const named = isObject(item) ? [item.include, item.includes].flat() : [item];
  return named.flatMap((text) => {
    if (typeof text !== 'string' || text.trim() === '') return [];
    const scheme = /^[\w-]+(\.[\w-]+)+(:\d+)?\//.test(text.trim()) ? '//' : '';
    const url = URL.parse(`${scheme}${text.trim()}`, base);
    if (!url) return [];
    url.hash = '';
    return [url.href];
  });
}

/** The templates and mesh configurations that stand for themselves: those reached over lists alone. */
function independentOf(url: string, documents: ReadonlyMap<string, Document>): string[] {
  const met = new Set<string>();
  const visit = (at: string): string[] => {
    const document = documents.get(at);
    if (!document || met.has(at)) return [];
    met.add(at);
    if (document.kind === 'failed') return [];
    const below = document.kind === 'template' ? [] : document.includes.flatMap(visit);
    return document.kind === 'list' ? below : [at, ...below];
  };
  return visit(url);
}

function contentsOf(url: string, documents: ReadonlyMap<string, Document>): Contents {
  const document = documents.get(url);
  if (document?.kind === 'mesh') return readMeshConfig(JSON.parse(document.text), url);
  const parts = reachable(url, documents).flatMap((each) => {
    const part = documents.get(each);
    return part?.kind === 'template' ? [JSON.parse(part.text) as Record<string, unknown>] : [];
  });
  return readTemplate(mergeTemplates(parts), url);
}

/** The document itself and all that it includes, each once, in the order in which they are named. */
function reachable(url: string, documents: ReadonlyMap<string, Document>): string[] {
  const met = new Set<string>();
  const visit = (at: string) => {
    if (met.has(at)) return;
    met.add(at);
    for (const include of documents.get(at)?.includes ?? []) visit(include);
  };
  visit(url);
  return [...met];
}

/** What kept the document, or something that it includes, from being read. */
function failureBelow(url: string, documents: ReadonlyMap<string, Document>): HttpFailure | undefined {
  const failures = reachable(url, documents).flatMap((each) => {
    const document = documents.get(each);
    return document?.kind === 'failed' ? [document.failure] : [];
  });
  const [first] = failures;
  if (first === undefined || first.url === url) return first;
  const others = failures.length > 1 ? ` (and ${failures.length - 1} more)` : '';
  return new HttpFailure(first.fault, url, `includes what could not be read: ${first.message}${others}`);
}

function uniqueTests(tests: readonly ExpectedTest[]): ExpectedTest[] {
  const key = ({ template, task, source, destination }: ExpectedTest) =>
    JSON.stringify([template, task, source, destination]);
  return [...new Map(tests.map((test) => [key(test), test])).values()];
}
