import { loadWorkerConfig } from '../worker/config.ts';
import { evaluate, type Finding } from '../worker/doctor/evaluate.ts';
import { gatherFacts } from '../worker/doctor/gather.ts';

/** Exits 1 where something keeps networks from being made. */
export async function doctor(configFile: string | undefined, options: { json?: boolean }): Promise<void> {
  const facts = await gatherFacts(loadWorkerConfig(configFile));
  const findings = evaluate(facts);
  if (options.json) process.stdout.write(`${JSON.stringify({ findings, facts }, null, 2)}\n`);
  else process.stdout.write(findings.map(text).join(''));
  if (findings.some(({ level }) => level === 'bad')) process.exitCode = 1;
}

const SIGN = { ok: 'ok     ', costs: 'costs  ', bad: 'BAD    ', unknown: '?      ' } as const;

function text({ level, what, cost, cure }: Finding): string {
  const more = [cost && `costs: ${cost}`, cure && `cure: ${cure}`].filter(Boolean);
  return `${SIGN[level]}${what}\n${more.map((line) => `         ${line}\n`).join('')}`;
}
