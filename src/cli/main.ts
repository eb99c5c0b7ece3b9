#!/usr/bin/env node
import { Command, InvalidArgumentError, Option } from 'commander';
import { messageOf, UserError } from '../errors.ts';
import { version } from './version.ts';

/**
 * The commands and what they take. Each loads its own file when it runs, so that `lark --help` loads none.
 */
const program = new Command('lark')
  .description('The network as a managed resource of an HTCondor pool.')
  .option(
    '--config <file>',
    'configuration (default: LARK_CONFIG, /etc/lark/lark.yaml, or config/lark.yaml here)',
  )
  .version(version)
  .showHelpAfterError('(lark --help lists the commands)')
  .enablePositionalOptions();

/** `--config` may stand before or after the command. */
const CONFIG = ['--config <file>', 'configuration, as above'] as const;
interface Configured {
  config?: string;
}
const fileOf = (options: Configured): string | undefined =>
  options.config ?? program.opts<Configured>().config;

program
  .command('demo')
  .description('Lark at work on real parts: an HTCondor pool in namespaces and a perfSONAR world on loopback')
  .option('--once', 'one cycle, then end')
  .option('--json', 'with --once: print one JSON object')
  .option('--no-pool', 'without HTCondor (needs no root): ads go to a folder')
  .option('--hosts <n>', 'size of the perfSONAR world, 5 to 2400 hosts', wholeNumber(5, 2400), 20)
  .option('--seed <n>', 'seed of the perfSONAR world', wholeNumber(0, 2 ** 31 - 1), 1)
  .action(async (options) => (await import('./demo.ts')).demo(options));

program
  .command('pool')
  .description('run a command inside the running demo pool, e.g. lark pool condor_status')
  .option('--host <name>', 'the host to run it on: cm, ap, ep1, ep2 …', 'cm')
  .option('--id <pool>', 'the pool, where several are running')
  .argument('<command...>', 'the command and its arguments')
  .passThroughOptions()
  .action(async (command, options) => (await import('./pool.ts')).pool(command, options));

program
  .command('test')
  .description('lint, type check, unit and integration tests; closes with the counts')
  .option('--unit', 'only lint, type check and unit tests')
  .option(
    '--condor <release>',
    "only tests that stand an HTCondor pool, on that of Debian's trixie (23.9) or sid (25.x)",
  )
  .action(async (options) => (await import('./test.ts')).test(options));

program
  .command('lint')
  .description('check style and likely mistakes of the whole tree')
  .action(async () => (await import('./test.ts')).biome(['check', '.']));
program
  .command('format')
  .description('format the tree, and mend what the linter can mend')
  .action(async () => (await import('./test.ts')).biome(['check', '--write', '.']));

program
  .command('bench')
  .description('run a benchmark of bench/, e.g. lark bench publish; prints JSON with a ratio to a floor')
  .argument('<name>')
  .option('--json', 'as it always does')
  .action(async (name) => (await import('./bench.ts')).bench(name));

program
  .command('serve')
  .description('run cycles on schedule, with the HTTP API, until SIGTERM; SIGHUP reloads the configuration')
  .option(...CONFIG)
  .action(async (options) => (await import('./serve.ts')).serve(fileOf(options)));

program
  .command('spider')
  .description('only harvest, for a service on the same PostgreSQL; any number of them, on any machines')
  .option(...CONFIG)
  .action(async (options) => (await import('./spider.ts')).spider(fileOf(options)));

program
  .command('cycle')
  .description('run one cycle now (for cron)')
  .option('--json', 'print the result as one JSON object')
  .option(...CONFIG)
  .action(async (options) => (await import('./cycle.ts')).cycle(fileOf(options), options));

program
  .command('sync')
  .description(
    "keep HTCondor's maps of paths and sites fresh; runs on the central manager and on access points",
  )
  .option('--once', 'one round, then end (for a timer); exits 1 when not all of it could be done')
  .option(...CONFIG)
  .action(async (options) => (await import('./sync.ts')).sync(fileOf(options), options));

const poolConfig = program
  .command('pool-config')
  .description("Lark's part of HTCondor's configuration: put it in place, and check that it is in force");
const role = () =>
  new Option('--role <role>', 'what this machine is to the pool')
    .choices(['central-manager', 'access-point', 'execution-point'])
    .makeOptionMandatory();
poolConfig
  .command('install')
  .description("copy Lark's file for the role into HTCondor's configuration folder")
  .addOption(role())
  .option('--site <name>', 'the site of this machine; without it, its addresses and names decide')
  .option('--requirements', 'jobs carry the condition, for pools whose execution points cannot be changed')
  .option('--limits', 'jobs with large input ask for the concurrency limit of their path')
  .option('--force', 'even where somebody changed the file that is there')
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (options) => (await import('./pool-config.ts')).poolConfigInstall(fileOf(options), options));
poolConfig
  .command('check')
  .description('whether it is in force in the running daemons, and what is missing; exits 1 for anything')
  .addOption(role())
  .option('--requirements', 'the jobs are to carry the condition')
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (options) => (await import('./pool-config.ts')).poolConfigCheck(fileOf(options), options));

const READ: [name: string, description: string][] = [
  ['hosts', 'measurement hosts and the sites they belong to'],
  ['archives', 'archives and how their last harvest ended'],
  ['ads', 'the ads exactly as they would be published'],
];
for (const [name, description] of READ) {
  program
    .command(name)
    .description(description)
    .option('--json', 'for programs')
    .option(...CONFIG)
    .action(async (options) => (await import('./read.ts')).read(name, fileOf(options), {}, options));
}
const sites = program
  .command('sites')
  .description('sites, and the hosts that have none')
  .option('--unmapped', 'only the hosts that have none, as lines to paste into sites.yaml')
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (options) =>
    (await import('./read.ts')).read('sites', fileOf(options), { unmapped: options.unmapped }, options),
  );
sites
  .command('why')
  .description('all evidence for and against the site of a host, and the line that would pin it')
  .argument('<host>', 'name or address')
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (host, options) => (await import('./sites.ts')).sitesWhy(fileOf(options), host, options));
sites
  .command('evaluate')
  .description('how often the site of a host is right: each known host left out in turn, or by a given truth')
  .option('--cric <file>', 'judge by this CRIC dump (rcsite JSON) instead of what is stored')
  .option('--osg <file>', 'judge by this OSG Topology (JSON, or rgsummary XML)')
  .option('--gocdb <file>', 'judge by this answer of GOCDB (XML)')
  .option('--hosts <file>', 'the truth: a JSON list of {host, address?, site}')
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (options) => (await import('./sites.ts')).sitesEvaluate(fileOf(options), options));
sites
  .command('machines')
  .description("the pool's machines and access points, and their sites")
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (options) => (await import('./site-sources.ts')).sitesMachines(fileOf(options), options));
const siteSources = sites
  .command('sources')
  .description('where sites are described: version, age, counts, and what was kept out')
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (options) => (await import('./site-sources.ts')).sitesSources(fileOf(options), options));
siteSources
  .command('accept')
  .description('put into force what of a source was kept out')
  .argument('<name>')
  .option(...CONFIG)
  .action(async (name, options) =>
    (await import('./site-sources.ts')).sitesSourcesAccept(fileOf(options), name),
  );

program
  .command('paths')
  .description('estimates and breakers of directed site pairs')
  .argument('[src]', 'only paths from this site')
  .argument('[dst]', 'only paths to this site')
  .option('--explain', 'what each figure of a path was made of, and each factor of its quality')
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (srcSite, dstSite, options) =>
    options.explain && !options.json
      ? (await import('./explain.ts')).explain(fileOf(options), { srcSite, dstSite })
      : (await import('./read.ts')).read('paths', fileOf(options), { srcSite, dstSite }, options),
  );

program
  .command('backtest')
  .description('replay the stored history: how well was told what came next')
  .command('estimates')
  .description('errors of each forecast method and of the mixture, coverage of intervals, hidden pairs')
  .option(
    '--from <time>',
    'judge what was measured since then, e.g. 2026-01-01 (default: all that is stored)',
  )
  .option('--to <time>', 'and before then (default: now)')
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (options) => (await import('./backtest.ts')).backtestEstimates(fileOf(options), options));

program
  .command('probe')
  .description('have pScheduler test a path now: between two hosts, or two sites that have measurement hosts')
  .argument('<src>', 'name or address of the sending host, its site, or the URL of its pScheduler')
  .argument('<dst>', 'name or address of the receiving host, or its site')
  .addOption(
    new Option('--type <test>', 'what to measure')
      .choices(['throughput', 'latency', 'rtt'])
      .default('throughput'),
  )
  .option('--duration <seconds>', 'how long to measure', wholeNumber(1, 3600), 10)
  .option(
    '--force-policy',
    "even where the access policy of a host forbids it: only with its operators' consent",
  )
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (src, dst, options) =>
    (await import('./probe.ts')).probeCommand(fileOf(options), src, dst, options),
  );

program
  .command('traces')
  .description(
    'which way packets go, hop by hop, and when that changed: of a pair, or of all of a host or site',
  )
  .argument('[src]', 'a host (name or address) or site')
  .argument('[dst]', 'with it: the other end of the pair')
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (src, dst, options) =>
    (await import('./read.ts')).read(
      'traces',
      fileOf(options),
      dst === undefined ? { end: src } : { source: src, destination: dst },
      options,
    ),
  );

program
  .command('quality')
  .description('how good the data is, and why: of all, of a host or site, or of a pair')
  .argument('[src]', 'a host (name or address) or site')
  .argument('[dst]', 'with it: the other end of the pair')
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (src, dst, options) =>
    (await import('./read.ts')).read(
      'quality',
      fileOf(options),
      dst === undefined ? { end: src } : { source: src, destination: dst },
      options,
    ),
  );

program
  .command('why')
  .description('why a job does not run, site by site; or, of two sites, how the path between them stands')
  .argument('<job|src>', 'CLUSTER.PROC of a job, or the site where a path begins')
  .argument('[dst]', 'the site where it ends')
  .option('--schedd <name>', 'the access point that has the job, where the pool has several')
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (what, dst, options) => (await import('./why.ts')).why(fileOf(options), what, dst, options));

program
  .command('export')
  .description('how much of what leads into and out of each site is shut, for those who send pilots')
  .addOption(new Option('--format <format>').choices(['csv', 'json']).default('csv'))
  .option(...CONFIG)
  .action(async (options) => (await import('./export.ts')).exportBreakers(fileOf(options), options));

const breaker = program.command('breaker').description('circuit breakers: how they stand, and forcing them');
breaker
  .command('list', { isDefault: true })
  .description('breakers that are not closed')
  .argument('[src]', 'only paths from this site')
  .argument('[dst]', 'only paths to this site')
  .option('--all', 'the closed ones too')
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (srcSite, dstSite, options) =>
    (await import('./breaker.ts')).breakerList(fileOf(options), { srcSite, dstSite }, options),
  );
breaker
  .command('events')
  .description('what happened to breakers, the newest last')
  .argument('[src]', 'only paths from this site')
  .argument('[dst]', 'only paths to this site')
  .option('--since <duration>', 'how far back: 90s, 30m, 2h, 1d', '1d')
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (srcSite, dstSite, options) =>
    (await import('./breaker.ts')).breakerEvents(fileOf(options), { srcSite, dstSite }, options),
  );
breaker
  .command('force')
  .description('force the breakers of a path open or closed, whatever is measured; "*" is every site')
  .argument('<src>')
  .argument('<dst>')
  .argument('<state>', 'open or closed')
  .requiredOption('--for <duration>', 'how long: 90s, 30m, 2h, 1d; 30 days at most')
  .requiredOption('--reason <text>', 'why; everyone who asks is told')
  .option('--policy <name>', 'only the breaker of this policy')
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (src, dst, state, options) =>
    (await import('./breaker.ts')).breakerForce(fileOf(options), src, dst, state, options),
  );
breaker
  .command('release')
  .description('take a forcing back before its time')
  .argument('<src>')
  .argument('<dst>')
  .option('--policy <name>', 'only the one of this policy')
  .option(...CONFIG)
  .action(async (src, dst, options) =>
    (await import('./breaker.ts')).breakerRelease(fileOf(options), src, dst, options),
  );
breaker
  .command('forced')
  .description('what is forced now, by whom and why')
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (options) => (await import('./breaker.ts')).breakerForced(fileOf(options), options));
breaker
  .command('check')
  .description('what is wrong with policies: names, units, conditions that never hold; exits 1 for any')
  .argument('[file...]', 'policy files (default: those of the configuration)')
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (files, options) =>
    (await import('./breaker.ts')).breakerCheck(fileOf(options), files, options),
  );

breaker
  .command('replay')
  .description('what policies would have done to the stored history, side by side')
  .option(
    '--policy <file>',
    'a policy file; may be repeated (default: those of the configuration)',
    (file: string, earlier: string[] = []) => [...earlier, file],
  )
  .requiredOption('--from <time>', 'since when, e.g. 2026-01-01 or 2026-01-31T06:00Z')
  .option('--to <time>', 'until when (default: now)')
  .option('--step <duration>', 'how often it is decided: 90s, 30m, 2h, 1d', '1h')
  .option(
    '--jobs <file>',
    'jobs that ran then, as condor_history -json writes them: how many it had withheld',
  )
  .option('--json', 'for programs')
  .option(...CONFIG)
  .action(async (options) => (await import('./replay.ts')).breakerReplay(fileOf(options), options));

const worker = program
  .command('worker')
  .description('a network of its own for every job of an execution point');
const WORKER_CONFIG = [
  '--config <file>',
  'configuration (default: LARK_WORKER_CONFIG, /etc/lark/worker.yaml, or config/worker.yaml here)',
] as const;
worker
  .command('agent')
  .description('serve job wrappers until SIGTERM (root); jobs keep their networks, the next agent takes over')
  .option(...WORKER_CONFIG)
  .action(async (options) => (await import('./worker-agent.ts')).agent(fileOf(options)));
worker
  .command('exec')
  .description('run a command in a network as a job would get it, and say how long it took to make (root)')
  .option('--mode <mode>', 'none, nat or bridge', 'nat')
  .option('--port <port...>', 'a port to be reached on, as 8080 or 5000/udp')
  .option('--bandwidth <mbps>', 'guaranteed Mb/s; the ceiling is as the configuration has it')
  .option('--quiet', 'without the timing')
  .option(...WORKER_CONFIG)
  .argument('<command...>', 'the command and its arguments')
  .passThroughOptions()
  .action(async (command, options) =>
    process.exit(await (await import('./worker-exec.ts')).exec(fileOf(options), command, options)),
  );
worker
  .command('dump')
  .description("all of Lark's state in the kernel and the journal, in words")
  .option('--json', 'for programs')
  .option(...WORKER_CONFIG)
  .action(async (options) => (await import('./worker-state.ts')).dump(fileOf(options), options));
worker
  .command('enter')
  .description('run a command, or a shell, in the network of a job that runs (root)')
  .argument('<job>', "the network's name, the job's id, or its cluster and process as 12.0")
  .option(...WORKER_CONFIG)
  .argument('[command...]', 'the command and its arguments')
  .passThroughOptions()
  .action(async (job, [first, ...rest]: string[], options) => {
    // The sign that the command begins; after an argument it is given on.
    const command = first === undefined || first === '--' ? rest : [first, ...rest];
    process.exit(await (await import('./worker-enter.ts')).enter(fileOf(options), job, command));
  });
worker
  .command('clean')
  .description('take away what is left of jobs that are gone (root)')
  .argument('[job]', "one network's name or its job's id, whether the job lives or not")
  .option('--all', "everything that is Lark's, living jobs too")
  .option(...WORKER_CONFIG)
  .action(async (job, options) => (await import('./worker-state.ts')).clean(fileOf(options), job, options));
const lease = worker.command('lease').description('who holds which addresses and ports');
lease
  .command('list', { isDefault: true })
  .option('--json', 'for programs')
  .option(...WORKER_CONFIG)
  .action(async (options) => (await import('./worker-lease.ts')).leaseList(fileOf(options), options));
lease
  .command('try')
  .description('take a lease as a job would, show it, and give it back (root)')
  .option('--mode <mode>', 'none, nat or bridge', 'nat')
  .option('--port <port...>', 'a port to be reached on, as 8080 or 5000/udp')
  .option(...WORKER_CONFIG)
  .action(async (options) => (await import('./worker-lease.ts')).leaseTry(fileOf(options), options));
lease
  .command('release')
  .description('give back what a network holds, whose kernel state is gone (root)')
  .argument('<name>', 'lk…, as list shows it')
  .option(...WORKER_CONFIG)
  .action(async (name, options) => (await import('./worker-lease.ts')).leaseRelease(fileOf(options), name));
const bridge = worker.command('bridge').description('the bridge of mode bridge, over the uplink');
bridge
  .command('up')
  .description("make it if it is absent; the uplink's addresses and routes move to it (root)")
  .option(...WORKER_CONFIG)
  .action(async (options) => (await import('./worker-bridge.ts')).up(fileOf(options)));
bridge
  .command('down')
  .description('give addresses and routes back to the uplink and remove the bridge that Lark made (root)')
  .option(...WORKER_CONFIG)
  .action(async (options) => (await import('./worker-bridge.ts')).down(fileOf(options)));
bridge
  .command('test')
  .description('whether it stands, forwards at once, and reaches the gateway')
  .option('--json', 'for programs')
  .option(...WORKER_CONFIG)
  .action(async (options) => (await import('./worker-bridge.ts')).test(fileOf(options), options));
worker
  .command('selftest')
  .description(
    'networks of every mode made, tried with real traffic and taken away, in a machine of their own (root)',
  )
  .action(async () => (await import('./worker-selftest.ts')).selftest());
worker
  .command('usage')
  .description(
    'what jobs moved, by class of traffic: those that ended, and those that run (root: to this moment)',
  )
  .addOption(
    new Option('--by <what>', 'a line for each of these').choices(['job', 'owner', 'day']).default('job'),
  )
  .option('--since <time>', 'jobs that ended since then: 90s, 2h, 7d back, or 2026-01-31', '1d')
  .option('--owner <name>', 'only the jobs of this owner: alice, or alice@example.org')
  .option('--running', 'only jobs that run')
  .option('--json', 'for programs: exact bytes')
  .option(...WORKER_CONFIG)
  .action(async (options) => (await import('./worker-usage.ts')).usage(fileOf(options), options));
worker
  .command('monitor')
  .description("what the slots' jobs moved since the last report, as STARTD_CRON reads it")
  .requiredOption('--state <file>', 'where it remembers its last report; of the user that HTCondor runs as')
  .option('--slots <n>', 'dynamic slots that are told of before their first job', wholeNumber(0, 4096), 16)
  .option('--metrics', 'instead: the metrics for STARTD_CRON_LARK_METRICS')
  .option(...WORKER_CONFIG)
  .action(async (options) => (await import('./worker-monitor.ts')).monitor(fileOf(options), options));
worker
  .command('doctor')
  .description('what of kernel, tools, rules and HTCondor is missing, what that costs, and how to get it')
  .option('--json', 'for programs')
  .option(...WORKER_CONFIG)
  .action(async (options) => (await import('./worker-doctor.ts')).doctor(fileOf(options), options));
worker
  .command('inventory')
  .description("the bandwidth that the machine has for jobs, as HTCondor's machine resources want it told")
  .option('--explain', 'how it came to that, in lines that HTCondor skips')
  .option(
    '--measure <server>',
    'where the kernel tells no speed: iperf3 to HOST, HOST:PORT or [ADDRESS]:PORT',
  )
  .option(...WORKER_CONFIG)
  .action(async (options) => (await import('./worker-inventory.ts')).inventory(fileOf(options), options));

const config = program.command('config').description('check or show the configuration');
config
  .command('check')
  .description('read the configuration and every file it names; exits 1 when something is wrong')
  .option(...CONFIG)
  .action(async (options) => (await import('./config.ts')).configCheck(fileOf(options)));
config
  .command('show')
  .description('print what is in force, secrets masked')
  .option('--json', 'as JSON')
  .option(...CONFIG)
  .action(async (options) => (await import('./config.ts')).configShow(fileOf(options), options));

function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

// `lark hosts | head` closes the pipe early; that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  const known = error instanceof UserError || process.env.LARK_LOG_LEVEL !== 'debug';
  process.stderr.write(known ? `lark: ${messageOf(error)}\n` : `lark: ${(error as Error).stack}\n`);
  process.exitCode = 1;
}
