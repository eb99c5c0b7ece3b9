import { type ChildProcess, spawn } from 'node:child_process';
import { runCommand } from './commands.ts';

export const PAYLOAD_BYTES = 1000;
export const PACKETS = 200;
/** An IPv4 and a UDP header; IPv6's is 20 longer. */
export const HEADER_BYTES = { 4: 28, 6: 48 };
export const OUTSIDE = { 4: '192.0.2.254', 6: '2001:db8::fe' } as const;
/** The one job of mode bridge. */
export const BRIDGED = { 4: '192.0.2.100', 6: '2001:db8::100' } as const;
export const HOST = { 4: '192.0.2.1', 6: '2001:db8::1' } as const;

/** Ports of servers that take what comes until it ends, or give a megabyte. */
export const [TAKES, GIVES] = [7003, 7004];
const MOVED_BYTES = 1e6;

/** Answers every connection with the peer's address as it sees it, and swallows datagrams. */
export const SERVER = `
const { createServer } = require('node:net');
createServer({ allowHalfOpen: true }, (socket) => socket.resume().on('end', () => socket.end())).listen(${TAKES}, '${OUTSIDE[4]}');
createServer((socket) => socket.end(Buffer.alloc(${MOVED_BYTES}))).listen(${GIVES}, '${OUTSIDE[4]}');
for (const host of ['${OUTSIDE[4]}', '${OUTSIDE[6]}']) {
  createServer((socket) => socket.end(socket.remoteAddress)).listen(7000, host);
  require('node:dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4').bind(7001, host);
}
console.log('ready');`;
/** @param limitMs after which a server that is silent is taken for one that is not reached */
export const ASK = (address: string, port: number, limitMs = 20_000) => `
const socket = require('node:net').connect(${port}, '${address}');
socket.setTimeout(${limitMs}, () => process.exit(3));
socket.on('error', (error) => { console.error(error.code); process.exit(2); });
socket.on('data', (data) => console.log(String(data)));`;
/** Moves a megabyte to a server that takes it, or from one that gives it, and says how many milliseconds that took. */
export const MOVE = (port: number) => `
const begun = performance.now();
const socket = require('node:net').connect(${port}, '${OUTSIDE[4]}', () => socket.end(Buffer.alloc(${port === TAKES ? MOVED_BYTES : 0})));
socket.setTimeout(25_000, () => process.exit(3));
socket.on('error', (error) => { console.error(error.code); process.exit(2); });
socket.resume().on('close', () => console.log(Math.round(performance.now() - begun)));`;
export const SEND = (address: string, family: 4 | 6) => `
const socket = require('node:dgram').createSocket('udp${family}');
let sent = 0;
const next = () => sent++ === ${PACKETS} ? socket.close() : socket.send(Buffer.alloc(${PAYLOAD_BYTES}), 7001, '${address}', next);
next();`;
export const LISTEN = (port: number) => `
require('node:net').createServer((socket) => { socket.end('from the job'); setTimeout(() => process.exit(), 100); })
  .listen(${port}, '0.0.0.0', () => console.log('listening'));
setTimeout(() => process.exit(4), 60_000);`;

/** Arguments of nsenter: the namespaces of a process that `hold` started. */
export const within = (pid: number): string[] => ['-t', String(pid), '--net', '--mount', '--'];

/** A process in a network namespace of its own, with a /sys that tells of it, which lives until its standard input ends. */
export function hold(): ChildProcess {
  const script = 'mount --make-rprivate / && mount -t sysfs sysfs /sys; echo ready; read _';
  return spawn('unshare', ['--net', '--mount', 'sh', '-c', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

export function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stdout!.once('data', () => resolve());
    child.once('error', reject);
    child.once('close', (code) => reject(new Error(`a helper of the test ended early (${code})`)));
  });
}

export async function makeLink(host: number, outside: number): Promise<void> {
  const ip = (pid: number, lines: string[]) =>
    runCommand('nsenter', [...within(pid), 'ip', '-batch', '-'], {
      input: `${lines.join('\n')}\n`,
    });
  await ip(host, [
    'link set lo up',
    `link add up0 type veth peer name out0 netns ${outside}`,
    `addr add ${HOST[4]}/24 dev up0`,
    `addr add ${HOST[6]}/64 dev up0 nodad`,
    'link set up0 up',
    `route add default via ${OUTSIDE[4]}`,
    `route add default via ${OUTSIDE[6]}`,
  ]);
  await ip(outside, [
    'link set lo up',
    `addr add ${OUTSIDE[4]}/24 dev out0`,
    `addr add ${OUTSIDE[6]}/64 dev out0 nodad`,
    'link set out0 up',
  ]);
}
