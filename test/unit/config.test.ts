import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig, maskSecrets, parseConfig } from '../../src/config.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const SHIPPED = join(ROOT, 'config/lark.yaml');
const parse = (text: string, env: NodeJS.ProcessEnv = {}) => parseConfig(text, '/etc/lark/lark.yaml', env);
const said = (text: string, env: NodeJS.ProcessEnv = {}): string => {
  try {
    parse(text, env);
  } catch (error) {
    return (error as Error).message;
  }
  return 'no error';
};

describe('the shipped lark.yaml', () => {
  test('holds every key with its default', () => {
    const shipped = parseConfig(readFileSync(SHIPPED, 'utf8'), SHIPPED, {}).config;
    const defaults = parseConfig('', SHIPPED, {}).config;
    expect(shipped).toEqual(defaults);
    const text = readFileSync(SHIPPED, 'utf8');
    for (const [section, keys] of Object.entries(defaults)) {
      const part = new RegExp(`^${section}:\\n((?:  .*\\n|\\n)*)`, 'm').exec(`${text}\n`)?.[1] ?? '';
      for (const key of Object.keys(keys))
        expect(part, `${section}.${key}`).toMatch(new RegExp(`^  ${key}:`, 'm'));
    }
  });

  test('says of every key what it means', () => {
    const lines = readFileSync(SHIPPED, 'utf8').split('\n');
    const bare = lines.filter((line, i) => /^ {2}\w+:/.test(line) && !/^ {2}#/.test(lines[i - 1] ?? ''));
    expect(bare).toEqual([]);
  });
});

describe('mistakes are named', () => {
  test.each([
    ['harvets:\n  lookbackHours: 1\n', 'lark.yaml:1: unknown key "harvets"; did you mean "harvest"?'],
    [
      'harvest:\n  lookbakHours: 1\n',
      'lark.yaml:2: unknown key "harvest.lookbakHours"; did you mean "lookbackHours"?',
    ],
    ['store:\n  qqqqqqqqqqqq: 1\n', 'lark.yaml:2: unknown key "store.qqqqqqqqqqqq"'],
    [
      '# x\nharvest:\n  lookbackHours: many\n',
      'lark.yaml:3: harvest.lookbackHours: expected a number, got "many"',
    ],
    ['http:\n  concurrency: 1.5\n', 'lark.yaml:2: http.concurrency: expected a whole number, got 1.5'],
    [
      'http: {perHostConcurrency: 0}',
      'lark.yaml:1: http.perHostConcurrency: expected a number of at least 1, got 0',
    ],
    [
      'log: {level: loud}',
      'lark.yaml:1: log.level: expected one of debug, info, warn, error, silent, got "loud"',
    ],
    ['publish:\n  enabled: 1\n', 'lark.yaml:2: publish.enabled: expected true or false, got 1'],
    [
      'sites:\n  sources:\n    - {name: a, format: cric}\n',
      'lark.yaml:3: sites.sources.0: expected a source with either a url or a file, got',
    ],
    [
      'sites: {sources: [{name: a, format: osg-tree, url: "https://x.example/"}]}',
      'lark.yaml:1: sites.sources.0: expected a source with a file (the folder of a checkout)',
    ],
    [
      'sites: {sources: [{name: a, format: cric, file: x}, {name: a, format: gocdb, file: y}]}',
      'lark.yaml:1: sites.sources: expected a list in which every source has a name of its own, got',
    ],
    [
      'sites: {sources: [{name: a, format: oim, file: x}]}',
      'lark.yaml:1: sites.sources.0.format: expected one of cric, cric-domains, osg-xml, osg-json, osg-tree, gocdb, got "oim"',
    ],
    ['store: 3', 'lark.yaml:1: store: expected a map of keys, got 3'],
    [
      'discover:\n  seeds:\n    - archiv: http://a/\n',
      'unknown key "discover.seeds.0.archiv"; did you mean "archive"?',
    ],
    [
      'discover:\n  bootstrapUrls:\n    - ftp://x/\n',
      'lark.yaml:3: discover.bootstrapUrls.0: expected a URL that starts with http:// or https://, got "ftp://x/"',
    ],
    ['a: [', 'lark.yaml:1: not valid YAML'],
    ['- 1', 'lark.yaml: expected "key: value" lines'],
  ])('%j', (text, message) => {
    expect(said(text)).toContain(message);
  });

  test('all mistakes at once, one line each', () => {
    expect(said('log: {level: loud}\nhttp: {concurrency: x, cuncurrency: 1}\n').split('\n')).toHaveLength(3);
  });

  test('a file that cannot be read', () => {
    expect(() => loadConfig('/nowhere/lark.yaml', {})).toThrow(
      /cannot read the configuration \/nowhere\/lark.yaml/,
    );
  });
});

describe('the environment', () => {
  test('overrides the file, and is typed as YAML', () => {
    const { config, overrides } = parse('harvest:\n  lookbackHours: 1\n', {
      LARK_HARVEST_LOOKBACK_HOURS: '3',
      LARK_HTCONDOR_COMMAND_PREFIX: '[nsenter, -t, "47"]',
      LARK_PUBLISH_ENABLED: 'false',
      LARK_STORE_DATABASE_URL: 'postgres://u@h/db',
    });
    expect(config.harvest.lookbackHours).toBe(3);
    expect(config.htcondor.commandPrefix).toEqual(['nsenter', '-t', '47']);
    expect(config.publish.enabled).toBe(false);
    expect(config.store.databaseUrl).toBe('postgres://u@h/db');
    expect(overrides).toContain('environment LARK_HARVEST_LOOKBACK_HOURS');
  });

  test('DATABASE_URL works, and LARK_STORE_DATABASE_URL is stronger', () => {
    expect(parse('', { DATABASE_URL: 'postgres://a/b' }).config.store.databaseUrl).toBe('postgres://a/b');
    const both = { LARK_STORE_DATABASE_URL: 'postgres://c/d', DATABASE_URL: 'postgres://a/b' };
    expect(parse('', both).config.store.databaseUrl).toBe('postgres://c/d');
  });

  test('a mistake names the variable', () => {
    expect(said('', { LARK_HTTP_CONCURENCY: '3' })).toBe(
      'environment LARK_HTTP_CONCURENCY: there is no such key; did you mean "LARK_HTTP_CONCURRENCY"?',
    );
    expect(said('', { LARK_HTTP_CONCURRENCY: 'x' })).toBe(
      'environment LARK_HTTP_CONCURRENCY: http.concurrency: expected a number, got "x"',
    );
  });

  test('an empty variable is an empty text', () => {
    expect(parse('', { LARK_STORE_DATABASE_URL: '' }).config.store.databaseUrl).toBe('');
  });
});

test('relative paths are relative to the file', () => {
  const { config } = parse('sites:\n  file: my/sites.yaml\n');
  expect(config.sites.file).toBe('/etc/lark/my/sites.yaml');
  expect(config.breaker.policies).toBe('/etc/lark/policies');
});

test('the password of a database URL is masked', () => {
  const { config } = parse('store:\n  databaseUrl: postgres://lark:se:c@ret@db.example:5432/lark\n');
  expect(maskSecrets(config).store.databaseUrl).toBe('postgres://lark:********@db.example:5432/lark');
  expect(config.store.databaseUrl).toContain('se:c@ret');
});

describe('aggregated indices', () => {
  test('the password is masked', () => {
    const { config } = parse(
      'harvest:\n  aggregates:\n    - { url: "https://es.example:9200", user: lark, password: se:cret }\n    - url: http://open.example\n',
    );
    expect(maskSecrets(config).harvest.aggregates).toEqual([
      { url: 'https://es.example:9200', user: 'lark', password: '********' },
      { url: 'http://open.example', user: '', password: '' },
    ]);
    expect(config.harvest.aggregates[0]!.password).toBe('se:cret');
  });

  test('a password in the URL is refused, since URLs are shown', () => {
    const message = said('harvest:\n  aggregates:\n    - url: https://lark:secret@es.example\n', {});
    expect(message).toContain('a URL without user and password');
  });

  test('a rule for hosts that can match none is refused', () => {
    const message = said('http:\n  hosts:\n    - { match: "https://a.org/", scheme: https }\n', {});
    expect(message).toContain('a host name, *. and a domain, an address or a prefix');
  });
});
