import { runCommand } from '../../src/worker/commands.ts';
import type { Maker } from './makers.ts';

export const CNI_FOLDER = '/usr/lib/cni';

const RATE = 100_000_000_000;
const NETWORK = { cniVersion: '1.0.0', name: 'bench' };

/** What a container runtime would call for each: bridge (which calls host-local), then bandwidth; in reverse to delete. */
export function cniMaker(): Maker {
  const bridge = {
    ...NETWORK,
    type: 'bridge',
    bridge: 'cni0',
    isGateway: true,
    ipMasq: true,
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.45.0.0/16' }]], routes: [{ dst: '0.0.0.0/0' }] },
  };
  const bandwidth = {
    ...NETWORK,
    type: 'bandwidth',
    ingressRate: RATE,
    ingressBurst: 2_000_000_000,
    egressRate: RATE,
    egressBurst: 2_000_000_000,
  };
  const results = new Map<string, unknown>();
  const call = (plugin: string, command: string, namespace: string, config: object): Promise<string> =>
    runCommand(`${CNI_FOLDER}/${plugin}`, [], {
      input: JSON.stringify(config),
      env: {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        CNI_COMMAND: command,
        CNI_CONTAINERID: namespace,
        CNI_NETNS: `/run/netns/${namespace}`,
        CNI_IFNAME: 'eth0',
        CNI_PATH: CNI_FOLDER,
      },
    });
  return {
    async up(namespace) {
      const prevResult: unknown = JSON.parse(await call('bridge', 'ADD', namespace, bridge));
      await call('bandwidth', 'ADD', namespace, { ...bandwidth, prevResult });
      results.set(namespace, prevResult);
    },
    async down(namespace) {
      const prevResult = results.get(namespace);
      await call('bandwidth', 'DEL', namespace, { ...bandwidth, prevResult });
      await call('bridge', 'DEL', namespace, { ...bridge, prevResult });
    },
  };
}
