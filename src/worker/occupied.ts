import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { claimFile } from './records.ts';

const NAME_FILE = /^name-(.+)$/;
const owned = z.object({ owner: z.string() });

/**
 * What is believed to be taken in a folder of leases, so that a search need not try every file of a pool that is nearly
 * full. It decides nothing: who gets a file, link(2) says. Other processes take and give back too; before anything is said
 * to be full, the folder is read again.
 */
class Occupied {
  readonly #folder: string;
  #files: Set<string> | undefined;
  /** Of names, which are never used again. */
  #owners = new Map<string, string>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  claim(file: string, text: string): boolean {
    this.#files?.add(file);
    return claimFile(join(this.#folder, file), text);
  }

  /**
   * @param textOf what the candidate of this place is to hold
   * @returns the place of the first candidate, from `start` on and round, that nobody held and that now is held
   */
  claimFirst(
    candidates: readonly string[],
    start: number,
    textOf: (place: number) => string,
  ): number | undefined {
    for (const files of [this.#files, undefined]) {
      const taken = files ?? this.#read();
      for (let i = 0; i < candidates.length; i++) {
        const place = (start + i) % candidates.length;
        const file = candidates[place]!;
        if (!taken.has(file) && this.claim(file, textOf(place))) return place;
      }
    }
    return undefined;
  }

  given(file: string): void {
    this.#files?.delete(file);
  }

  /** Names that this owner holds. */
  namesOf(owner: string): string[] {
    const names = filesIn(this.#folder).flatMap((file) => NAME_FILE.exec(file)?.[1] ?? []);
    this.#owners = new Map(names.map((name) => [name, this.#owners.get(name) ?? this.#ownerOf(name)]));
    return names.filter((name) => this.#owners.get(name) === owner);
  }

  /** Empty where the file does not tell, or is gone. */
  #ownerOf(name: string): string {
    try {
      return owned.parse(JSON.parse(readFileSync(join(this.#folder, `name-${name}`), 'utf8'))).owner;
    } catch {
      return '';
    }
  }

  #read(): ReadonlySet<string> {
    this.#files = new Set(filesIn(this.#folder).filter((file) => !NAME_FILE.test(file)));
    return this.#files;
  }
}

/** None where there is no such folder. */
export function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

const folders = new Map<string, Occupied>();

/** As this process knows it. */
export function occupiedIn(folder: string): Occupied {
  const known = folders.get(folder) ?? new Occupied(folder);
  folders.set(folder, known);
  return known;
}
