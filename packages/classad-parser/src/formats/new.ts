/** New syntax: `[ a = 1; b = "x" ]`, ads one after another or in a list, `{ [ … ], [ … ] }`. */
import type { ClassAd } from '../classad.ts';
import { ClassAdSyntaxError } from '../errors.ts';
import { Parser } from '../parser.ts';
import { isSpace } from '../text.ts';

/**
 * Parses ads in new syntax: one after another, or between `{`, commas and `}`, as `condor_status -long:new` writes them.
 * @throws ClassAdSyntaxError
 */
export function parseNewAds(text: string): ClassAd[] {
  const ads: ClassAd[] = [];
  let at = 0;
  for (;;) {
    while (at < text.length && (isSpace(text.charCodeAt(at)) || '{},'.includes(text.charAt(at)))) at += 1;
    if (at >= text.length) return ads;
    if (text.charAt(at) !== '[') throw new ClassAdSyntaxError(text, at, 'an ad in brackets');
    const parser = new Parser(text, 'new', at, true);
    ads.push(parser.parseAd());
    at = parser.offset;
  }
}
