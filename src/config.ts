import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { checkedYaml, readUserFile, unwrap } from './checked-yaml.ts';
import { UserError } from './errors.ts';
import { CERTIFICATES, isHostPattern, SCHEMES } from './host-rules.ts';
import { nearest } from './nearest.ts';

const positive = z.number().positive();
const wholeFrom = (min: number, max: number) => z.int().min(min).max(max);
const share = z.number().min(0).max(1);
const httpUrl = z.url({ protocol: /^https?$/, error: 'a URL that starts with http:// or https://' });

/** The forms in which a description of sites can be read: see docs/administrators.md. */
export const SITE_SOURCE_FORMATS = [
  'cric',
  'cric-domains',
  'osg-xml',
  'osg-json',
  'osg-tree',
  'gocdb',
] as const;
export type SiteSourceFormat = (typeof SITE_SOURCE_FORMATS)[number];

const siteSource = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]*$/i, { error: 'a name of letters, digits, ".", "_" and "-"' }),
    format: z.enum(SITE_SOURCE_FORMATS),
    url: httpUrl.optional(),
    file: z.string().min(1).optional(),
    enabled: z.boolean().default(true),
    refreshHours: positive.default(24),
    caFile: z.string().min(1).optional(),
    certificateFile: z.string().min(1).optional(),
    keyFile: z.string().min(1).optional(),
  })
  .refine(({ url, file }) => (url === undefined) !== (file === undefined), {
    error: 'a source with either a url or a file',
  })
  .refine(({ certificateFile, keyFile }) => (certificateFile === undefined) === (keyFile === undefined), {
    error: 'a source with both certificateFile and keyFile, or neither',
  })
  .refine(({ format, file }) => format !== 'osg-tree' || file !== undefined, {
    error: 'a source with a file (the folder of a checkout), for its format is osg-tree',
  });

/** The shape of lark.yaml. `config/lark.yaml` says what each key means; a test holds the two together. */
const schema = z.strictObject({
  store: z
    .strictObject({
      directory: z.string().min(1).default('../var/store'),
      databaseUrl: z.string().default(''),
      samplesDays: wholeFrom(1, 3650).default(35),
      eventsDays: wholeFrom(1, 3650).default(400),
      cyclesDays: wholeFrom(1, 3650).default(14),
      hostsDays: wholeFrom(1, 3650).default(30),
    })
    .prefault({}),
  discover: z
    .strictObject({
      bootstrapUrls: z
        .array(httpUrl)
        .default([
          'http://ps1.es.net:8096/lookup/activehosts.json',
          'http://ps-west.es.net/lookup/activehosts.json',
        ]),
      lookupUrls: z.array(httpUrl).default([]),
      searchUrls: z.array(httpUrl).default(['http://35.223.142.206/lookup/_search']),
      psconfigUrls: z.array(httpUrl).default([]),
      seeds: z.array(z.strictObject({ archive: httpUrl, host: z.string().min(1).optional() })).default([]),
      everyMinutes: z.number().min(0).default(60),
    })
    .prefault({}),
  http: z
    .strictObject({
      connectTimeoutSeconds: positive.default(5),
      bodyTimeoutSeconds: positive.default(30),
      maxBodyMB: positive.default(64),
      concurrency: wholeFrom(1, 4096).default(64),
      perHostConcurrency: wholeFrom(1, 64).default(2),
      verifyCertificates: z.boolean().default(false),
      hosts: z
        .array(
          z.strictObject({
            match: z.string().refine(isHostPattern, {
              error: 'a host name, *. and a domain, an address or a prefix (192.0.2.0/24)',
            }),
            scheme: z.enum(SCHEMES).optional(),
            certificates: z.enum(CERTIFICATES).optional(),
          }),
        )
        .default([]),
      contact: z
        .string()
        .regex(/^[\x20-\x7e]*$/, 'printable ASCII, as in a header')
        .default(''),
    })
    .prefault({}),
  harvest: z
    .strictObject({
      lookbackHours: positive.default(24),
      overlapMinutes: z.number().min(0).default(60),
      archiveTimeoutSeconds: positive.default(120),
      aggregates: z
        .array(
          z.strictObject({
            url: httpUrl.refine((url) => !URL.canParse(url) || new URL(url).username === '', {
              error: 'a URL without user and password, which have keys of their own',
            }),
            user: z.string().default(''),
            password: z.string().default(''),
          }),
        )
        .default([]),
    })
    .prefault({}),
  transfers: z
    .strictObject({
      enabled: z.boolean().default(true),
      everyMinutes: z.number().min(0).default(10),
    })
    .prefault({}),
  sites: z
    .strictObject({
      file: z.string().min(1).default('sites.yaml'),
      sources: z
        .array(siteSource)
        .refine((sources) => new Set(sources.map(({ name }) => name)).size === sources.length, {
          error: 'a list in which every source has a name of its own',
        })
        .prefault([
          { name: 'cric', format: 'cric', url: 'https://wlcg-cric.cern.ch/api/core/rcsite/query/?json' },
          { name: 'osg', format: 'osg-xml', url: 'https://topology.opensciencegrid.org/rgsummary/xml' },
        ]),
      machineAttributes: z
        .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'the name of an attribute' }))
        .default([
          'LarkSite',
          'GLIDEIN_CMSSite',
          'OSG_INSTITUTION_ID',
          'GLIDEIN_Site',
          'GLIDEIN_ResourceName',
        ]),
      maxLossShare: share.default(0.2),
      keepVersions: wholeFrom(1, 100).default(5),
    })
    .prefault({}),
  estimate: z
    .strictObject({
      windowHours: positive.default(720),
      latencyWindowHours: positive.default(24),
      staleHours: positive.default(48),
      predictPaths: wholeFrom(0, 1_000_000).default(10_000),
    })
    .prefault({}),
  breaker: z
    .strictObject({
      policies: z.string().min(1).default('policies'),
      guardShare: share.default(0.5),
      guardPoolShare: share.default(0.3),
      probes: z
        .strictObject({
          enabled: z.boolean().default(true),
          everyMinutes: positive.default(30),
          atOnce: wholeFrom(1, 100).default(2),
        })
        .prefault({}),
    })
    .prefault({}),
  publish: z
    .strictObject({
      enabled: z.boolean().default(true),
      directory: z.string().default(''),
      lifetimeSeconds: wholeFrom(10, 30 * 86_400).default(3600),
    })
    .prefault({}),
  sync: z
    .strictObject({
      directory: z.string().min(1).default('/var/lib/lark/maps'),
      everySeconds: positive.default(5),
      reconfigEverySeconds: z.number().min(0).default(20),
      limits: z.enum(['none', 'path', 'destination']).default('none'),
      limitMbpsPerJob: positive.default(100),
    })
    .prefault({}),
  htcondor: z
    .strictObject({
      commandPrefix: z.array(z.string()).default([]),
      configVal: z.string().min(1).default('condor_config_val'),
      collector: z.string().default(''),
      commandTimeoutSeconds: positive.default(20),
    })
    .prefault({}),
  service: z
    .strictObject({
      schedule: z.string().min(1).default('*/5 * * * *'),
      cycleTimeoutSeconds: positive.default(900),
    })
    .prefault({}),
  api: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1'),
      port: wholeFrom(0, 65_535).default(8690),
      healthyMinutes: positive.default(30),
    })
    .prefault({}),
  log: z
    .strictObject({ level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info') })
    .prefault({}),
});

export type Config = z.infer<typeof schema>;

/** A configuration and where it came from. */
export interface LoadedConfig {
  config: Config;
  file: string;
  /** What of the environment changed something, as `environment NAME`. */
  overrides: string[];
}

const ROOT = resolve(import.meta.dirname, '..');

/** The file in force: `--config`, else LARK_CONFIG, else /etc/lark/lark.yaml, else the one of this checkout. */
export function configFile(given: string | undefined, env: NodeJS.ProcessEnv): string {
  const named = given ?? env.LARK_CONFIG;
  if (named) return resolve(named);
  const installed = '/etc/lark/lark.yaml';
  return existsSync(installed) ? installed : join(ROOT, 'config/lark.yaml');
}

/**
 * Reads, overrides by environment and checks the configuration; relative paths come back absolute.
 * @throws UserError with one line for each thing that is wrong.
 */
export function loadConfig(given: string | undefined, env: NodeJS.ProcessEnv): LoadedConfig {
  const file = configFile(given, env);
  return parseConfig(readUserFile(file, 'the configuration'), file, env);
}

/** The part of `loadConfig` that touches no disk. */
export function parseConfig(text: string, file: string, env: NodeJS.ProcessEnv): LoadedConfig {
  let overrides: ReadonlyMap<string, string> = new Map();
  const config = checkedYaml(schema, text, file, (raw) => {
    overrides = applyEnvironment(raw, env);
    return overrides;
  });
  const base = dirname(file);
  config.store.directory = resolve(base, config.store.directory);
  config.sites.file = resolve(base, config.sites.file);
  for (const source of config.sites.sources) {
    for (const key of ['file', 'caFile', 'certificateFile', 'keyFile'] as const)
      if (source[key] !== undefined) source[key] = resolve(base, source[key]);
  }
  config.breaker.policies = resolve(base, config.breaker.policies);
  if (config.publish.directory) config.publish.directory = resolve(base, config.publish.directory);
  config.sync.directory = resolve(base, config.sync.directory);
  return { config, file, overrides: [...overrides.values()] };
}

/** A copy without secrets, for people: passwords of the database and of aggregated indices are masked. */
export function maskSecrets(config: Config): Config {
  const masked = structuredClone(config);
  masked.store.databaseUrl = masked.store.databaseUrl.replace(/(:\/\/[^:/@]*):.*@/, '$1:********@');
  for (const aggregate of masked.harvest.aggregates)
    if (aggregate.password !== '') aggregate.password = '********';
  return masked;
}

const UPPER_SNAKE = (key: string): string => key.replace(/[A-Z]+/g, (run) => `_${run}`).toUpperCase();

/** `section.key` of every variable that names one, e.g. LARK_HARVEST_LOOKBACK_HOURS. */
const VARIABLES: ReadonlyMap<string, readonly [section: string, key: string]> = new Map(
  Object.entries(schema.shape).flatMap(([section, inner]) =>
    Object.keys((unwrap(inner) as z.ZodObject).shape).map(
      (key) => [`LARK_${UPPER_SNAKE(section)}_${UPPER_SNAKE(key)}`, [section, key] as const] as const,
    ),
  ),
);
/** Variables with another meaning than a key of the configuration. */
const OTHER_VARIABLES = ['LARK_CONFIG', 'LARK_CONDOR_ROOT'];

/** Writes the environment's values into `raw`; returns which variable set which key. */
function applyEnvironment(raw: Record<string, unknown>, env: NodeJS.ProcessEnv): Map<string, string> {
  const used = new Map<string, string>();
  const set = (section: string, key: string, value: unknown, variable: string) => {
    const inner = raw[section];
    raw[section] = { ...(inner && typeof inner === 'object' ? inner : {}), [key]: value };
    used.set(`${section}.${key}`, `environment ${variable}`);
  };
  if (env.DATABASE_URL) set('store', 'databaseUrl', env.DATABASE_URL, 'DATABASE_URL');
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('LARK_') || value === undefined || OTHER_VARIABLES.includes(name)) continue;
    const target = VARIABLES.get(name);
    if (!target) {
      throw new UserError(
        `environment ${name}: there is no such key${nearest(name, [...VARIABLES.keys(), ...OTHER_VARIABLES])}`,
      );
    }
    let parsed: unknown;
    try {
      parsed = parse(value);
    } catch {
      parsed = value;
    }
    // An empty variable is an empty text, not YAML's null.
    set(target[0], target[1], parsed ?? '', name);
  }
  return used;
}
