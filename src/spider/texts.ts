import { z } from 'zod';

/** One for all: most keys are missing in most of some 10,000 records. */
const NONE: readonly string[] = [];

/**
 * A list of texts as records hold it: also as a bare text, with numbers, null, `[""]` and `[" "]` in it. Trimmed,
 * without the empty ones; a value that is missing or something else is an empty list.
 */
export const texts = z
  .unknown()
  .optional()
  .transform((value): readonly string[] => {
    if (value === undefined) return NONE;
    return (Array.isArray(value) ? value : [value])
      .filter((item) => typeof item === 'string' || typeof item === 'number')
      .map((item) => String(item).trim())
      .filter((item) => item !== '');
  });

export const firstText = texts.transform((list) => list[0]);
