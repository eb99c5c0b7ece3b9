/**
 * Processes that kill themselves, or others, at a step:
 *
 * - `crash-driver.ts CONFIG up|down STEP MODE`: makes (and takes down) one network and kills itself at the step; steps are
 *   numbered from 1, and 0 lists them. `down` has the job send before.
 * - `crash-driver.ts CONFIG agent`: starts an agent and stops it: recovery and one sweep.
 * - `crash-driver.ts CONFIG wrapper|starter|pool STEP FOLDER`: an agent that kills the wrapper, the starter, or both and
 *   itself, at the step of a set-up; of the next job, at the next step. Starters are those whose program is in FOLDER.
 */
import { spawn, spawnSync } from 'node:child_process';
import { openSync, writeSync } from 'node:fs';
import { WorkerAgent } from '../../../src/worker/agent.ts';
import { apply } from '../../../src/worker/apply.ts';
import { useLauncher } from '../../../src/worker/commands.ts';
import { openContext } from '../../../src/worker/context.ts';
import { setUp, tearDown } from '../../../src/worker/network.ts';
import { parsePolicy } from '../../../src/worker/policy.ts';
import { allPids, namespaceOf, processId, processStat, programOf } from '../../../src/worker/proc.ts';
import { requestByHand } from '../../../src/worker/request.ts';
import { standingOperations } from '../../../src/worker/standing.ts';

const [configFile, what, stepText, where] = process.argv.slice(2);
await useLauncher();
const context = await openContext(configFile, { makesBridge: true });
const say = (line: string) => writeSync(1, `${line}\n`);

const agentWith = (onStep: (step: string) => void): WorkerAgent =>
  new WorkerAgent({
    ...context,
    onStep,
    policy: parsePolicy('Mode = Wants.Mode ?: "nat"', 'the policy'),
    log: {
      debug() {},
      info() {},
      warn() {},
      error: (fields: object) => console.error(JSON.stringify(fields)),
    },
  });

if (what === 'agent') {
  const agent = agentWith(() => {});
  await agent.start();
  await agent.stop();
  process.exit(0);
}

let step = Number(stepText);
if (what === 'wrapper' || what === 'starter' || what === 'pool') {
  let count = 0;
  const agent = agentWith((name) => {
    if (name.startsWith('down:')) return;
    if (name === 'name' && count > 0) step++;
    count = name === 'name' ? 1 : count + 1;
    if (count !== step) return;
    const starter = allPids().find((pid) => programOf(pid)?.path.startsWith(`${where}/starter-`));
    const wrapper = allPids().find((pid) => processStat(pid)?.parent === starter);
    if (starter === undefined || wrapper === undefined) return say('killed nobody');
    say(`killed ${name}`);
    if (what !== 'starter') process.kill(wrapper, 'SIGKILL');
    if (what !== 'wrapper') process.kill(starter, 'SIGKILL');
    if (what === 'pool') process.kill(process.pid, 'SIGKILL');
  });
  await agent.start();
  say('listens');
  await new Promise((resolve) => process.once('SIGTERM', resolve));
  await agent.stop();
  process.exit(0);
}

const steps: string[] = [];
const counting = {
  ...context,
  onStep(name: string) {
    steps.push(name);
    if (steps.length === step) process.kill(process.pid, 'SIGKILL');
  },
};
await apply(await standingOperations(context.config, context.host, context.parts));

// The job lives on when this process is killed; whoever started it ends it by its id.
const job = spawn('unshare', ['--net', 'sleep', '60'], { stdio: 'ignore', detached: true });
say(`job ${job.pid}`);
while (namespaceOf(job.pid!, 'net') === namespaceOf('self', 'net')) {
  await new Promise((r) => setTimeout(r, 5));
}
const fd = openSync(`/proc/${job.pid}/ns/net`, 'r');
const netns = { path: `/proc/${process.pid}/fd/${fd}`, number: namespaceOf(job.pid!, 'net')! };
const request = requestByHand(
  { mode: where!, port: ['8080', '8080/udp'], bandwidth: '10' },
  'alice',
  processId(job.pid!)!,
  context.config,
);
const { lease } = await setUp(request, netns, what === 'up' ? counting : context);
if (what === 'down') {
  // 20 datagrams of 1000 bytes, to each address.
  // What waits for its neighbour's link address is not sent yet.
  const wait = 'for i in {1..100}; do ip neigh | grep -q INCOMPLETE || break; sleep 0.05; done';
  const send = `for to in 192.0.2.254 ${lease.ipv6 ? '2001:db8::fe' : ''}; do for i in {1..20}; do head -c 1000 /dev/zero > /dev/udp/$to/7001; done; done`;
  spawnSync('nsenter', [`--net=${netns.path}`, '--', 'bash', '-c', `${send}; ${wait}`]);
  say(`name ${lease.name}`);
}
await tearDown(lease.name, what === 'down' ? counting : context);
process.kill(job.pid!);
say(`steps ${steps.join(' ')}`);
process.exit(0);
