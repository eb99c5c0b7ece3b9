/** Where the kernel has no fq_codel, a plain queue bounded in bytes. */
export type LeafKind = 'fq_codel' | 'bfifo';

/** What tc takes as a rate: whole bits per second, which it keeps in 64 bits. */
export function bitRate(mbps: number): string {
  return `${Math.max(8, Math.round(mbps * 1e6))}bit`;
}

/** What a link of this rate carries in that time. */
export function bytesIn(mbps: number, ms: number): number {
  return Math.round((mbps * 1e6 * ms) / 8000);
}

/** The first window of a TCP connection (RFC 6928): a queue that drops it would stop short transfers. */
const LEAST_FRAMES = 10;
/** Memory that one queue may hold, whatever the rate. */
const MAX_BYTES = 2 ** 27;

/**
 * A queue that is empty after `queueMs` at a rate of `mbps`. Counted in bytes: a packet may be one of 64
 * bytes or one of 64 KiB that the sender's kernel leaves for the device to cut.
 */
export function leafQueue(
  kind: LeafKind,
  { mbps, queueMs, frameBytes }: { mbps: number; queueMs: number; frameBytes: number },
): string {
  const bytes = Math.min(Math.max(bytesIn(mbps, queueMs), LEAST_FRAMES * frameBytes), MAX_BYTES);
  if (kind === 'bfifo') return `bfifo limit ${bytes}b`;
  // CoDel's target must hold at least a frame or two, else it drops at every packet.
  const targetMs = Math.max(5, Math.ceil((1.5 * frameBytes * 8) / (mbps * 1000)));
  // Its limit is of buffers, which are about twice their packets.
  return `fq_codel memory_limit ${2 * bytes} target ${targetMs}ms interval ${20 * targetMs}ms`;
}
