import { z } from 'zod';
import { hostOf, identifier } from '../../address.ts';
import type { ExpectedTest } from '../../domain.ts';
import { type ArchiveClaim, archiveUrls, type HostClaim, identifiersOf } from '../claims.ts';

/** What a template or mesh configuration tells. */
export interface Contents {
  hosts: HostClaim[];
  archives: ArchiveClaim[];
  expected: Omit<ExpectedTest, 'origin'>[];
  /** What it means but cannot be known from it, one sentence each. */
  remarks: string[];
}

/** Pairs of one group, at most: a mesh of 500 hosts. A document of a few MB can ask for many millions. */
export const MAX_PAIRS = 250_000;

/** Claims of archives at these URLs, as far as they can be read, and of the hosts that they run on. */
export function archiveClaims(urls: Iterable<string>, source: string): Pick<Contents, 'hosts' | 'archives'> {
  const sources = [source];
  const usable = [...new Set(archiveUrls([...urls]))].sort();
  return {
    hosts: usable.map((url) => ({ ...identifiersOf([hostOf(url)]), sources })),
    archives: usable.map((url) => ({ urls: [url], sources })),
  };
}

/** An endpoint as expected tests give it; undefined for what means nothing elsewhere. */
export function endpoint(text: string): string | undefined {
  const found = identifier(text);
  return found === undefined || found.scope === 'none' ? undefined : found.text;
}

/** Seconds of an ISO 8601 duration of weeks, days, hours, minutes and seconds. */
export function durationSeconds(text: string): number | undefined {
  const parts = /^P(?:([\d.]+)W)?(?:([\d.]+)D)?(?:T(?:([\d.]+)H)?(?:([\d.]+)M)?(?:([\d.]+)S)?)?$/.exec(
    text.trim(),
  );
  if (!parts) return undefined;
  const [weeks = 0, days = 0, hours = 0, minutes = 0, seconds = 0] = parts
    .slice(1)
    .map((part) => (part === undefined ? 0 : Number(part)));
  const total = (((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60 + seconds;
  return total > 0 ? total : undefined;
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The members of an object that are of the schema; those that are not cost nothing but themselves. */
export const mapOf = <S extends z.ZodType>(schema: S) =>
  z
    .unknown()
    .optional()
    .transform((value) => {
      const members = Object.entries(isObject(value) ? value : {});
      return new Map<string, z.infer<S>>(
        members.flatMap(([name, member]) => {
          const parsed = schema.safeParse(member);
          return parsed.success ? [[name, parsed.data] as const] : [];
        }),
      );
    });

/** The items of a list that are of the schema. */
export const listOf = <S extends z.ZodType>(schema: S) =>
  z
    .unknown()
    .optional()
    .transform((value) =>
      (Array.isArray(value) ? value : []).flatMap((item): z.infer<S>[] => {
        const parsed = schema.safeParse(item);
        return parsed.success ? [parsed.data] : [];
      }),
    );

/** Mesh configurations also write truth as 1, "1" and "true". */
export const flag = z
  .unknown()
  .optional()
  .transform((value) => value === true || value === 1 || value === '1' || value === 'true');
