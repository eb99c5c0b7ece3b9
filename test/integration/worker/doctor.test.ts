import { resolve } from 'node:path';
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { links } from '../pool/footprint.ts';

const MAIN = resolve(import.meta.dirname, '../../../src/cli/main.ts');
const isRoot = process.platform === 'linux' && process.getuid?.() === 0;

describe.skipIf(!isRoot)(
  `lark worker doctor${isRoot ? '' : ' (skipped: its trials need root on Linux)'}`,
  () => {
    it('finds out what this machine has, and leaves nothing', async () => {
      const before = links();
      const { exitCode, stdout } = await execa(process.execPath, [MAIN, 'worker', 'doctor', '--json'], {
        reject: false,
        timeout: 60_000,
        stdin: 'ignore',
      });
      const { findings, facts } = JSON.parse(stdout) as {
        findings: { level: string }[];
        facts: { features: Record<string, { works: boolean; words?: string }>; kernel: string };
      };
      expect(facts.kernel).toMatch(/^\d+\.\d+/);
      // what every machine that runs these tests has
      expect(facts.features).toMatchObject({
        netns: { works: true },
        veth: { works: true },
        bridge: { works: true },
      });
      for (const { works, words } of Object.values(facts.features)) expect(works || words).toBeTruthy();
      expect(exitCode).toBe(findings.some(({ level }) => level === 'bad') ? 1 : 0);
      expect(links()).toEqual(before);
    });
  },
);
