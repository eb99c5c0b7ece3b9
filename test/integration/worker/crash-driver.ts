/**
 * Processes that kill themselves, or others, at a step:
 *
 * - `crash-driver.ts CONFIG up|down STEP MODE`: makes (and takes down) one network and kills itself at the step; steps are
 *   numbered from 1, and 0 lists them. `down` has the job send before.
 * - `crash-driver.ts CONFIG agent`: starts an agent and stops it: recovery and one sweep.
 * - `crash-driver.ts CONFIG wrapper|starter|pool|launcher|program [STEP]`: an agent. At the step of a job's network it kills
 *   the job's wrapper, its starter, both and itself, its launcher, or its launcher when that has begun the next program. A
 *   step is a word and how often it was there, as in `nft#1`. It says the steps of the job with ProcId 0, and without STEP
 *   takes the N-th of them for the job with ProcId N. On SIGUSR2 it starts its launcher again.
 */
import { spawn, spawnSync } from 'node:child_process';
import { openSync, writeFileSync, writeSync } from 'node:fs';
import { basename } from 'node:path';
import { WorkerAgent } from '../../../src/worker/agent.ts';
import { apply } from '../../../src/worker/apply.ts';
import { renewLauncher, useLauncher } from '../../../src/worker/commands.ts';
import { openContext } from '../../../src/worker/context.ts';
import { type NetworkContext, setUp, tearDown } from '../../../src/worker/network.ts';
import { loadPolicy } from '../../../src/worker/policy.ts';
import {
  allPids,
  argumentsOf,
  namespaceOf,
  processId,
  processStat,
  programOf,
} from '../../../src/worker/proc.ts';
import { requestByHand } from '../../../src/worker/request.ts';
import { standingOperations } from '../../../src/worker/standing.ts';
import { SEND } from './crash-traffic.ts';

const [configFile, what, stepText, mode] = process.argv.slice(2);
await useLauncher();
const context = await openContext(configFile, { makesBridge: true });
const say = (line: string) => writeSync(1, `${line}\n`);
/** A wrapper's child may have gone with the wrapper. */
const kill = (pid: number) => {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
};

const agentWith = (onStep: NonNullable<NetworkContext['onStep']>): WorkerAgent =>
  new WorkerAgent({
    ...context,
    onStep,
    policy: loadPolicy(context.config.policyFile),
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

if (what !== 'up' && what !== 'down') {
  const counts = new Map<string, Map<string, number>>();
  const steps: string[] = [];
  const agent = agentWith((step, { request } = {}) => {
    // What an earlier agent left of a job is none of its steps.
    if (!request || (step !== 'name' && !counts.has(request.jobId))) return;
    const number = Number(request.jobId.split('.')[1]);
    const count = counts.get(request.jobId) ?? new Map<string, number>();
    counts.set(request.jobId, count.set(step, (count.get(step) ?? 0) + 1));
    const numbered = `${step}#${count.get(step)}`;
    if (number === 0) {
      steps.push(numbered);
      say(`step ${numbered}`);
    }
    if (number === 0 || numbered !== (stepText ?? steps[number - 1])) return;
    for (const pid of victimsOf(request.starter.pid)) kill(pid);
    if (what === 'program') writeFileSync('/run/kill-launcher', '');
    say(`killed ${number} ${numbered}`);
    if (what === 'pool') kill(process.pid);
  });
  await agent.start();
  process.on('SIGUSR2', () => void renewLauncher().then((isNew) => say(`renewed ${isNew}`)));
  say('listens');
  await new Promise((resolve) => process.once('SIGTERM', resolve));
  await agent.stop();
  process.exit(0);
}

function victimsOf(starter: number): number[] {
  const childrenOf = (parent: number) => allPids().filter((pid) => processStat(pid)?.parent === parent);
  const runs = (pid: number, script: string) =>
    basename(programOf(pid)?.path ?? '') === 'perl' && argumentsOf(pid).some((word) => word.endsWith(script));
  const below = (pid: number): number[] => [pid, ...childrenOf(pid).flatMap(below)];
  const wrappers = below(starter).filter((pid) => runs(pid, '/lark-job-wrapper'));
  const launchers = childrenOf(process.pid).filter((pid) => runs(pid, '/launcher.pl'));
  const victims = {
    wrapper: wrappers,
    starter: [starter],
    pool: [...wrappers, starter],
    launcher: launchers,
  };
  return victims[what as keyof typeof victims] ?? [];
}

const stepNumber = Number(stepText);
const steps: string[] = [];
const counting = {
  ...context,
  onStep(name: string) {
    steps.push(name);
    if (steps.length === stepNumber) kill(process.pid);
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
  { mode: mode!, port: ['8080', '8080/udp'], bandwidth: '10' },
  'alice',
  processId(job.pid!)!,
  context.config,
);
const { lease } = await setUp(request, netns, what === 'up' ? counting : context);
if (what === 'down') {
  if (mode !== 'none') spawnSync('nsenter', [`--net=${netns.path}`, '--', 'bash', '-c', SEND]);
  say(`name ${lease.name}`);
}
await tearDown(lease.name, what === 'down' ? counting : context);
kill(job.pid!);
say(`steps ${steps.join(' ')}`);
process.exit(0);
