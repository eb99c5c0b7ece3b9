import { fstatSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { startWorld } from './world.ts';

/** `node testbed/world/main.ts`: a world in a process of its own, for tests and for the demo. */

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('a whole number is expected.');
  return Number(text);
}

const program = new Command('world')
  .description(
    'A perfSONAR world on loopback. Runs until SIGTERM, SIGINT or the end of a piped standard input.',
  )
  .option('--hosts <n>', 'measurement hosts, 5 to 2400', wholeNumber, 20)
  .option('--seed <n>', 'the same seed gives the same world', wholeNumber, 1)
  .option('--port <n>', 'http port on every address; 0 takes a free one', wholeNumber, 0)
  .option('--https-port <n>', 'https port on every address; 0 takes a free one', wholeNumber, 0)
  .option('--late <seconds>', 'results become visible this long after their timestamp', wholeNumber, 0)
  .option('--json', 'print one line of JSON when ready')
  .parse();

interface Options {
  hosts: number;
  seed: number;
  port: number;
  httpsPort: number;
  late: number;
  json?: boolean;
}

const options = program.opts<Options>();
const world = await startWorld({
  hosts: options.hosts,
  seed: options.seed,
  httpPort: options.port,
  httpsPort: options.httpsPort,
  lateSeconds: options.late,
});
const directory = await mkdtemp(join(tmpdir(), 'lark-world-'));
const sitesFile = join(directory, 'sites.yaml');
const caFile = join(directory, 'ca.pem');
await writeFile(sitesFile, world.sitesYaml());
await writeFile(caFile, world.caPem);

const stop = async (): Promise<void> => {
  await world.close();
  await rm(directory, { recursive: true, force: true });
  process.exit(0);
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
// A parent that dies closes its end of the pipe; /dev/null and terminals say nothing about a parent.
const stdin = fstatSync(0);
if (stdin.isFIFO() || stdin.isSocket()) process.stdin.resume().once('end', stop).once('error', stop);

const ready = {
  bootstrapUrl: world.bootstrapUrl,
  sitesFile,
  caFile,
  httpPort: world.ports.http,
  httpsPort: world.ports.https,
  hosts: world.hosts.length,
  archives: world.archives.length,
  notable: world.notable,
};
if (options.json) console.log(JSON.stringify(ready));
else {
  console.log(`bootstrap  ${ready.bootstrapUrl}`);
  console.log(`site map   ${sitesFile}`);
  console.log(`CA         ${caFile}`);
  console.log(`${ready.hosts} hosts, ${ready.archives} archives. Ctrl-C ends.`);
}
