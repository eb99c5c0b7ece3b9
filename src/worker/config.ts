import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { checkedYaml, readUserFile } from '../checked-yaml.ts';
import { addressesBetween, isServer } from './addresses.ts';
import { DEFAULT_BRIDGE, PROTOCOLS } from './types.ts';

const cidr = z
  .string()
  .refine((text) => ipaddr.isValidCIDR(text), { error: 'an address range, e.g. 192.0.2.0/24' });
type Family = 'ipv4' | 'ipv6';
const nameOf = (family: Family): string => (family === 'ipv4' ? 'IPv4' : 'IPv6');
/** What no machine can have as its own address and be answered. */
const NOBODYS: readonly string[] = [
  'unspecified',
  'broadcast',
  'multicast',
  'linkLocal',
  'loopback',
  'ipv4Mapped',
];
const poolOf = (family: Family, bits: number) =>
  cidr
    .refine(
      (text) => {
        const [address, length] = ipaddr.parseCIDR(text);
        return address.kind() === family && length <= bits;
      },
      { error: `an ${nameOf(family)} range of /${bits} or larger`, abort: true },
    )
    .refine((text) => !NOBODYS.includes(ipaddr.parseCIDR(text)[0].range()), {
      error: 'a range that is not loopback, link-local or multicast',
    });
const address = (family: Family) =>
  z.string().refine((text) => ipaddr.isValid(text) && ipaddr.parse(text).kind() === family, {
    error: `an ${nameOf(family)} address`,
  });
const nameserver = z.string().refine(isServer, {
  error: 'an IP address that a job reaches: no loopback, and no link-local one of IPv6',
});
/** What the kernel takes as an interface's name, and nft without quotes. */
const interfaceName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_.-]{0,14}$/, { error: 'the name of an interface' });
const className = z.string().regex(/^[A-Za-z][A-Za-z0-9]{0,30}$/, { error: 'a word of letters and digits' });
const absolute = z.string().startsWith('/', { error: 'a path that starts with /' });
const PORT_RANGE = /^(\d{1,5})(?:-(\d{1,5}))?$/;
const portRange = z
  .string()
  .refine((text) => portsOf(text) !== undefined, { error: 'a port or a range, e.g. 50000-51000' });

/** First and last port of `443` or `50000-51000`; undefined for anything else. */
export function portsOf(text: string): { first: number; last: number } | undefined {
  const match = PORT_RANGE.exec(text);
  if (!match) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  return first >= 1 && first <= last && last <= 65_535 ? { first, last } : undefined;
}

const destination = z
  .strictObject({
    cidr,
    protocol: z.enum(PROTOCOLS).optional(),
    ports: portRange.optional(),
  })
  .refine(({ protocol, ports }) => ports === undefined || protocol !== undefined, {
    error: 'a protocol beside the ports',
  });

/** A range of a bridge's own network, both ends included. */
const addressRange = (family: Family) =>
  z
    .strictObject({ first: address(family), last: address(family) })
    .refine(({ first, last }) => isRange(first, last), {
      error: 'first no higher than last, and at most 65536 addresses',
    });

function isRange(first: string, last: string): boolean {
  try {
    return addressesBetween(first, last).length > 0;
  } catch {
    return false;
  }
}

/** The shape of worker.yaml; config/worker.yaml says what each key means, and a test holds the two together. */
const schema = z.strictObject({
  policy: z.string().min(1).default('worker/policy.ad'),
  onFailure: z.enum(['hold', 'idle', 'run-without']).default('hold'),
  host: z
    .strictObject({
      uplink: z.union([z.literal('auto'), interfaceName]).default('auto'),
    })
    .prefault({}),
  nat: z
    .strictObject({
      ipv4Pool: poolOf('ipv4', 28).default('10.44.0.0/16'),
      ipv6Pool: z.union([z.literal('none'), poolOf('ipv6', 112)]).default('fd6c:6172:6b00::/64'),
      inboundPorts: portRange.default('20000-21999'),
    })
    .prefault({}),
  bridge: z
    .strictObject({
      name: interfaceName.default(DEFAULT_BRIDGE),
      device: z.union([z.literal('auto'), interfaceName]).default('auto'),
      ipv4Ranges: z.array(addressRange('ipv4')).default([]),
      ipv6Ranges: z.array(addressRange('ipv6')).default([]),
      slotAddresses: z
        .record(
          z.string().regex(/^slot\w+$/, { error: 'the name of a slot, e.g. slot1_2' }),
          z.strictObject({ ipv4: address('ipv4').optional(), ipv6: address('ipv6').optional() }),
        )
        .default({}),
      ipv4PrefixLength: z.int().min(1).max(32).optional(),
      ipv6PrefixLength: z.int().min(1).max(128).optional(),
      ipv4Gateway: address('ipv4').optional(),
      ipv6Gateway: address('ipv6').optional(),
    })
    .prefault({}),
  resolver: z
    .strictObject({
      nameservers: z.union([z.literal('auto'), z.array(nameserver).min(1)]).default('auto'),
      etcHosts: z.boolean().default(true),
    })
    .prefault({}),
  isolation: z
    .strictObject({
      jobToJob: z.boolean().default(false),
      hostPorts: z.array(z.strictObject({ protocol: z.enum(PROTOCOLS), ports: portRange })).default([]),
      deny: z.array(destination).default([]),
      allow: z.array(destination).default([]),
      metadataAddresses: z.boolean().default(false),
      maxConnections: z.union([z.literal('none'), z.int().min(1).max(1_000_000)]).default(8192),
    })
    .prefault({}),
  accounting: z
    .strictObject({
      classes: z.array(z.strictObject({ name: className, cidrs: z.array(cidr).min(1) })).default([]),
      defaultClass: className.default('External'),
      checkpointSeconds: z.number().positive().default(60),
    })
    .prefault({}),
  shaping: z
    .strictObject({
      enabled: z.boolean().default(true),
      uplinkMbps: z.union([z.literal('auto'), z.number().positive().max(1_000_000)]).default('auto'),
      headroomShare: z.number().min(0).max(0.9).default(0),
      ceilingFactor: z.union([z.literal('none'), z.number().min(1)]).default(1),
      shareBy: z.enum(['job', 'user']).default('job'),
      queueMs: z.number().positive().max(1000).default(50),
    })
    .prefault({}),
  hooks: z
    .strictObject({
      create: absolute.optional(),
      delete: absolute.optional(),
      timeoutSeconds: z.number().positive().max(300).default(20),
    })
    .prefault({}),
  agent: z
    .strictObject({
      socket: absolute.default('/run/lark/worker.sock'),
      parallel: z.int().min(1).max(64).default(8),
      sweepSeconds: z.number().positive().default(60),
      maxJobs: z.int().min(1).max(65_000).default(4096),
      maxJobsPerUser: z.int().min(1).max(65_000).default(4096),
    })
    .prefault({}),
  state: z
    .strictObject({
      runDirectory: absolute.default('/run/lark'),
      dataDirectory: absolute.default('/var/lib/lark'),
    })
    .prefault({}),
});

export type WorkerConfig = z.infer<typeof schema> & {
  /** The absolute path of the policy. */
  policyFile: string;
};

const SYSTEM_FILE = '/etc/lark/worker.yaml';
const OWN_FILE = resolve(import.meta.dirname, '../../config/worker.yaml');

/** `--config`, else LARK_WORKER_CONFIG, else /etc/lark/worker.yaml, else the file that comes with Lark. */
export function workerConfigFile(option?: string): string {
  return resolve(
    option ?? process.env.LARK_WORKER_CONFIG ?? (existsSync(SYSTEM_FILE) ? SYSTEM_FILE : OWN_FILE),
  );
}

/** @throws UserError with a line for each thing that is wrong */
export function loadWorkerConfig(option?: string): WorkerConfig {
  const file = workerConfigFile(option);
  return parseWorkerConfig(readUserFile(file, 'the configuration'), file);
}

/** @param file where the text came from; the policy's path is relative to it */
export function parseWorkerConfig(text: string, file: string): WorkerConfig {
  const config = checkedYaml(schema, text, file);
  return { ...config, policyFile: resolve(dirname(file), config.policy) };
}
