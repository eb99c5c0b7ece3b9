import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { CommandError, runCommand } from '../../../src/worker/commands.ts';
import { Launcher, LONGEST_INPUT } from '../../../src/worker/launcher.ts';
import { processStat } from '../../../src/worker/proc.ts';

const ENVIRONMENT = { PATH: '/usr/bin:/bin' };
const why = (() => {
  try {
    execFileSync('perl', ['-e', '1']);
    return undefined;
  } catch {
    return 'perl is not installed';
  }
})();

describe('runCommand', () => {
  it('gives what a program printed, of all that it was given', async () => {
    const input = 'a line\n'.repeat(50_000);
    expect(await runCommand('cat', [], { input })).toBe(input);
  });

  it('says which program failed, and why', async () => {
    const failure = await runCommand('sh', ['-c', 'echo first >&2; echo second >&2; exit 3']).catch((e) => e);
    expect(failure).toBeInstanceOf(CommandError);
    expect(failure).toMatchObject({
      message: 'sh -c echo first >&2; echo second >&2; exit 3: first',
      stderr: 'first\nsecond\n',
    });
    await expect(runCommand('no-such-program', [])).rejects.toThrow('cannot run no-such-program');
  });

  it('waits no longer than it may', async () => {
    await expect(runCommand('sleep', ['60'], { timeLimitMs: 100 })).rejects.toThrow('took longer than 0.1 s');
  });
});

describe.skipIf(why)(`a launcher${why ? ` (${why})` : ''}`, () => {
  const start = async () => (await Launcher.start())!;
  const end = (launcher: Launcher) => launcher.run(['sh', '-c', 'kill -9 $PPID'], '', ENVIRONMENT).ended;

  it('gives programs their input, arguments and environment, and tells how they ended', async () => {
    const launcher = await start();
    const run = (...words: string[]) => launcher.run(words, 'in\n', { ...ENVIRONMENT, LARK: 'a=b c' }).ended;
    expect(await run('sh', '-c', 'cat; echo "$1|$LARK|$HOME"; echo no >&2; exit 7', 'sh', 'x  "\n')).toEqual({
      code: 7,
      out: 'in\nx  "\n|a=b c|\n',
      err: 'no\n',
    });
    expect(await run('true')).toEqual({ code: 0, out: '', err: '' });
    expect(await run('sh', '-c', 'kill -9 $$')).toEqual({ out: '', err: '' });
    expect(await run('no-such-program')).toMatchObject({
      code: 127,
      err: expect.stringContaining('cannot run'),
    });
    await expect(end(launcher)).rejects.toThrow('the launcher ended');
  });

  it('runs many at once, and mixes nothing up', async () => {
    const launcher = await start();
    const numbers = Array.from({ length: 40 }, (_, i) => i);
    const ended = await Promise.all(
      numbers.map(
        (i) =>
          launcher.run(
            ['sh', '-c', `cat; head -c ${i * 9999} /dev/zero; echo ${i} >&2`],
            `${i}`.repeat(LONGEST_INPUT / 2),
            ENVIRONMENT,
          ).ended,
      ),
    );
    for (const [i, { code, out, err }] of ended.entries()) {
      expect(code).toBe(0);
      expect(out).toBe(`${i}`.repeat(LONGEST_INPUT / 2) + '\0'.repeat(i * 9999));
      expect(err).toBe(`${i}\n`);
    }
    await end(launcher).catch(() => {});
  });

  it('takes an input that nobody reads', async () => {
    const launcher = await start();
    const { ended } = launcher.run(['true'], 'x'.repeat(LONGEST_INPUT), ENVIRONMENT);
    expect(await ended).toMatchObject({ code: 0 });
    await end(launcher).catch(() => {});
  });

  it('kills the program that is meant', async () => {
    const launcher = await start();
    const [long, short] = [
      ['sleep', '60'],
      ['sleep', '0.2'],
    ].map((words) => launcher.run(words, '', ENVIRONMENT));
    long!.kill();
    expect(await long!.ended).toEqual({ out: '', err: '' });
    expect(await short!.ended).toMatchObject({ code: 0 });
    await end(launcher).catch(() => {});
    expect(launcher.isReady).toBe(false);
  });

  it('does not keep its process from ending, and ends with it', async () => {
    const script = `
      const { useLauncher, runCommand } = await import('${new URL('../../../src/worker/commands.ts', import.meta.url)}');
      await useLauncher();
      console.log(await runCommand('sh', ['-c', 'echo $PPID']));`;
    const pid = Number(
      execFileSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 30_000 }),
    );
    expect(pid).toBeGreaterThan(1);
    expect(pid).not.toBe(process.pid);
    const lives = () => !['Z', undefined].includes(processStat(pid)?.state);
    while (lives()) await new Promise((resolve) => setTimeout(resolve, 20));
  });
});
