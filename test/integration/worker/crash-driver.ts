/**
 * A process of its own that makes (and takes down) one network and kills itself at a step:
 * `crash-driver.ts CONFIG up|down STEP`, steps numbered from 1; 0 lists them. A third mode, `agent`, starts an agent and
 * stops it: recovery and one sweep.
 */
import { spawn, spawnSync } from 'node:child_process';
import { openSync } from 'node:fs';
import { WorkerAgent } from '../../../src/worker/agent.ts';
import { apply } from '../../../src/worker/apply.ts';
import { useLauncher } from '../../../src/worker/commands.ts';
import { openContext } from '../../../src/worker/context.ts';
import { setUp, tearDown } from '../../../src/worker/network.ts';
import { parsePolicy } from '../../../src/worker/policy.ts';
import { namespaceOf, processId } from '../../../src/worker/proc.ts';
import { requestByHand } from '../../../src/worker/request.ts';
import { standingOperations } from '../../../src/worker/standing.ts';

const [configFile, mode, stepText] = process.argv.slice(2);
await useLauncher();
const context = await openContext(configFile);

if (mode === 'agent') {
  const quiet = {
    debug() {},
    info() {},
    warn() {},
    error: (fields: object) => console.error(JSON.stringify(fields)),
  };
  const agent = new WorkerAgent({ ...context, policy: parsePolicy('', 'none'), log: quiet });
  await agent.start();
  await agent.stop();
  process.exit(0);
}

const stopAt = Number(stepText);
const steps: string[] = [];
const counting = {
  ...context,
  onStep(step: string) {
    steps.push(step);
    if (steps.length === stopAt) process.kill(process.pid, 'SIGKILL');
  },
};
await apply(await standingOperations(context.config, context.host, context.parts));

// The job lives on when this process is killed; whoever started it ends it by its id.
const job = spawn('unshare', ['--net', 'sleep', '60'], { stdio: 'ignore', detached: true });
console.log(`job ${job.pid}`);
while (namespaceOf(job.pid!, 'net') === namespaceOf('self', 'net'))
  await new Promise((r) => setTimeout(r, 5));
const fd = openSync(`/proc/${job.pid}/ns/net`, 'r');
const netns = { path: `/proc/${process.pid}/fd/${fd}`, number: namespaceOf(job.pid!, 'net')! };
const request = requestByHand(
  { mode: 'nat', port: ['8080', '8080/udp'], bandwidth: '10' },
  'alice',
  processId(job.pid!)!,
  context.config,
);
const { lease } = await setUp(request, netns, mode === 'up' ? counting : context);
// 20 datagrams of 1000 bytes, 28 bytes of headers each.
const send = 'for i in $(seq 20); do head -c 1000 /dev/zero > /dev/udp/192.0.2.254/7001; done';
spawnSync('nsenter', [`--net=${netns.path}`, '--', 'bash', '-c', send]);
if (mode === 'down') console.log(`name ${lease.name}`);
await tearDown(lease.name, mode === 'down' ? counting : context);
process.kill(job.pid!);
console.log(`steps ${steps.join(' ')}`);
process.exit(0);
