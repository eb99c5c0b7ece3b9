import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  definitionOf,
  type FetchDocument,
  type ReadSource,
  readSource,
  type SourceConfig,
  type Validators,
} from '../../../../src/sites/sources/read.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lark-read-source-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const source = (more: Partial<SourceConfig>): SourceConfig => ({
  name: 'cric',
  format: 'cric',
  enabled: true,
  refreshHours: 24,
  ...more,
});
const CRIC = JSON.stringify({ A: { name: 'A', services: [{ type: 'CE', endpoint: 'ce.a.example' }] } });
const nothing: FetchDocument = () => Promise.reject(new Error('nothing is fetched here'));
const read = (of: SourceConfig, known: Validators = {}, fetchDocument = nothing, maxBytes = 1e6) =>
  readSource(of, known, { fetchDocument, maxBytes, signal: new AbortController().signal });
function changed(of: ReadSource) {
  if (of.isUnchanged) throw new Error('it says that nothing has changed');
  return of;
}

describe('a URL', () => {
  const url = 'https://cric.example/?json';
  test('is asked for what has changed, and tells how to ask the next time', async () => {
    const asked: unknown[] = [];
    const fetchDocument: FetchDocument = async (...call) => {
      asked.push(call.slice(0, 3));
      return { isUnchanged: false, text: CRIC, etag: '"1"' };
    };
    const first = changed(await read(source({ url }), {}, fetchDocument));
    expect(first.validators).toEqual({ etag: '"1"' });
    expect(first.facts).toMatchObject({ kind: 'cric', origin: url, sites: [{ name: 'A' }] });
    expect(first.facts.version).toBe(first.contentHash.slice(0, 12));
    await read(source({ url }), first.validators, fetchDocument);
    expect(asked).toEqual([
      [url, {}, undefined],
      [url, { etag: '"1"' }, undefined],
    ]);
    expect(await read(source({ url }), { etag: '"1"' }, async () => ({ isUnchanged: true }))).toEqual({
      isUnchanged: true,
    });
  });

  test('in another order it is the same version', async () => {
    const of = async (document: object) =>
      changed(
        await read(source({ url }), {}, async () => ({ isUnchanged: false, text: JSON.stringify(document) })),
      ).contentHash;
    const [a, b] = [{ name: 'A' }, { name: 'B' }];
    expect(await of({ a, b })).toBe(await of({ b, a }));
    expect(await of({ a })).not.toBe(await of({ b }));
  });

  test.each([
    ['', 'is empty'],
    ['<html><title>Oops</title>', 'is a page ("Oops"), not JSON'],
    ['{"A": {"name"', 'is no JSON ('],
    ['[]', 'is no map of sites by name, as CRIC gives it'],
  ])('%j is no document, and its place is named', async (text, message) => {
    await expect(read(source({ url }), {}, async () => ({ isUnchanged: false, text }))).rejects.toThrow(
      `${url} ${message}`,
    );
  });

  test('certificates are read from their files', async () => {
    const file = join(folder, 'ca.pem');
    await writeFile(file, 'PEM');
    const fetchDocument: FetchDocument = async (_url, _known, tls) => {
      expect(tls).toEqual({ ca: 'PEM' });
      return { isUnchanged: true };
    };
    await read(source({ url, caFile: file }), {}, fetchDocument);
    await expect(read(source({ url, caFile: join(folder, 'none.pem') }), {}, fetchDocument)).rejects.toThrow(
      /none\.pem/,
    );
  });
});

describe('a file', () => {
  test('is read again only when its time or size has changed', async () => {
    const file = join(folder, 'cric.json');
    await writeFile(file, CRIC);
    const first = changed(await read(source({ file })));
    expect(first.facts.origin).toBe(file);
    expect(await read(source({ file }), first.validators)).toEqual({ isUnchanged: true });
    await utimes(file, new Date(), new Date(Date.now() + 60_000));
    expect(changed(await read(source({ file }), first.validators)).contentHash).toBe(first.contentHash);
  });

  test('that is missing or too large is said so', async () => {
    await expect(read(source({ file: join(folder, 'nowhere.json') }))).rejects.toThrow(/nowhere\.json/);
    const file = join(folder, 'large.json');
    await writeFile(file, CRIC);
    await expect(read(source({ file }), {}, nothing, 10)).rejects.toThrow(
      /large\.json has \d+ bytes; 10 are/,
    );
  });
});

describe('a tree', () => {
  const tree = async (root: string) => {
    const put = async (path: string, text: string) => {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    };
    await put('topology/Uni (East)/FACILITY.yaml', 'ID: 1\n');
    await put('topology/Uni (East)/Site [1]/SITE.yaml', 'ID: 2\n');
    await put(
      'topology/Uni (East)/Site [1]/GROUP.yaml',
      'GroupID: 7\nResources:\n  CE: {FQDN: ce.a.example}\n',
    );
    await put('topology/Uni (East)/Site [1]/GROUP_downtime.yaml', 'not: [yaml');
    await put('projects/P.yaml', 'not: [yaml');
  };
  test('is the folder of a checkout or the one with the facilities, read when a file of it changes', async () => {
    const root = join(folder, 'checkout');
    await tree(root);
    const of = source({ format: 'osg-tree', file: root });
    const first = changed(await read(of));
    expect(first.skipped).toEqual([]);
    expect(first.facts.sites).toMatchObject([
      { name: 'GROUP', oimGroupId: 7, hosts: [{ host: 'ce.a.example' }] },
    ]);
    const inner = changed(await read({ ...of, file: join(root, 'topology') }));
    expect(inner.contentHash).toBe(first.contentHash);
    expect(await read(of, first.validators)).toEqual({ isUnchanged: true });
    await rm(join(root, 'topology/Uni (East)/Site [1]/SITE.yaml'));
    expect((await read(of, first.validators)).isUnchanged).toBe(false);
  });
  test('that is not there holds no group', async () => {
    const of = source({ format: 'osg-tree', file: join(folder, 'none') });
    await expect(read(of)).rejects.toThrow(/none holds no ResourceGroup/);
  });
});

test('a source that moves is another one', () => {
  expect(definitionOf(source({ url: 'https://a.example/' }))).toBe('cric https://a.example/');
  expect(definitionOf(source({ format: 'osg-tree', file: '/t' }))).toBe('osg-tree /t');
});
