import { setTimeout as sleep } from 'node:timers/promises';

/** What one transaction takes; it bounds what PGlite holds for it. */
const MOST_ITEMS = 45_000;
/**
 * With this many a transaction begins at once; with fewer, it waits this long for more. A transaction has its price
 * however little it brings: while dozens of archives are read at once, fewer and larger ones halve what storing takes.
 */
const ENOUGH_ITEMS = 30_000;
const LINGER_MS = 250;
/** While more than this many wait, nobody is to bring more. */
const MOST_WAITING_ITEMS = 80_000;
/** What a read weighs besides its samples or runs: its series has to be found, and its checkpoint be written. */
const READ_ITEMS = 10;

/** What one caller brings, piece by piece: stored in this order, and nothing after a piece that could not be. */
export interface Line<Read> {
  /** Resolves when there is room for the next. @throws what storing an earlier piece threw */
  add(reads: readonly Read[], at: Date): Promise<void>;
  /** Resolves when all that was added is stored. @throws what storing threw */
  stored(): Promise<void>;
}

interface Piece<Read> {
  line: LineState;
  reads: readonly Read[];
  items: number;
  at: Date;
}

interface LineState {
  waiting: number;
  failure?: { error: unknown };
  /** Called when none of its pieces waits. */
  idle: (() => void)[];
}

/**
 * What comes while a transaction is under way, or a moment before it, is stored together: many small pieces of many
 * archives cost little more than one. Callers read on meanwhile, until too much waits. Where a batch fails, each piece is
 * tried by itself, so that only its own caller learns of it.
 * @param itemsOf how large a read is: samples, or runs
 * @param stored gets how many of them were stored, each time some were
 * @returns opens a line
 */
export function savingTogether<Read>(
  save: (reads: readonly Read[], at: Date) => Promise<unknown>,
  itemsOf: (read: Read) => number,
  stored: (items: number) => void = () => {},
): () => Line<Read> {
  const waiting: Piece<Read>[] = [];
  const blocked: (() => void)[] = [];
  let waitingItems = 0;
  let isSaving = false;
  let enough: AbortController | undefined;

  const isRoom = () => waitingItems <= MOST_WAITING_ITEMS;
  const leave = ({ line }: Piece<Read>, failure?: { error: unknown }): void => {
    if (failure) line.failure ??= failure;
    line.waiting -= 1;
    if (line.waiting === 0) for (const resume of line.idle.splice(0)) resume();
  };
  const linger = async (): Promise<void> => {
    if (waitingItems >= ENOUGH_ITEMS) return;
    enough = new AbortController();
    await sleep(LINGER_MS, undefined, { signal: enough.signal }).catch(() => {});
    enough = undefined;
  };
  const nextBatch = (): Piece<Read>[] => {
    let items = 0;
    const isFull = ({ items: more }: Piece<Read>, i: number) => {
      items += more;
      return i > 0 && items > MOST_ITEMS;
    };
    const end = waiting.findIndex(isFull);
    const batch = waiting.splice(0, end < 0 ? waiting.length : end);
    waitingItems -= batch.reduce((sum, { items: each }) => sum + each, 0);
    if (isRoom()) for (const resume of blocked.splice(0)) resume();
    return batch;
  };
  const storeBatch = async (batch: readonly Piece<Read>[]): Promise<void> => {
    const pieces = batch.filter(({ line }) => !line.failure);
    for (const piece of batch) if (piece.line.failure) leave(piece);
    const newest = pieces.at(-1);
    if (!newest) return;
    const reads = pieces.flatMap((piece) => piece.reads);
    try {
      await save(reads, newest.at);
    } catch (error) {
      if (pieces.length === 1) return leave(newest, { error });
      for (const piece of pieces) await storeBatch([piece]);
      return;
    }
    stored(reads.reduce((sum, read) => sum + itemsOf(read), 0));
    for (const piece of pieces) leave(piece);
  };
  const storeAll = async (): Promise<void> => {
    isSaving = true;
    while (waiting.length > 0) {
      await linger();
      await storeBatch(nextBatch());
    }
    isSaving = false;
  };

  return () => {
    const line: LineState = { waiting: 0, idle: [] };
    const check = (): void => {
      if (line.failure) throw line.failure.error;
    };
    const room = async (): Promise<void> => {
      while (!isRoom()) await new Promise<void>((resume) => blocked.push(resume));
      check();
    };
    return {
      // Not async: it would hold what it got while it waits.
      add(reads, at) {
        const items = reads.reduce((sum, read) => sum + itemsOf(read) + READ_ITEMS, 0);
        waiting.push({ line, reads, items, at });
        line.waiting += 1;
        waitingItems += items;
        if (waitingItems >= ENOUGH_ITEMS) enough?.abort();
        if (!isSaving) void storeAll();
        return room();
      },
      async stored() {
        if (line.waiting > 0) await new Promise<void>((resume) => line.idle.push(resume));
        check();
      },
    };
  };
}
