import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { main } from '../../src/cli.ts';

async function run(args: string[], input = '') {
  const sink = () => {
    const chunks: string[] = [];
    const stream = new Writable({
      write(chunk, _encoding, done) {
        chunks.push(String(chunk));
        done();
      },
    });
    return { stream, text: () => chunks.join('') };
  };
  const [out, err] = [sink(), sink()];
  const code = await main(args, {
    stdin: Readable.from([Buffer.from(input)]),
    stdout: out.stream,
    stderr: err.stream,
  });
  return { code, out: out.text(), err: err.text() };
}

describe('the classad command', () => {
  let folder: string;
  const file = (name: string) => join(folder, name);
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'classad-'));
    writeFileSync(file('machine'), 'Memory = 4096\nRequirements = TARGET.RequestMemory <= Memory\n');
    writeFileSync(file('job'), '[ RequestMemory = 1024; Requirements = TARGET.Memory > 5000 ]');
    writeFileSync(file('job.json'), '{"RequestMemory": 1024, "Requirements": true}');
    writeFileSync(file('bad'), 'A = 1\nB = (\n');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('evaluates', async () => {
    expect(await run(['eval', '1 + 1.5'])).toEqual({ code: 0, out: '2.5\n', err: '' });
    const args = [
      'eval',
      'Memory / RequestMemory',
      '--ad',
      file('machine'),
      '--target',
      file('job.json'),
      '--json',
    ];
    expect(JSON.parse((await run(args)).out)).toEqual({ type: 'integer', value: '4', unparsed: '4' });
    expect((await run(['eval', 'strcat("a", "b")', '--json'])).out).toBe(
      '{"type":"string","value":"ab","unparsed":"\\"ab\\""}\n',
    );
  });

  it('matches and explains', async () => {
    expect(await run(['match', file('machine'), file('job.json')])).toMatchObject({
      code: 0,
      out: 'match\n',
    });
    const { code, out } = await run(['match', file('machine'), file('job'), '--explain']);
    expect(code).toBe(1);
    expect(out).toContain('> false     TARGET.Memory > 5000\n        TARGET.Memory is 4096, in the other ad');
  });

  it('converts between all forms', async () => {
    const text = 'A = 1\nB = "x"\nC = A > 0\n\nA = 2\n';
    for (const form of ['old', 'new', 'json', 'xml']) {
      const there = await run(['convert', '--from', 'old', '--to', form], text);
      expect(await run(['convert', '--from', form, '--to', 'old'], there.out)).toEqual({
        code: 0,
        out: text,
        err: '',
      });
    }
  });

  it('answers batches, a line for a line', async () => {
    const lines = [
      '{"expr": "a + b", "ad": "[a=1]", "target": "[b=2]"}',
      '{"expr": "1 +"}',
      'no json',
      '',
      '{"ad": "[]"}',
      '{"expr": "TARGET.b", "target": "[b=2]"}',
    ];
    const { code, out } = await run(['batch'], lines.join('\n'));
    expect(code).toBe(0);
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as object),
    ).toEqual([
      { type: 'integer', value: '3', unparsed: '3' },
      { error: 'line 1, column 4: expected an expression, found the end of the text' },
      { error: expect.stringContaining('JSON') },
      { error: 'expr: an expression is missing' },
      { type: 'integer', value: '2', unparsed: '2' },
    ]);
  });

  it.each([
    [[], 'a command is missing'],
    [['frob'], 'there is no command frob'],
    [['eval'], 'eval takes one expression'],
    [['eval', '1', '--frob'], "Unknown option '--frob'"],
    [['convert', '--from', 'old', '--to', 'yaml'], '--to is one of old, new, json, xml'],
    [['match', 'a'], 'match takes two files'],
  ])('says what is wrong with %j', async (args, problem) => {
    const { code, out, err } = await run(args);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(problem);
  });

  it('names the file and the place of what it cannot read', async () => {
    const { code, err } = await run(['eval', '1', '--ad', file('bad')]);
    expect(code).toBe(2);
    expect(err).toBe(
      `classad: ${file('bad')}: line 2, column 6: expected an expression, found the end of the text\n`,
    );
  });
});
