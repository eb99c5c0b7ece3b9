/** What is asked for at once, and how much of it is kept for the next when it is free. */
const MOST_BYTES = 4 << 20;
/** Of a body whose length nobody told. */
const USUAL_BYTES = 256 << 10;
const LEAST_BYTES = 64 << 10;
/** What a body is taken for that says it is longer: a server may say what it likes. */
const LONGEST_BYTES = 1 << 20;
/** Those that are under way may come slowly: nobody waits for them any longer. */
const PATIENCE_MS = 1000;
/** A text of numbers that is compressed. */
const COMPRESSED_TO = 1 / 5;

/** One body under way. */
export interface BodyParts {
  readonly bytes: number;
  add(chunk: Uint8Array): void;
  text(): string;
}

/**
 * Memory for the bodies under way. Where they come faster than they are taken in, a little of each is read in turn, so that
 * all would lie in memory half read: so only so many bytes of them are begun, and the others wait for a moment with their
 * servers. And each piece is memory of its own for the C library, which never gives it back: so they are put together
 * at once, in memory that is used again.
 */
export class BodyMemory {
  readonly #mostBytes: number;
  #begun = 0;
  readonly #patienceMs: number;
  readonly #waiting: { bytes: number; begin(): void }[] = [];
  readonly #free: Buffer[] = [];

  constructor({ mostBytes = MOST_BYTES, patienceMs = PATIENCE_MS } = {}) {
    this.#mostBytes = mostBytes;
    this.#patienceMs = patienceMs;
  }

  /**
   * Calls `begin`: now, or when those before it have left memory free, or when it has waited long enough.
   * @returns gives the memory back, or the place among those that wait; more than once does nothing
   */
  enter(expectedBytes: number, begin: (body: BodyParts) => void): () => void {
    const bytes = Math.min(expectedBytes, LONGEST_BYTES, this.#mostBytes);
    let body: Body | undefined;
    let isLeft = false;
    let late: NodeJS.Timeout | undefined;
    const place = {
      bytes,
      begin: () => {
        clearTimeout(late);
        this.#waiting.splice(this.#waiting.indexOf(place), 1);
        this.#begun += bytes;
        body = new Body(bytes, this.#take, this.#give);
        begin(body);
      },
    };
    this.#waiting.push(place);
    this.#next();
    if (!body) late = setTimeout(place.begin, this.#patienceMs);
    return () => {
      if (isLeft) return;
      isLeft = true;
      clearTimeout(late);
      if (body) {
        body.end();
        this.#begun -= bytes;
      } else this.#waiting.splice(this.#waiting.indexOf(place), 1);
      this.#next();
    };
  }

  #next(): void {
    for (;;) {
      const [first] = this.#waiting;
      if (!first || this.#begun + first.bytes > this.#mostBytes) return;
      first.begin();
    }
  }

  readonly #take = (bytes: number): Buffer => {
    const size = 2 ** Math.ceil(Math.log2(Math.max(bytes, LEAST_BYTES)));
    const found = this.#free.findIndex((free) => free.length >= size && free.length <= 2 * size);
    return found === -1 ? Buffer.allocUnsafeSlow(size) : this.#free.splice(found, 1)[0]!;
  };

  readonly #give = (buffer: Buffer): void => {
    this.#free.push(buffer);
    let bytes = this.#free.reduce((sum, { length }) => sum + length, 0);
    // The oldest go, since what is asked for changes.
    while (bytes > this.#mostBytes) bytes -= this.#free.shift()!.length;
  };
}

class Body implements BodyParts {
  bytes = 0;
  readonly #take: (bytes: number) => Buffer;
  readonly #give: (buffer: Buffer) => void;
  #memory: Buffer | undefined;

  constructor(expectedBytes: number, take: (bytes: number) => Buffer, give: (buffer: Buffer) => void) {
    this.#take = take;
    this.#give = give;
    this.#memory = take(expectedBytes);
  }

  add(chunk: Uint8Array): void {
    const before = this.#memory;
    // What comes after the end is nobody's.
    if (!before) return;
    const bytes = this.bytes + chunk.length;
    if (bytes > before.length) {
      this.#memory = this.#take(bytes);
      before.copy(this.#memory, 0, 0, this.bytes);
      this.#give(before);
    }
    this.#memory!.set(chunk, this.bytes);
    this.bytes = bytes;
  }

  text(): string {
    return this.#memory!.toString('utf8', 0, this.bytes);
  }

  end(): void {
    if (this.#memory) this.#give(this.#memory);
    this.#memory = undefined;
  }
}

/** Of a body as it is after decompression, from what its server says. */
export function expectedBytes(headers: Readonly<Record<string, unknown>>): number {
  const length = Number(headers['content-length']);
  if (headers['content-length'] === undefined || !(length >= 0)) return USUAL_BYTES;
  return headers['content-encoding'] === undefined ? length : length / COMPRESSED_TO;
}
