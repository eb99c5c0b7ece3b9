import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './commands.ts';
import { isSomething, stepOf } from './operations.ts';
import { replaceFile } from './records.ts';
import { JOB_NETNS, type Operation } from './types.ts';

export interface ApplyOptions {
  /** A path that leads to the job's network namespace, e.g. an open one below /proc/PID/fd. */
  netns?: string;
  /**
   * Go on after a failure, and let a batch go on after a line that failed: for taking down what may be half there. May be
   * done twice.
   */
  isForced?: boolean;
  /** Before each step, which is then called `ip-host`, `nft`, …. */
  onStep?: (step: string) => void;
}

/** How long one step took. */
export interface StepTiming {
  step: string;
  ms: number;
}

/**
 * Executes operations in their order: a process for each of `ip` here, `ip` in the job, `nft` and `tc`; the others need
 * none.
 * @throws CommandError, or what the file system threw; with `isForced` only after all was tried
 */
export async function apply(
  operations: readonly Operation[],
  options: ApplyOptions = {},
): Promise<StepTiming[]> {
  const timings: StepTiming[] = [];
  let failure: unknown;
  for (const operation of operations.filter(isSomething)) {
    const step = stepOf(operation);
    options.onStep?.(step);
    const begun = performance.now();
    try {
      await execute(operation, options);
    } catch (error) {
      if (!options.isForced) throw error;
      failure ??= error;
    }
    timings.push({ step, ms: performance.now() - begun });
  }
  if (failure !== undefined) throw failure;
  return timings;
}

/**
 * Executes the operations of a stage at the same time, and one stage after another. A failure ends it when its whole stage
 * is done, so that nothing is under way any more.
 * @throws CommandError, or what the file system threw: the first of the stage
 */
export async function applyStages(
  stages: readonly (readonly Operation[])[],
  options: ApplyOptions = {},
): Promise<StepTiming[]> {
  const timings: StepTiming[] = [];
  for (const stage of stages) {
    const done = await allDone(stage.map((operation) => apply([operation], options)));
    timings.push(...done.flat());
  }
  return timings;
}

/** As Promise.all, but waits for all of them where one fails. */
export async function allDone<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}

async function execute(operation: Operation, { netns, isForced = false }: ApplyOptions): Promise<void> {
  const isRepeatable = isForced;
  const force = isForced ? ['-force'] : [];
  switch (operation.kind) {
    case 'ip': {
      const input = linesOf(operation.lines).replaceAll(JOB_NETNS, netns ?? JOB_NETNS);
      const batch = [...force, '-batch', '-'];
      if (operation.where === 'host') await runCommand('ip', batch, { input, isRepeatable });
      else await runCommand('nsenter', [`--net=${netns}`, 'ip', ...batch], { input, isRepeatable });
      return;
    }
    case 'nft':
      await runCommand('nft', ['-f', '-'], { input: operation.text, isRepeatable });
      return;
    case 'tc':
      await runCommand('tc', [...force, '-batch', '-'], { input: linesOf(operation.lines), isRepeatable });
      return;
    case 'sysctl':
      writeFileSync(join('/proc/sys', operation.path), operation.value);
      return;
    case 'file':
      replaceFile(operation.path, operation.text);
      return;
    case 'remove':
      rmSync(operation.path, { recursive: true, force: true });
  }
}

const linesOf = (lines: readonly string[]): string => `${lines.join('\n')}\n`;
