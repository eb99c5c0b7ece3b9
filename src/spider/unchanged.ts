import { LRUCache } from 'lru-cache';

/** What tells whether a document is still the one that was read before, as its server said then. */
export interface Validators {
  etag?: string;
  lastModified?: string;
}

interface Remembered {
  text: string;
  validators: Validators;
}

/** All that is kept, and the largest document that is. Characters, of which most take a byte. */
const MOST_CHARACTERS = 16e6;
const LARGEST = 1e6;

/** Documents whose servers can tell whether they changed: template, metadata, bootstrap document. */
export class RememberedDocuments {
  readonly #documents = new LRUCache<string, Remembered>({
    maxSize: MOST_CHARACTERS,
    maxEntrySize: LARGEST,
    sizeCalculation: ({ text }, url) => text.length + url.length + 200,
  });

  /** What to ask the server to compare with. */
  validators(url: string): Validators | undefined {
    return this.#documents.get(url)?.validators;
  }

  /** The text that was not changed; undefined where it was forgotten while the server was asked. */
  text(url: string): string | undefined {
    return this.#documents.get(url)?.text;
  }

  remember(url: string, text: string, headers: Readonly<Record<string, unknown>>): void {
    const validators = validatorsOf(headers);
    if (validators.etag === undefined && validators.lastModified === undefined) this.#documents.delete(url);
    else this.#documents.set(url, { text, validators });
  }
}

export function validatorsOf(headers: Readonly<Record<string, unknown>>): Validators {
  const { etag, 'last-modified': lastModified } = headers;
  return {
    ...(typeof etag === 'string' && { etag }),
    ...(typeof lastModified === 'string' && { lastModified }),
  };
}
