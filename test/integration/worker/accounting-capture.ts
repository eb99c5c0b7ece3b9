import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Captured {
  in: { packets: number; bytes: number };
  out: { packets: number; bytes: number };
}

const FILE_HEADER_BYTES = 24;
const PACKET_HEADER_BYTES = 16;
const ETHERNET_BYTES = 14;

/**
 * Captures on eth0 of a namespace while `during` runs; counts IP bytes by direction, told by the sender's MAC.
 * @throws Error where the kernel dropped packets of the capture
 */
export async function captured(
  namespace: string,
  { filter, mac }: { filter: string; mac: string },
  during: () => Promise<void>,
): Promise<Captured> {
  const directory = await mkdtemp(join(tmpdir(), 'lark-capture-'));
  const file = join(directory, 'pcap');
  const options = ['-Z', 'root', '-i', 'eth0', '-s', '64', '-B', '65536', '-w', file];
  const tcpdump = spawn('ip', ['netns', 'exec', namespace, 'tcpdump', ...options, filter], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  tcpdump.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const ended = once(tcpdump, 'close');
  try {
    while (!said.includes('listening on')) await once(tcpdump.stderr, 'data');
    await during();
    // libpcap hands packets over in blocks, the last one when its time is up.
    await new Promise((done) => setTimeout(done, 1500));
    tcpdump.kill('SIGINT');
    await ended;
    if (!/^0 packets dropped by kernel/m.test(said)) throw new Error(`capture incomplete: ${said}`);
    return countPcap(await readFile(file), mac);
  } finally {
    tcpdump.kill('SIGKILL');
    await rm(directory, { recursive: true });
  }
}

function countPcap(pcap: Buffer, mac: string): Captured {
  const own = mac.replaceAll(':', '');
  const result: Captured = { in: { packets: 0, bytes: 0 }, out: { packets: 0, bytes: 0 } };
  for (let at = FILE_HEADER_BYTES; at < pcap.length; ) {
    const kept = pcap.readUInt32LE(at + 8);
    const wireBytes = pcap.readUInt32LE(at + 12);
    const frame = pcap.subarray(at + PACKET_HEADER_BYTES, at + PACKET_HEADER_BYTES + kept);
    const count = frame.toString('hex', 6, 12) === own ? result.out : result.in;
    count.packets += 1;
    count.bytes += wireBytes - ETHERNET_BYTES;
    at += PACKET_HEADER_BYTES + kept;
  }
  return result;
}
