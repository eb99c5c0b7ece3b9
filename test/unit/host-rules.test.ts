import { describe, expect, it } from 'vitest';
import { isHostPattern, permittedUrls, policyOf } from '../../src/host-rules.ts';

describe('rules for hosts', () => {
  it.each(['a.org', '*.a.org', '192.0.2.1', '2001:db8::/32', '192.0.2.0/24'])('%s can be read', (text) => {
    expect(isHostPattern(text)).toBe(true);
  });
  it.each(['', '*', 'a.*.org', 'https://a.org', '192.0.2.0/33', 'host name.org'])('%j cannot', (text) => {
    expect(isHostPattern(text)).toBe(false);
  });

  it('the first that matches and says something decides, for each setting by itself', () => {
    const rules = [
      { match: 'PS.a.org', certificates: 'verify' },
      { match: '*.a.org', scheme: 'https', certificates: 'accept' },
      { match: '192.0.2.0/24', scheme: 'prefer-http' },
      { match: '2001:db8::1', scheme: 'https' },
    ] as const;
    const of = (host: string) => Object.values(policyOf(rules, host));
    expect(of('ps.a.org')).toEqual(['https', 'verify']);
    expect(of('b.a.org')).toEqual(['https', 'accept']);
    expect(of('a.org')).toEqual([undefined, undefined]);
    expect(of('192.0.2.77')).toEqual(['prefer-http', undefined]);
    expect(of('192.0.3.1')).toEqual([undefined, undefined]);
    expect(of('2001:0db8::1')).toEqual(['https', undefined]);
  });

  it('which URLs of an archive are asked, and in which order', () => {
    const urls = ['https://a.org/x/', 'https://192.0.2.1/x/', 'http://a.org/x/', 'http://192.0.2.1/x/'];
    expect(permittedUrls(urls, [])).toEqual(urls);
    expect(permittedUrls(urls, [{ match: 'a.org', scheme: 'https' }])).toEqual([urls[0], urls[1], urls[3]]);
    expect(permittedUrls(urls, [{ match: '192.0.2.1', scheme: 'prefer-http' }])[0]).toBe(urls[3]);
  });
});
