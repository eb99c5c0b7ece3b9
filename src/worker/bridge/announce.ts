import { runCommand } from '../commands.ts';
import { JOB_INTERFACE } from '../types.ts';

const ANNOUNCE = `
echo 1 > /proc/sys/net/ipv4/conf/"$1"/arp_notify
echo 1 > /proc/sys/net/ipv6/conf/"$1"/ndisc_notify
exec ip link set dev "$1" address "$2"`;

/**
 * Tells the neighbours where the job's addresses are: a gratuitous ARP and an unsolicited neighbour advertisement, which
 * the kernel sends when it is given a link address, be it the one it has. For an address that another job had before; run
 * it when the bridge's port forwards.
 * @param netns a path that leads to the job's network namespace
 */
export async function announce(netns: string, mac: string): Promise<void> {
  await runCommand('nsenter', [`--net=${netns}`, 'sh', '-c', ANNOUNCE, 'sh', JOB_INTERFACE, mac]);
}
