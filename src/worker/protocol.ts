import { z } from 'zod';

/**
 * What wrapper and agent say to each other: a JSON object a line, each way. The wrapper's:
 *
 * - `{"op":"network","pid":N}`: my job needs its network. Answered by `prove`.
 * - `{"op":"check","pid":N}`: would it get one? For a hook that runs before the job; nothing is made.
 * - `{"op":"proved"}`: the secret is my name now. Answered by `exec`, `unshare`, `go`, `join`, `enter` or `fail`.
 * - `{"op":"unshared"}`: I have a network namespace of my own now. Answered by `go` or `fail`.
 */
export const wrapperMessage = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('network'), pid: z.int().positive() }),
  z.strictObject({ op: z.literal('check'), pid: z.int().positive() }),
  z.strictObject({ op: z.literal('proved') }),
  z.strictObject({ op: z.literal('unshared') }),
]);
export type WrapperMessage = z.infer<typeof wrapperMessage>;

/** The agent's. Values are plain ASCII without quotes and backslashes, so that a wrapper needs no JSON parser. */
export type AgentMessage =
  | { do: 'prove'; secret: string }
  /** The job is left as it is. */
  | { do: 'exec' }
  /**
   * Make a network namespace (and a mount namespace) of your own. `chirp`, if not empty, is the port of the machine's
   * loopback on which the job's starter serves condor_chirp.
   */
  | { do: 'unshare'; chirp: string }
  /**
   * The network stands. `files` is the folder of the job's own resolv.conf and hosts; `variables` are for the job's
   * environment: `NAME=value`, with spaces between them. `door` is the folder in which a process of the job is to wait
   * for those who come later, where they could not enter the namespace by themselves; else it is empty.
   */
  | { do: 'go'; name: string; files: string; variables: string; door: string }
  /** The job has its network already: enter it, as this process of the job is in it. */
  | { do: 'join'; pid: string; files: string }
  /** The job has its network already, in a namespace that only root could enter: ask at the job's door in this folder. */
  | { do: 'enter'; door: string }
  | { do: 'fail'; action: 'hold' | 'idle' | 'run-without'; message: string };

/** No message of a wrapper is longer. */
export const LONGEST_LINE = 256;

export function lineOf(message: AgentMessage): string {
  const safe = Object.fromEntries(Object.entries(message).map(([key, value]) => [key, plain(value)]));
  return `${JSON.stringify(safe)}\n`;
}

/** 64 ports fit, and a reason of any use. */
const LONGEST_VALUE = 2000;

function plain(text: string): string {
  return text
    .replace(/["\\]/g, "'")
    .replace(/[^\x20-\x7e]/g, ' ')
    .slice(0, LONGEST_VALUE);
}
