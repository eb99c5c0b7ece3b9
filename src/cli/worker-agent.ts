import { createLog } from '../log.ts';
import { WorkerAgent } from '../worker/agent.ts';
import { openContext } from '../worker/context.ts';
import { loadPolicy } from '../worker/policy.ts';

/** `lark worker agent`: serves job wrappers until SIGTERM; jobs keep their networks, and the next agent takes over. */
export async function agent(configFile: string | undefined, { logLevel = 'info' } = {}): Promise<void> {
  const context = await openContext(configFile);
  const log = createLog(logLevel);
  const policy = loadPolicy(context.config.policyFile);
  const worker = new WorkerAgent({ ...context, policy, log });
  const stopped = new Promise<void>((resolve, reject) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) {
      process.once(signal, () => void worker.stop().then(resolve, reject));
    }
  });
  await worker.start();
  await stopped;
}
