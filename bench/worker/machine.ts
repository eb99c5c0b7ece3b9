import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export const MAKERS = ['lark', 'cni'] as const;
export type Which = (typeof MAKERS)[number];

/** What a machine is asked to do, a line of JSON each; it answers with one. */
export type Order =
  | { do: 'grow'; to: number }
  | { do: 'round' | 'parallel' | 'openPath' | 'throughput' | 'closePath' | 'tidy' }
  | { do: 'setGso'; isOn: boolean };

/** One network up and down. */
export interface Round {
  upMs: number;
  downMs: number;
  /** That were started on the whole machine during `up`. */
  processes: number;
}

/** A machine of its own: a process in new network and mount namespaces, which makes networks in one of the two ways. */
export class Machine {
  readonly #which: Which;
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  readonly #ended: Promise<number | null>;

  constructor(which: Which) {
    this.#which = which;
    const inside = join(import.meta.dirname, 'inside.ts');
    this.#child = spawn(
      'unshare',
      ['--net', '--mount', '--propagation', 'private', process.execPath, inside, which],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    this.#answers = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
    this.#ended = new Promise((resolve) => this.#child.once('close', resolve));
  }

  /** Until so many networks are there. */
  async grow(to: number): Promise<void> {
    await this.#ask({ do: 'grow', to });
  }

  async round(): Promise<Round> {
    return (await this.#ask({ do: 'round' })) as Round;
  }

  /** 50 networks, at most 8 at a time; gone again afterwards. @returns seconds */
  async parallel(): Promise<number> {
    return (await this.#ask({ do: 'parallel' })) as number;
  }

  /** One more network, for packets. */
  async openPath(): Promise<void> {
    await this.#ask({ do: 'openPath' });
  }

  async setGso(isOn: boolean): Promise<void> {
    await this.#ask({ do: 'setGso', isOn });
  }

  /** @returns Gb/s */
  async throughput(): Promise<number> {
    return (await this.#ask({ do: 'throughput' })) as number;
  }

  async closePath(): Promise<void> {
    await this.#ask({ do: 'closePath' });
  }

  /** Deletes the namespaces that were used. */
  async tidy(): Promise<void> {
    await this.#ask({ do: 'tidy' });
  }

  /** All that it has goes with it. */
  async stop(): Promise<void> {
    this.#child.stdin!.end();
    await this.#ended;
  }

  async #ask(order: Order): Promise<unknown> {
    this.#child.stdin!.write(`${JSON.stringify(order)}\n`);
    const { value, done } = await this.#answers.next();
    if (done) throw new Error(`the machine of ${this.#which} ended at "${order.do}"`);
    return JSON.parse(value);
  }
}
