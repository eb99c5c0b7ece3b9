import { stringify } from 'yaml';
import { loadPolicies } from '../breaker/policy.ts';
import { readUserFile } from '../checked-yaml.ts';
import { loadConfig, maskSecrets } from '../config.ts';
import { parseSites } from '../sites/sites-file.ts';

/** `lark config check`: the configuration and every file it names. */
export function configCheck(file: string | undefined): void {
  const { config, file: read } = loadConfig(file, process.env);
  const { sites } = parseSites(readUserFile(config.sites.file, 'the sites file'), config.sites.file);
  const policies = loadPolicies(config.breaker.policies);
  process.stdout.write(
    `${read} is right; ${sites.length} sites in ${config.sites.file}, ${policies.length} policies in ${config.breaker.policies}\n`,
  );
}

/** `lark config show`: what is in force, as YAML with where it came from, or as JSON. */
export function configShow(file: string | undefined, options: { json?: boolean }): void {
  const { config, file: read, overrides } = loadConfig(file, process.env);
  const masked = maskSecrets(config);
  if (options.json) {
    process.stdout.write(`${JSON.stringify(masked, null, 2)}\n`);
    return;
  }
  process.stdout.write(
    `# from ${read}${overrides.map((name) => `, ${name}`).join('')}\n${stringify(masked)}`,
  );
}
