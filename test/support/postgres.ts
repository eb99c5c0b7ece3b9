/**
 * A PostgreSQL server for tests: Debian's binaries, a private cluster in a temporary folder, one Unix socket, no port.
 * Gone with the test run, however that ends. Its time zone is not UTC, so that nothing may depend on that.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, appendFile, chown, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import pg from 'pg';

const DEBIAN_ROOT = '/usr/lib/postgresql';
const isRoot = process.getuid?.() === 0;
/** The server refuses to run as root. */
const asServerUser = isRoot ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : [];

/** A role that must give its password, `right`; all others are trusted. */
export const PASSWORD_ROLE = 'with_password';

export interface TestPostgres {
  /** A new, empty database; its URL. */
  newDatabase(): Promise<string>;
  /** SQL as superuser, in the maintenance database. */
  run(sql: string): Promise<void>;
  stop(): Promise<void>;
}

/**
 * The folder with the newest server's binaries; installs Debian's package when root and there is none.
 * `unavailable` says why there cannot be a server here: for the name of what is then skipped.
 */
export async function findPostgres(): Promise<{ bin: string } | { unavailable: string }> {
  const found = await newestBinaries();
  if (found !== undefined) {
    return { bin: found };
  }
  if (!isRoot) {
    return { unavailable: 'no PostgreSQL server is installed, and only root could install it' };
  }
  try {
    await install();
  } catch (error) {
    const line = error instanceof Error ? error.message.split('\n')[0] : String(error);
    return { unavailable: `PostgreSQL could not be installed: ${line}` };
  }
  const installed = await newestBinaries();
  return installed === undefined
    ? { unavailable: 'PostgreSQL was installed without a server' }
    : { bin: installed };
}

async function newestBinaries(): Promise<string | undefined> {
  const versions = await readdir(DEBIAN_ROOT).catch(() => []);
  for (const version of versions.map(Number).sort((a, b) => b - a)) {
    const bin = join(DEBIAN_ROOT, String(version), 'bin');
    const usable = await access(join(bin, 'postgres')).then(
      () => version >= 15,
      () => false,
    );
    if (usable) {
      return bin;
    }
  }
  return undefined;
}

async function install(): Promise<void> {
  const options = { env: { DEBIAN_FRONTEND: 'noninteractive' }, timeout: 240_000, stdin: 'ignore' } as const;
  const waitForOthers = ['-o', 'DPkg::Lock::Timeout=120'];
  const aptInstall = (name: string) =>
    execa(
      'apt-get',
      [...waitForOthers, 'install', '--yes', '--quiet', '--no-install-recommends', name],
      options,
    );
  try {
    await aptInstall('postgresql-common');
  } catch {
    // A fresh machine has no package lists, an old one has lists of packages that are gone.
    await execa('apt-get', [...waitForOthers, 'update', '--quiet'], options);
    await aptInstall('postgresql-common');
  }
  // Else the server's package would make a cluster of its own, and start it.
  const settings = '/etc/postgresql-common/createcluster.conf';
  const before = await readFile(settings, 'utf8');
  await appendFile(settings, '\ncreate_main_cluster = false\n');
  try {
    await aptInstall('postgresql');
  } finally {
    await writeFile(settings, before);
  }
}

export async function startPostgres(bin: string): Promise<TestPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'lark-postgres-'));
  if (isRoot) {
    const { stdout } = await execa('id', ['--user', 'postgres']);
    await chown(folder, Number(stdout), 0);
  }
  const data = join(folder, 'data');
  const [command, ...initdb] = [
    ...asServerUser,
    join(bin, 'initdb'),
    `--pgdata=${data}`,
    '--username=postgres',
    '--auth=trust',
    '--encoding=UTF8',
    '--locale=C.UTF-8',
    '--no-sync',
  ];
  try {
    await execa(command!, initdb, { cwd: folder, timeout: 120_000 });
    await writeFile(
      join(data, 'pg_hba.conf'),
      `local all ${PASSWORD_ROLE} scram-sha-256\nlocal all all trust\n`,
    );
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  const supervisor = supervise(folder, [
    ...asServerUser,
    join(bin, 'postgres'),
    '-D',
    data,
    ...settings({
      listen_addresses: '',
      unix_socket_directories: folder,
      fsync: 'off',
      timezone: 'Asia/Kolkata',
      log_min_messages: 'error',
    }),
  ]);
  const url = (database: string) =>
    `postgres://postgres@localhost/${database}?host=${encodeURIComponent(folder)}`;
  const run = async (sql: string): Promise<void> => {
    const client = new pg.Client({ connectionString: url('postgres') });
    await client.connect();
    try {
      await client.query(sql);
    } finally {
      await client.end();
    }
  };
  let databases = 0;
  const server: TestPostgres = {
    async newDatabase() {
      databases += 1;
      await run(`create database lark_${databases}`);
      return url(`lark_${databases}`);
    },
    run,
    stop: supervisor.stop,
  };
  try {
    await answering(() => run('select 1'));
    await run(`create role ${PASSWORD_ROLE} login password 'right'`);
  } catch (error) {
    await server.stop();
    throw new Error(`PostgreSQL did not start: ${supervisor.output()}`, { cause: error });
  }
  return server;
}

function settings(values: Record<string, string>): string[] {
  return Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

/**
 * A shell between us and the server, which stops the server and removes the folder when its standard input ends: on
 * stop(), and also when this process is killed. In a session of its own, so that a Ctrl-C at the terminal does not
 * reach it first.
 */
function supervise(folder: string, server: string[]): { stop(): Promise<void>; output(): string } {
  const script = `
    folder=$1
    shift
    "$@" </dev/null &
    read -r line
    kill -INT $!
    wait $!
    rm -rf "$folder"`;
  const child = spawn('sh', ['-c', script, 'lark-test-postgres', folder, ...server], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = once(child, 'exit');
  return {
    async stop() {
      child.stdin.end();
      await ended;
    },
    output: () => output.trim(),
  };
}

async function answering(probe: () => Promise<void>): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await probe();
    } catch (error) {
      if (attempt === 300) {
        throw error;
      }
      await sleep(100);
    }
  }
}
