import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { join } from 'node:path';

/** How a program ended, and what it wrote. */
export interface Ended {
  /** Undefined where a signal ended it. */
  code?: number;
  out: string;
  err: string;
}

/** What fits into a pipe whoever reads it. */
export const LONGEST_INPUT = 32_768;

interface Waiting {
  resolve(ended: Ended): void;
  reject(error: Error): void;
}

/**
 * A small process beside this one that starts programs in its place. Node forks, and the kernel copies for each fork the
 * page tables of all that Node holds: some milliseconds in which nothing else is done. Ends when this process does, and
 * does not keep it from ending.
 */
export class Launcher {
  readonly #child: ChildProcess;
  readonly #answers: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #received: Buffer = Buffer.alloc(0);
  #lastId = 0;
  #isReady = false;
  #hasEnded = false;

  private constructor() {
    const program = join(import.meta.dirname, 'launcher.pl');
    this.#child = spawn('perl', [program], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { PATH: '/usr/bin:/bin' },
    });
    // A child's pipes are sockets in Node.
    this.#answers = this.#child.stdout as Socket;
    this.#child.unref();
    (this.#child.stdin as Socket).unref();
  }

  /** Undefined where there is no perl. */
  static start(): Promise<Launcher | undefined> {
    const launcher = new Launcher();
    return new Promise((resolve) => {
      launcher.#child.on('error', () => resolve(undefined));
      launcher.#child.stdin!.on('error', () => {});
      launcher.#answers.on('data', (chunk: Buffer) => {
        launcher.#hear(chunk);
        if (launcher.#isReady) resolve(launcher);
      });
      launcher.#child.on('exit', () => {
        launcher.#isReady = false;
        launcher.#hasEnded = true;
      });
      // When nothing runs any more that it started: what is undone before that could be done after.
      launcher.#answers.on('close', () => {
        launcher.#isReady = false;
        resolve(undefined);
        for (const { reject } of launcher.#waiting.values()) reject(new Error('the launcher ended'));
        launcher.#waiting.clear();
      });
    });
  }

  /** False once it has ended, by whomever. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /**
   * @param words the program and its arguments
   * @param input no longer than LONGEST_INPUT
   * @returns its end, and what kills it before
   * @throws Error, as rejection, when the launcher itself ended: then nobody knows. What is killed then goes on running.
   */
  run(
    words: readonly string[],
    input: string,
    environment: NodeJS.ProcessEnv,
  ): { ended: Promise<Ended>; kill: () => void } {
    const id = ++this.#lastId;
    const settings = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const request = Buffer.from([...settings, '', ...words].map((word) => `${word}\0`).join(''));
    const bytes = Buffer.from(input);
    this.#answers.ref();
    const ended = new Promise<Ended>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#child.stdin!.write(
      Buffer.concat([Buffer.from(`${id} ${request.length} ${bytes.length}\n`), request, bytes]),
    );
    const kill = (): void => {
      if (!this.#hasEnded) this.#child.stdin!.write(`${id}\n`);
      else this.#waiting.get(id)?.reject(new Error('the launcher ended'));
    };
    return { ended, kill };
  }

  #hear(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    for (let line = this.#line(); line !== undefined; line = this.#line()) {
      const [head, length] = line;
      if (head === 'ready') {
        this.#isReady = true;
        this.#received = this.#received.subarray(length);
        continue;
      }
      const [id = 0, status = 0, outBytes = 0, errBytes = 0] = head.split(' ').map(Number);
      const end = length + outBytes + errBytes;
      if (this.#received.length < end) break;
      this.#waiting.get(id)?.resolve({
        ...((status & 0x7f) === 0 && { code: status >> 8 }),
        out: this.#received.toString('utf8', length, length + outBytes),
        err: this.#received.toString('utf8', length + outBytes, end),
      });
      this.#waiting.delete(id);
      this.#received = this.#received.subarray(end);
    }
    if (this.#waiting.size === 0) this.#answers.unref();
  }

  /** The first line received, and how long it is. */
  #line(): [text: string, length: number] | undefined {
    const end = this.#received.indexOf('\n');
    return end < 0 ? undefined : [this.#received.toString('latin1', 0, end), end + 1];
  }
}
