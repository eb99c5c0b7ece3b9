/**
 * `crash-sweep-driver.ts CONFIG end|dead|flushed|living|half [STEP]`: an agent that finds what an earlier one left, and then one that
 * dies of its own hand.
 *
 * 1. It starts an agent, which sweeps, says `swept` and waits for a line; sweeps again, says `gone` and waits for a line. That
 *    is all of `end`.
 * 2. It makes networks, says `job ID NAME PID` of each, and spoils them. `dead`: their jobs end, and beside them there is
 *    debris of all kinds that is nobody's. `flushed`: the ruleset is flushed and files of leases are torn. `living`: so too, but
 *    when the other agent runs. `half`: one table is deleted.
 * 3. It starts another agent, has it sweep, and kills itself at STEP: whose network, a word, and how often it was there, as in
 *    `dead-nat down:nft#1`. Without STEP it says all of them.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { WorkerAgent } from '../../../src/worker/agent.ts';
import { apply } from '../../../src/worker/apply.ts';
import { runCommand, useLauncher } from '../../../src/worker/commands.ts';
import { openContext } from '../../../src/worker/context.ts';
import { acquireLease } from '../../../src/worker/leases.ts';
import { leasesFolder, type NetworkContext, setUp } from '../../../src/worker/network.ts';
import { loadPolicy } from '../../../src/worker/policy.ts';
import { isAlive, namespaceOf, processId } from '../../../src/worker/proc.ts';
import { requestByHand } from '../../../src/worker/request.ts';
import { HTB_MAJOR, LINK_MINOR } from '../../../src/worker/shaping/classid.ts';
import { standingOperations } from '../../../src/worker/standing.ts';
import { type Lease, SHARED_IFB } from '../../../src/worker/types.ts';
import { SEND } from './crash-traffic.ts';

const [configFile, scenario, target] = process.argv.slice(2);
const say = (line: string) => writeSync(1, `${line}\n`);
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const agentOf = async (onStep: NonNullable<NetworkContext['onStep']>): Promise<WorkerAgent> => {
  const context = await openContext(configFile, { makesBridge: true });
  const tell = (fields: object, text: string) => say(`log ${text} ${JSON.stringify(fields)}`);
  return new WorkerAgent({
    ...context,
    onStep,
    policy: loadPolicy(context.config.policyFile),
    log: { debug() {}, info() {}, warn: tell, error: tell },
  });
};

await useLauncher();
const finder = await agentOf(() => {});
await finder.start();
say('swept');
await input.next();
await finder.sweep();
await finder.stop();
say('gone');
await input.next();
if (scenario === 'end') process.exit(0);

const context = await openContext(configFile);
const { config, parts } = context;
const leases = leasesFolder(config);
await apply(await standingOperations(config, context.host, parts));
const nft = (text: string) => runCommand('nft', ['-f', '-'], { input: `${text}\n` });
const requestOf = (mode: string, jobId: string, pid: number) => ({
  ...requestByHand({ mode, port: ['8080', '8080/udp'], bandwidth: '10' }, 'alice', processId(pid)!, config),
  jobId,
});

async function makeJob(mode: string): Promise<{ pid: number; lease: Lease }> {
  // It lives on when this process is killed; whoever started it ends it by its id.
  const holder = spawn('unshare', ['--net', 'sleep', '120'], { stdio: 'ignore', detached: true });
  const pid = holder.pid!;
  while (namespaceOf(pid, 'net') === namespaceOf('self', 'net')) await sleep(5);
  const path = `/proc/${process.pid}/fd/${openSync(`/proc/${pid}/ns/net`, 'r')}`;
  const request = requestOf(mode, `${scenario}-${mode}`, pid);
  const { lease } = await setUp(request, { path, number: namespaceOf(pid, 'net')! }, context);
  if (mode !== 'none') spawnSync('nsenter', [`--net=${path}`, '--', 'bash', '-c', SEND]);
  say(`job ${request.jobId} ${lease.name} ${pid}`);
  return { pid, lease };
}

/** Of networks that no job gets here: slots are given out from 1 to agent.maxJobs, and ports of nat.inboundPorts. */
async function litter(): Promise<void> {
  await runCommand('ip', 'link add lk0000odev type veth peer name orphan'.split(' '));
  await nft(`add element netdev lark out_External { "lk0000oele" }
add element netdev lark job4 { 10.44.99.9 }
add element inet lark forward4 { tcp . 22999 : 10.44.99.9 . 80 }
add chain netdev lark from_lk0000ocha`);
  for (const device of [context.host.uplinkPort, SHARED_IFB]) {
    const line = `class add dev ${device} parent ${HTB_MAJOR}:${LINK_MINOR} classid ${HTB_MAJOR}:fabc htb rate 1mbit`;
    await runCommand('tc', line.split(' '));
  }
  const { now, bootId } = context;
  const by = { pid: 2 ** 22 + 1, startTicks: 1 };
  const request = requestOf('bridge', 'orphan', process.pid);
  acquireLease('lk0000olea', request, { config, folder: leases, bootId, now: now(), by });
  const { runDirectory, dataDirectory } = config.state;
  for (const [path, text] of [
    [`${runDirectory}/journal/lk0000ojou`, '{"name":"lk0000oj'],
    [`${runDirectory}/journal/lk0000otmp.4194305.0.tmp`, ''],
    [`${leases}/slot-65000`, ''],
    [`${leases}/port-tcp-22998`, '[]'],
    [`${leases}/slot-64999.4194305.0.tmp`, ''],
    [`${runDirectory}/jobs/lk0000ofol/hosts`, ''],
    [`${dataDirectory}/accounting/lk0000orec.json`, '{"name":'],
    [`${dataDirectory}/accounting/lk0000onew.json.new`, ''],
  ] as const) {
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, text);
  }
}

const jobs: Awaited<ReturnType<typeof makeJob>>[] = [];
for (const mode of scenario === 'dead' ? ['nat', 'bridge', 'none'] : ['nat', 'bridge'])
  jobs.push(await makeJob(mode));
if (scenario === 'dead') {
  for (const { pid } of jobs) process.kill(pid, 'SIGKILL');
  for (const { pid } of jobs) {
    for (let id = processId(pid); id && isAlive(id); ) await sleep(5);
  }
  await litter();
} else {
  await parts.accountant.checkpoint();
  if (scenario === 'half') await nft('delete table inet lark');
  if (scenario === 'flushed') await spoil();
}

async function spoil(): Promise<void> {
  await nft('flush ruleset');
  const [nat, bridge] = jobs.map(({ lease }) => lease);
  writeFileSync(`${leases}/slot-${nat!.slotIndex}`, '');
  rmSync(`${leases}/address-${bridge!.ipv4}`);
}

const counts = new Map<string, number>();
const steps: string[] = [];
let isWatched = true;
const victim = await agentOf((word, of) => {
  if (!isWatched) return;
  const step = `${of?.request?.jobId ?? of?.name ?? '-'} ${word}`;
  counts.set(step, (counts.get(step) ?? 0) + 1);
  steps.push(`${step}#${counts.get(step)}`);
  if (steps.at(-1) === target) process.kill(process.pid, 'SIGKILL');
});
if (scenario === 'living') {
  isWatched = false;
  await victim.start();
  await spoil();
  isWatched = true;
  await victim.sweep();
} else {
  await victim.start();
}
await victim.stop();
say(`steps ${steps.join(',')}`);
process.exit(0);
