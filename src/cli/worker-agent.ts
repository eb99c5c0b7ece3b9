import { messageOf } from '../errors.ts';
import { createLog } from '../log.ts';
import { WorkerAgent } from '../worker/agent.ts';
import { useLauncher } from '../worker/commands.ts';
import { loadWorkerConfig } from '../worker/config.ts';
import { openContext } from '../worker/context.ts';
import { loadPolicy } from '../worker/policy.ts';

/**
 * `lark worker agent`: serves job wrappers until SIGTERM; jobs keep their networks, and the next agent takes over. SIGHUP
 * reads configuration and policy again; if they cannot be used, the agent goes on with those it has.
 */
export async function agent(configFile: string | undefined): Promise<void> {
  const log = createLog('info');
  const make = async (): Promise<WorkerAgent> => {
    // Before the bridge is made: who cannot start changes nothing.
    const policy = loadPolicy(loadWorkerConfig(configFile).policyFile);
    await useLauncher();
    return new WorkerAgent({ ...(await openContext(configFile, { makesBridge: true, log })), policy, log });
  };
  let worker = await make();
  await worker.start();
  for (;;) {
    const signal = await nextSignal();
    if (signal !== 'SIGHUP') break;
    const next = await make().catch((error) => {
      log.error(
        { error: messageOf(error) },
        'the new configuration cannot be used; the old one stays in force',
      );
    });
    if (!next) continue;
    await worker.stop();
    worker = next;
    await worker.start();
    log.info({}, 'configuration read again');
  }
  await worker.stop();
}

function nextSignal(): Promise<NodeJS.Signals> {
  const signals = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP'] as const;
  return new Promise((resolve) => {
    const heard = (signal: NodeJS.Signals): void => {
      for (const other of signals) process.off(other, heard);
      resolve(signal);
    };
    for (const signal of signals) process.on(signal, heard);
  });
}
