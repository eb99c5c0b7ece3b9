import { apply } from './apply.ts';
import type { JournalEntry } from './journal.ts';
import type { NetworkContext } from './network.ts';
import { planFor } from './plan.ts';
import { isAlive, linkExists } from './proc.ts';
import type { Operation } from './types.ts';

/**
 * Loads the rules of jobs that run once more, after those that stand for all: the configuration may have another class
 * to count in, or other rules for a job. What was counted stays.
 * @returns names for which that did not go
 */
export async function renewRules(
  entries: readonly JournalEntry[],
  context: NetworkContext,
): Promise<string[]> {
  const failed: string[] = [];
  const rules = entries.flatMap(({ name, request, lease, step }): { name: string; texts: string[] }[] => {
    if (!lease || step !== 'up' || !isAlive(request.starter) || !linkExists(name)) return [];
    // The bridge may have gone, or what the configuration said of it.
    if (!context.parts.connectors[request.mode]) {
      failed.push(name);
      return [];
    }
    const { up } = planFor({ request, lease }, context);
    return [
      { name, texts: up.flat().flatMap((operation) => (operation.kind === 'nft' ? operation.text : [])) },
    ];
  });
  const onStep = (step: string): void => context.onStep?.(`start:renew-${step}`);
  const load = (texts: readonly string[]) =>
    apply([{ kind: 'nft', text: texts.join('') } satisfies Operation], { isForced: true, onStep }).then(
      () => true,
      () => false,
    );
  if (await load(rules.flatMap(({ texts }) => texts))) return failed;
  // A job that ended at this moment voids the whole.
  for (const { name, texts } of rules) if (!(await load(texts))) failed.push(name);
  return failed;
}
