import { walk } from './breaker-laws/histories.ts';

/**
 * The laws of a breaker over millions of random histories; test/unit/breaker/laws.test.ts walks some thousand of them
 * each time. BENCH_HISTORIES and BENCH_SEED change how many and which.
 */
const HISTORIES = Number(process.env.BENCH_HISTORIES ?? 2_000_000);
const SEED = Number(process.env.BENCH_SEED ?? 1);
const STEPS_EACH = 24;
const AT_ONCE = 100_000;

interface Result {
  histories: number;
  steps: number;
  seconds: number;
  /** How often each transition was met. */
  transitions: Record<string, number>;
}

/** @throws Error naming the law that was broken, and where */
export async function run(progress: (line: string) => void): Promise<Result> {
  const started = performance.now();
  const transitions: Record<string, number> = {};
  let steps = 0;
  let done = 0;
  for (let part = 0; done < HISTORIES; part++) {
    const histories = Math.min(AT_ONCE, HISTORIES - done);
    const walked = walk(histories, STEPS_EACH, SEED * 1_000_003 + part);
    steps += walked.steps;
    done += histories;
    for (const [name, count] of walked.transitions) transitions[name] = (transitions[name] ?? 0) + count;
    progress(`${done} of ${HISTORIES} histories, no law broken`);
  }
  return {
    histories: done,
    steps,
    seconds: Math.round((performance.now() - started) / 100) / 10,
    transitions,
  };
}
