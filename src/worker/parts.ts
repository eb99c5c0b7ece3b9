import { randomInt } from 'node:crypto';
import { Accountant, kernelCounters } from './accounting/accountant.ts';
import { classTable } from './accounting/classes.ts';
import { UsageStore } from './accounting/store.ts';
import { announce } from './bridge/announce.ts';
import { type BridgeFacts, planBridge } from './bridge/plan.ts';
import { CommandError, runCommand } from './commands.ts';
import type { WorkerConfig } from './config.ts';
import { epochOf, type Listing, parseListing, strayRemoval } from './nft/inspect.ts';
import { nftPieces } from './nft/job.ts';
import { removeRuleset, staticRuleset } from './nft/ruleset.ts';
import { CORE_CONNECTORS, type Part, type Parts } from './plan.ts';
import { linkExists } from './proc.ts';
import { HTB_MAJOR, LINK_MINOR, REST_MINOR } from './shaping/classid.ts';
import {
  hasTree,
  ifbSetup,
  linkMbps,
  type ShapingFacts,
  shapingPieces,
  treeRemoval,
  treeSetup,
} from './shaping/htb.ts';
import { type HostFacts, SHARED_IFB } from './types.ts';

/**
 * All modes and parts that this Lark has, for one process.
 * @param bridge absent where there is no bridge: then there is no mode bridge either
 */
export function makeParts(
  config: WorkerConfig,
  now: () => Date,
  bridge?: BridgeFacts,
): Parts & { accountant: Accountant } {
  const accountant = new Accountant(
    new UsageStore(config.state.dataDirectory),
    kernelCounters(classTable(config.accounting).names),
    now,
  );
  return {
    connectors: {
      ...CORE_CONNECTORS,
      ...(bridge && {
        bridge: (network, host, settings) => planBridge(network, host, settings, bridge),
      }),
    },
    announce: {
      async bridge({ lease }, netns) {
        if (lease.mac) await announce(netns, lease.mac);
      },
    },
    parts: [rulesPart(accountant), ...(config.shaping.enabled ? [SHAPING] : [])],
    accountant,
  };
}

/** Isolation and accounting, which share their tables. */
function rulesPart(accountant: Accountant): Part {
  // Of the counters that stand. Drawn when the tables are made, found when they were there.
  let epoch = 0;
  return {
    name: 'rules',
    async standing(config, host) {
      epoch = epochOf(await listLark()) ?? randomInt(1, 2 ** 32);
      const { nameservers } = config.resolver;
      const facts = { host, nameservers: nameservers === 'auto' ? host.nameservers : nameservers, epoch };
      return [{ kind: 'nft', text: staticRuleset(config, facts) }];
    },
    standingDown: async () => [{ kind: 'nft', text: removeRuleset() }],
    forJob: (network, { config }) => ({ ...nftPieces(network, config), tcUp: [], tcDown: [] }),
    begin: ({ request, lease }) => accountant.start(lease, epoch, request),
    async collect(name) {
      await accountant.finish(name);
    },
    discard: (name) => accountant.discard(name),
    async leftovers(living) {
      const listed = await listLark();
      // Another process may have made the tables again.
      epoch = epochOf(listed) ?? epoch;
      const lines = strayRemoval(listed, living());
      return lines.length === 0 ? [] : [{ kind: 'nft', text: `${lines.join('\n')}\n` }];
    },
  };
}

async function listLark(): Promise<Listing> {
  const listed = await Promise.all(
    ['inet', 'netdev'].map((family) =>
      runCommand('nft', ['-j', 'list', 'table', family, 'lark'], { isRepeatable: true }).then(
        parseListing,
        (error) => {
          // A table that is absent lists nothing. One that only could not be read has counters in it, of an epoch of its own.
          if (error instanceof CommandError && /No such file/.test(error.stderr)) return undefined;
          throw error;
        },
      ),
    ),
  );
  return {
    sets: listed.flatMap((part) => part?.sets ?? []),
    chains: listed.flatMap((part) => part?.chains ?? []),
  };
}

function shapingFacts(config: WorkerConfig, host: HostFacts): ShapingFacts {
  const mbps = linkMbps(config, host);
  return {
    device: host.uplinkPort,
    mtu: host.uplinkMtu,
    ...(mbps !== undefined && { linkMbps: mbps }),
    leaf: host.hasFqCodel ? 'fq_codel' : 'bfifo',
  };
}

/** Those of these devices on which Lark's tree stands. */
async function treesOn(devices: readonly string[]): Promise<string[]> {
  const standing: string[] = [];
  for (const device of devices) {
    if (hasTree(await runCommand('tc', ['-j', 'qdisc', 'show', 'dev', device], { isRepeatable: true })))
      standing.push(device);
  }
  return standing;
}

const SHAPING: Part = {
  name: 'shaping',
  async standing(config, host) {
    const facts = shapingFacts(config, host);
    // Without the link's rate nothing can be guaranteed: no job is shaped, and the uplink keeps its own queue.
    if (facts.linkMbps === undefined) return [];
    const standing = await treesOn([facts.device, ...(linkExists(SHARED_IFB) ? [SHARED_IFB] : [])]);
    return [
      { kind: 'ip', where: 'host', lines: linkExists(SHARED_IFB) ? [] : ifbSetup() },
      { kind: 'tc', lines: treeSetup(config, facts, standing) },
    ];
  },
  async isStanding(config, host) {
    const { device, linkMbps } = shapingFacts(config, host);
    if (linkMbps === undefined) return true;
    return linkExists(SHARED_IFB) && (await treesOn([device, SHARED_IFB])).length === 2;
  },
  async standingDown(config, host) {
    // A tree of the site's own stays.
    const [device] = await treesOn([shapingFacts(config, host).device]);
    return [
      { kind: 'tc', lines: device === undefined ? [] : treeRemoval(device) },
      { kind: 'ip', where: 'host', lines: linkExists(SHARED_IFB) ? [`link del ${SHARED_IFB}`] : [] },
    ];
  },
  forJob: (network, { config, host, siblings }) => ({
    ...shapingPieces(network, config, shapingFacts(config, host), siblings),
    nftUp: [],
    nftDown: [],
  }),
  async leftovers(living, host) {
    const found: { device: string; minor: string }[] = [];
    for (const device of [host.uplinkPort, SHARED_IFB]) {
      const listing = await runCommand('tc', ['class', 'show', 'dev', device], { isRepeatable: true }).catch(
        () => '',
      );
      for (const [, minor] of listing.matchAll(new RegExp(`^class htb ${HTB_MAJOR}:([0-9a-f]+) `, 'gm'))) {
        if (minor !== LINK_MINOR && minor !== REST_MINOR) found.push({ device, minor: minor! });
      }
    }
    const held = new Set(living().map(({ slotIndex }) => slotIndex.toString(16)));
    const lines = found.flatMap(({ device, minor }) =>
      held.has(minor) ? [] : [`class del dev ${device} classid ${HTB_MAJOR}:${minor}`],
    );
    return lines.length === 0 ? [] : [{ kind: 'tc', lines }];
  },
};
