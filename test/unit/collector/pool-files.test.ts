import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { installPoolFile, poolFile, poolFilePath } from '../../../src/collector/pool-files.ts';

describe("Lark's files in HTCondor's configuration folder", () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lark-pool-files-'));
    path = poolFilePath(folder, 'access-point');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));
  const choices = { program: '/opt/$&/lark', args: 'sync --config /etc/x.yaml', site: 'UNL' };

  test('the site comes first, the program and its arguments are those of this machine', async () => {
    const text = await poolFile('access-point', choices);
    expect(text).toMatch(/^LarkSite = "UNL"\n/);
    expect(text).toMatch(/^LARK_SYNC = \/opt\/\$&\/lark$/m);
    expect(text).toMatch(/^LARK_SYNC_ARGS = sync --config \/etc\/x\.yaml$/m);
  });

  test('one that Lark wrote is replaced, one that somebody changed is not, unless forced', async () => {
    const old = await poolFile('access-point', choices);
    const next = await poolFile('access-point', { ...choices, site: 'KIT' });
    expect(await installPoolFile(path, old, false)).toBe('written');
    expect(await installPoolFile(path, old, false)).toBe('as it was');
    expect(await installPoolFile(path, next, false)).toBe('written');
    await writeFile(path, next.replace('"KIT"', '"FNAL"'));
    await expect(installPoolFile(path, old, false)).rejects.toThrow(/is not as Lark wrote it.*--force/);
    expect(await readFile(path, 'utf8')).toContain('"FNAL"');
    expect(await installPoolFile(path, old, true)).toBe('written');
    await writeFile(path, 'LarkSite = "MINE"\n');
    await expect(installPoolFile(path, old, false)).rejects.toThrow(/move your changes/);
  });

  test('what is added to a role comes after it in the order in which HTCondor reads', () => {
    const files = [poolFilePath('', 'access-point', 'limits'), poolFilePath('', 'access-point')].sort();
    expect(files[0]).toBe('95-lark-access-point.conf');
  });
});
