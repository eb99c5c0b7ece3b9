import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** What a child process can be asked for, by name. */
export type Handlers = Record<string, (...args: never[]) => unknown>;

export interface Child<H extends Handlers> {
  ask<K extends keyof H & string>(what: K, ...args: Parameters<H[K]>): Promise<Awaited<ReturnType<H[K]>>>;
  /** Ends the process; resolves when it is gone. */
  close(): Promise<void>;
}

interface Question {
  id: number;
  what: string;
  args: unknown[];
}

type Answer = { id: number; value: unknown } | { id: number; error: string };

/**
 * Starts a script of this folder in a process of its own. It gets `options` as JSON in its first argument, and ends
 * with this process, however this one ends.
 */
export function startChild<H extends Handlers>(
  script: string,
  options: object,
  nodeArgs: string[] = [],
): Child<H> {
  const child = fork(fileURLToPath(new URL(script, import.meta.url)), [JSON.stringify(options)], {
    execArgv: nodeArgs,
    // Standard output is for the result alone.
    stdio: ['ignore', 2, 2, 'ipc'],
    serialization: 'advanced',
  });
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let asked = 0;
  const ended = once(child, 'exit').then(([code, signal]) => {
    for (const { reject } of waiting.values()) reject(new Error(`${script} ended (${code ?? signal})`));
    waiting.clear();
  });
  child.on('message', (answer: Answer) => {
    const question = waiting.get(answer.id);
    waiting.delete(answer.id);
    if ('error' in answer) question?.reject(new Error(answer.error));
    else question?.resolve(answer.value);
  });
  return {
    ask(what, ...args) {
      const question = Promise.withResolvers<unknown>();
      const id = ++asked;
      waiting.set(id, question);
      child.send({ id, what, args } satisfies Question, (error) => {
        if (error) question.reject(error);
      });
      return question.promise as Promise<never>;
    },
    async close() {
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}

/**
 * In the child, before it makes anything that must go again: a signal to the whole group of processes is the parent's
 * to follow, and its end is what ends this one.
 */
export function ignoreSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
}

/** In the child: answers questions until the parent hangs up, and then ends the process. */
export function serve(handlers: Handlers, end: () => Promise<void>): void {
  process.on('message', (question: Question) => {
    const { id, what, args } = question;
    // To a parent that has died meanwhile nothing can be said; with a callback, that is no error of this process.
    const tell = (answer: Answer): void => void process.send?.(answer, () => {});
    const answer = async (): Promise<unknown> => handlers[what]!(...(args as never[]));
    answer().then(
      (value) => tell({ id, value }),
      (error: unknown) =>
        tell({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  });
  const leave = (): void => void end().finally(() => process.exit());
  if (process.connected) process.once('disconnect', leave);
  else leave();
}
