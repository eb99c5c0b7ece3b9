import { closeSync, openSync } from 'node:fs';
import { apply } from '../../src/worker/apply.ts';
import { parseWorkerConfig } from '../../src/worker/config.ts';
import { contextFor } from '../../src/worker/context.ts';
import { setUp, tearDown } from '../../src/worker/network.ts';
import { processId } from '../../src/worker/proc.ts';
import { standingOperations } from '../../src/worker/standing.ts';
import type { Maker } from './makers.ts';

/** What the agent does for each job: mode nat, accounted in two classes, with a guaranteed share. */
export async function larkMaker(folder: string): Promise<Maker> {
  const config = parseWorkerConfig(
    `shaping: {uplinkMbps: 100000, ceilingFactor: none}
accounting: {classes: [{name: Campus, cidrs: [198.18.0.0/15]}]}
state: {runDirectory: /run/lark, dataDirectory: ${folder}/data}`,
    'bench',
  );
  const context = await contextFor(config);
  await apply(await standingOperations(config, context.host, context.parts));
  const names = new Map<string, string>();
  const self = processId(process.pid)!;
  return {
    async up(namespace) {
      const fd = openSync(`/run/netns/${namespace}`, 'r');
      try {
        const made = await setUp(
          {
            mode: 'nat',
            inbound: [],
            bandwidth: { minMbps: 50 },
            isAccounted: true,
            owner: 'bench',
            jobId: namespace,
            starter: self,
          },
          { path: `/proc/${process.pid}/fd/${fd}`, number: 1 },
          context,
        );
        names.set(namespace, made.lease.name);
      } finally {
        closeSync(fd);
      }
    },
    async down(namespace) {
      await tearDown(names.get(namespace)!, context);
    },
  };
}
