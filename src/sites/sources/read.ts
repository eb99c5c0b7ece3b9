import { hash } from 'node:crypto';
import { glob, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../../config.ts';
import { isTreeFile, parseOsgTree } from './osg-tree.ts';
import { parseSource } from './parse.ts';
import { BadDocument, type ParsedSource } from './parsed.ts';

export type SourceConfig = Config['sites']['sources'][number];

/** What tells whether a document has changed: of a URL the server's headers, of a file its time and size. */
export type Validators = Record<string, string | number>;

/** How documents are fetched; `Http.getDocument` of the spider is one. */
export type FetchDocument = (
  url: string,
  known: { etag?: string; lastModified?: string },
  tls?: { ca?: string; certificate?: string; key?: string },
  signal?: AbortSignal,
) => Promise<
  { isUnchanged: true } | { isUnchanged: false; text: string; etag?: string; lastModified?: string }
>;

export type ReadSource =
  | { isUnchanged: true }
  | ({ isUnchanged: false; contentHash: string; validators: Validators } & ParsedSource);

/** Format and place of a source, by which one version is known to replace another. */
export const definitionOf = ({ format, url, file }: SourceConfig): string => `${format} ${url ?? file}`;

/**
 * Reads a source, unless it is still as `known` tells.
 * @param maxBytes largest file that is read; URLs are limited by `fetchDocument`
 * @throws whatever made it impossible, with a message for people that names the place
 */
export async function readSource(
  source: SourceConfig,
  known: Validators,
  deps: { fetchDocument: FetchDocument; maxBytes: number; signal: AbortSignal },
): Promise<ReadSource> {
  if (source.url !== undefined) return readUrl(source, source.url, known, deps);
  const file = source.file!;
  return source.format === 'osg-tree'
    ? readTree(file, known)
    : readOneFile(source.format, file, known, deps.maxBytes);
}

async function readUrl(
  source: SourceConfig,
  url: string,
  { etag, lastModified }: Validators,
  { fetchDocument, signal }: { fetchDocument: FetchDocument; signal: AbortSignal },
): Promise<ReadSource> {
  const fetched = await fetchDocument(
    url,
    {
      ...(typeof etag === 'string' && { etag }),
      ...(typeof lastModified === 'string' && { lastModified }),
    },
    await tlsOf(source),
    signal,
  );
  if (fetched.isUnchanged) return fetched;
  const validators = {
    ...(fetched.etag !== undefined && { etag: fetched.etag }),
    ...(fetched.lastModified !== undefined && { lastModified: fetched.lastModified }),
  };
  return finished(url, validators, () =>
    parseSource(source.format as Exclude<typeof source.format, 'osg-tree'>, fetched.text, url),
  );
}

async function tlsOf({ caFile, certificateFile, keyFile }: SourceConfig) {
  if (caFile === undefined && certificateFile === undefined) return undefined;
  return {
    ...(caFile !== undefined && { ca: await readFile(caFile, 'utf8') }),
    ...(certificateFile !== undefined && { certificate: await readFile(certificateFile, 'utf8') }),
    ...(keyFile !== undefined && { key: await readFile(keyFile, 'utf8') }),
  };
}

async function readOneFile(
  format: Exclude<SourceConfig['format'], 'osg-tree'>,
  file: string,
  known: Validators,
  maxBytes: number,
): Promise<ReadSource> {
  const { mtimeMs, size } = await stat(file);
  if (known.mtimeMs === mtimeMs && known.size === size) return { isUnchanged: true };
  if (size > maxBytes) throw new Error(`${file} has ${size} bytes; ${maxBytes} are allowed (http.maxBodyMB)`);
  const text = await readFile(file, 'utf8');
  return finished(file, { mtimeMs, size }, () => parseSource(format, text, file));
}

async function readTree(folder: string, known: Validators): Promise<ReadSource> {
  // The folder of a checkout, or the one within it that holds the facilities.
  const root = (await isFolder(join(folder, 'topology'))) ? join(folder, 'topology') : folder;
  const paths: string[] = [];
  for await (const path of glob('*/{*.yaml,*/*.yaml}', { cwd: root })) if (isTreeFile(path)) paths.push(path);
  paths.sort();
  let newestMs = 0;
  for (const path of paths) newestMs = Math.max(newestMs, (await stat(join(root, path))).mtimeMs);
  if (known.newestMs === newestMs && known.files === paths.length) return { isUnchanged: true };
  const files = await Promise.all(
    paths.map(async (path) => ({ path, text: await readFile(join(root, path), 'utf8') })),
  );
  return finished(folder, { newestMs, files: paths.length }, () => parseOsgTree(files, folder));
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

/** The hash is of what was understood: a document that only says it in another order is the same version. */
function finished(place: string, validators: Validators, parse: () => ParsedSource): ReadSource {
  try {
    const parsed = parse();
    const contentHash = hash('sha256', JSON.stringify(parsed.facts.sites));
    const facts = { ...parsed.facts, version: parsed.facts.version ?? contentHash.slice(0, 12) };
    return { isUnchanged: false, contentHash, validators, facts, skipped: parsed.skipped };
  } catch (error) {
    if (error instanceof BadDocument) throw new BadDocument(`${place} ${error.message}`);
    throw error;
  }
}
