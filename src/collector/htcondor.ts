import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { messageOf } from '../errors.ts';

export interface HtcondorOptions {
  /** Words put before every command, e.g. nsenter and its arguments. */
  commandPrefix: readonly string[];
  /** The program that tells HTCondor's own settings. */
  configVal: string;
  /** HOST:PORT of the collector; '' for HTCondor's own COLLECTOR_HOST. */
  collector: string;
  commandTimeoutSeconds: number;
}

/** A command of HTCondor's that failed; the message is one sentence with what the command itself said. */
export class HtcondorError extends Error {
  override name = 'HtcondorError';
}

export interface HistoryQuery {
  constraint: string;
  attributes: readonly string[];
  /** Not more than so many jobs are looked at, whether the constraint holds for them or not. */
  scanLimit: number;
  /** An expression: only what left the queue after the newest job for which it is true. */
  since?: string;
  /** Each run of a job on its own, which only some schedds keep. */
  isByRun?: boolean;
}

/** The commands of one HTCondor installation, run through one prefix, never through a shell. */
export interface Htcondor {
  /** Value of a setting, '' where it is not defined. @throws HtcondorError */
  setting(name: string): Promise<string>;
  /** Value of a setting in a daemon that runs on this machine (`negotiator`, `master`, …). @throws HtcondorError */
  settingOf(daemon: string, name: string): Promise<string>;
  version(): Promise<string>;
  /** Sends ads (old syntax, blank line between them) as generic ads, over TCP. @throws HtcondorError */
  advertise(ads: string): Promise<void>;
  /** Takes away the ads of one MyType with these names. @throws HtcondorError */
  invalidate(myType: string, names: readonly string[]): Promise<void>;
  /** These attributes of all ads that the constraint holds for, as `condor_status -json` writes them. @throws HtcondorError */
  ads(constraint: string, attributes: readonly string[]): Promise<string>;
  /**
   * These attributes of all jobs that the constraint holds for, of this machine's queue or of all queues, as
   * `condor_q -json` writes them. @throws HtcondorError
   */
  jobs(constraint: string, attributes: readonly string[], isGlobal: boolean): Promise<string>;
  /** One job of a queue, all its attributes, in old syntax; '' where the queue has none. @throws HtcondorError */
  job(id: string, schedd: string): Promise<string>;
  /** The same of a job that has left the queue. @throws HtcondorError */
  pastJob(id: string, schedd: string): Promise<string>;
  /**
   * These attributes of the newest jobs that have left a queue, as `condor_history -json` writes them, the newest first.
   * @throws HtcondorError
   */
  history(schedd: string, query: HistoryQuery): Promise<string>;
  /**
   * These attributes of all slots that are not cut from others, in old syntax, a blank line between two.
   * @throws HtcondorError
   */
  slots(attributes: readonly string[]): Promise<string>;
  /** Has a daemon of this machine read its configuration, and with it its maps, again. @throws HtcondorError */
  reconfigure(daemon: string): Promise<void>;
  /** One attribute of all ads of a MyType that stand in the collector. @throws HtcondorError */
  valuesOf(myType: string, attribute: string): Promise<string[]>;
}

export function createHtcondor(options: HtcondorOptions): Htcondor {
  const folders = new Map<'BIN' | 'SBIN', Promise<string>>();

  async function run(
    program: string,
    args: readonly string[],
    input = '',
    env: Record<string, string> = {},
  ): Promise<string> {
    const [file, ...rest] = [...options.commandPrefix, program, ...args] as [string, ...string[]];
    using stdin = fileOf(input);
    const result = await execa(file, rest, {
      // execa's types know descriptors up to 9; it hands any on, as Node does.
      stdin: stdin.descriptor as 3,
      env,
      timeout: options.commandTimeoutSeconds * 1000,
      forceKillAfterDelay: 1000,
      reject: false,
      stripFinalNewline: true,
      maxBuffer: 256 * 1024 * 1024,
    });
    if (!result.failed) return result.stdout;
    const said = (result.stderr || result.stdout || '')
      .trim()
      .replace(/\s*\n\s*/g, '; ')
      .slice(0, 500);
    if (result.timedOut) {
      throw new HtcondorError(`${program} did not end within ${options.commandTimeoutSeconds} s`);
    }
    if (result.code === 'ENOENT') {
      throw new HtcondorError(
        `${file} was not found: install HTCondor's tools on this machine, or set htcondor.commandPrefix and htcondor.configVal`,
      );
    }
    throw new HtcondorError(
      `${program} failed (${result.exitCode ?? result.signal}): ${said || result.shortMessage}`,
    );
  }

  const setting = async (...args: string[]): Promise<string> => {
    try {
      return await run(options.configVal, args);
    } catch (error) {
      if (/not defined/i.test(messageOf(error))) return '';
      throw error;
    }
  };

  /** Full path of a tool: HTCondor itself says where its programs are. A failed answer is not remembered. */
  async function tool(folder: 'BIN' | 'SBIN', program: string): Promise<string> {
    const known = folders.get(folder) ?? setting(folder);
    folders.set(folder, known);
    try {
      const path = await known;
      return path ? join(path, program) : program;
    } catch (error) {
      folders.delete(folder);
      throw error;
    }
  }

  const pool = options.collector ? ['-pool', options.collector] : [];

  return {
    setting: (name) => setting(name),
    settingOf: (daemon, name) => setting(`-${daemon}`, name),

    async version() {
      const text = await run(await tool('BIN', 'condor_version'), []);
      return /\$CondorVersion:\s*(\S+)/.exec(text)?.[1] ?? text.split('\n')[0]!;
    },

    async advertise(ads) {
      await run(
        await tool('SBIN', 'condor_advertise'),
        [...pool, '-tcp', '-multiple', 'UPDATE_AD_GENERIC', '-'],
        ads,
      );
    },

    async invalidate(myType, names) {
      if (names.length === 0) return;
      const program = await tool('SBIN', 'condor_advertise');
      for (let i = 0; i < names.length; i += INVALIDATE_AT_ONCE) {
        const list = names
          .slice(i, i + INVALIDATE_AT_ONCE)
          .map(quoted)
          .join(', ');
        const query = [
          'MyType = "Query"',
          `TargetType = ${quoted(myType)}`,
          `Requirements = MyType == ${quoted(myType)} && member(Name, { ${list} })`,
          '',
        ].join('\n');
        await run(program, [...pool, '-tcp', 'INVALIDATE_ADS_GENERIC', '-'], query);
      }
    },

    async ads(constraint, attributes) {
      return run(await tool('BIN', 'condor_status'), [
        ...pool,
        '-any',
        '-constraint',
        constraint,
        '-json',
        '-attributes',
        attributes.join(','),
      ]);
    },

    async jobs(constraint, attributes, isGlobal) {
      const queues = isGlobal ? [...pool, '-global'] : [];
      const which = ['-allusers', '-constraint', constraint, '-json', '-attributes', attributes.join(',')];
      return run(await tool('BIN', 'condor_q'), [...queues, ...which]);
    },

    async job(id, schedd) {
      return run(await tool('BIN', 'condor_q'), [...pool, '-name', schedd, '-allusers', '-long', id]);
    },

    async pastJob(id, schedd) {
      const which = ['-name', schedd, '-limit', '1', '-long', id];
      return run(await tool('BIN', 'condor_history'), [...pool, ...which]);
    },

    async history(schedd, { constraint, attributes, scanLimit, since, isByRun }) {
      const which = ['-name', schedd, '-constraint', constraint, '-scanlimit', String(scanLimit), '-json'];
      const args = [
        ...pool,
        ...which,
        '-attributes',
        attributes.join(','),
        ...(since ? ['-since', since] : []),
      ];
      const program = await tool('BIN', 'condor_history');
      if (!isByRun) return run(program, args);
      // The command (23.9) refuses where this machine's own schedd would keep no runs, also when another's is asked.
      return run(program, [...args, '-epochs'], '', { _CONDOR_JOB_EPOCH_HISTORY: 'elsewhere' });
    },

    async slots(attributes) {
      const constraint = 'MyType == "Machine" && SlotType =!= "Dynamic"';
      const which = ['-constraint', constraint, '-long', '-attributes', attributes.join(',')];
      return run(await tool('BIN', 'condor_status'), [...pool, '-any', ...which]);
    },

    async reconfigure(daemon) {
      const program = await tool('SBIN', 'condor_reconfig');
      try {
        await run(program, ['-daemon', daemon]);
      } catch (error) {
        // Which negotiator there is, only the collector tells, and one that was restarted hears of it minutes later
        // (NEGOTIATOR_UPDATE_INTERVAL, 300 s). This machine's master is found without it, and tells all its daemons.
        if (!/can't find address/i.test(messageOf(error))) throw error;
        await run(program, []);
      }
    },

    async valuesOf(myType, attribute) {
      const text = await run(await tool('BIN', 'condor_status'), [
        ...pool,
        '-any',
        '-constraint',
        `MyType == ${quoted(myType)}`,
        '-af',
        attribute,
      ]);
      return text.split('\n').filter((line) => line !== '');
    },
  };
}

/** How many names one INVALIDATE carries: the collector walks this list for every ad of the table. */
const INVALIDATE_AT_ONCE = 200;

/** A ClassAd string literal. Names and types hold no control characters; quotes and backslashes are escaped. */
function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`;
}

/**
 * A file without a name that holds `text`, as standard input. Not a pipe: a pipe has to be fed, so that whatever else
 * this process does meanwhile would hold up HTCondor's work.
 */
function fileOf(text: string): { descriptor: number } & Disposable {
  const folder = mkdtempSync(join(tmpdir(), 'lark-'));
  const path = join(folder, 'stdin');
  const descriptor = openSync(path, 'wx+', 0o600);
  rmSync(folder, { recursive: true });
  const bytes = Buffer.from(text);
  // At a position: the reader starts where the file's own offset stands, which is still the beginning.
  for (let written = 0; written < bytes.length; ) {
    written += writeSync(descriptor, bytes, written, bytes.length - written, written);
  }
  return { descriptor, [Symbol.dispose]: () => closeSync(descriptor) };
}
