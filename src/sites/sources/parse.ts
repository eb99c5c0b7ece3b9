import type { SiteSourceFormat } from '../../config.ts';
import { parseCric, parseCricDomains } from './cric.ts';
import { parseGocdb } from './gocdb.ts';
import { parseOsgJson } from './osg-json.ts';
import { parseOsgXml } from './osg-xml.ts';
import { BadDocument, type ParsedSource } from './parsed.ts';

/**
 * Reads one document in any of the formats that are one document.
 * @throws BadDocument
 */
export function parseSource(
  format: Exclude<SiteSourceFormat, 'osg-tree'>,
  text: string,
  origin: string,
): ParsedSource {
  switch (format) {
    case 'cric':
      return parseCric(jsonOf(text), origin);
    case 'cric-domains':
      return parseCricDomains(jsonOf(text), origin);
    case 'osg-json':
      return parseOsgJson(jsonOf(text), origin);
    case 'osg-xml':
      return parseOsgXml(text, origin);
    case 'gocdb':
      return parseGocdb(text, origin);
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const start = text.trimStart();
    if (start === '') throw new BadDocument('is empty');
    if (start.startsWith('<')) {
      const title = /<title>([^<]*)<\/title>/i.exec(start)?.[1]?.trim();
      throw new BadDocument(`is a page${title ? ` ("${title.slice(0, 80)}")` : ''}, not JSON`);
    }
    throw new BadDocument(`is no JSON (${(error as SyntaxError).message.slice(0, 120)})`);
  }
}
