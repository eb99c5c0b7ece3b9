import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseNewAd } from 'classad-parser';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AgentHost } from '../../support/agent-host.ts';
import { finished, missing } from '../../support/worker-host.ts';

const why = missing('nft', 'tc', 'ip', 'unshare', 'nsenter', 'setpriv', 'perl', 'tcpdump');

/** Says how it was called; fails for jobs of mallory. */
const HOOK = `#!/bin/bash
read -r job; read -r line; read -r machine
{ echo "$(basename "$0") $*"; echo "$job"; echo "$line"; echo "$machine"; ip -br link show dev "$\{4:-$2}" | cut -d@ -f1; env | sort | cut -d= -f1 | tr '\\n' ' '; echo; } >> LOG
case $job in *mallory*) echo "no network for mallory" >&2; exit 3;; esac
`;

describe.skipIf(why)(`hooks of the site and announcements${why ? ` (${why})` : ''}`, () => {
  let world: AgentHost;
  let folder: string;
  const log = () => readFileSync(join(folder, 'log'), 'utf8').trim().split('\n');

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lark-hooks-'));
    for (const name of ['create', 'delete']) {
      writeFileSync(join(folder, name), HOOK.replace('LOG', join(folder, 'log')));
      chmodSync(join(folder, name), 0o755);
    }
    world = await AgentHost.start(`
shaping: {enabled: false}
hooks: {create: ${folder}/create, delete: ${folder}/delete}
bridge:
  ipv4Ranges: [{first: 192.0.2.10, last: 192.0.2.40}]
  ipv6Ranges: [{first: "2001:db8::10", last: "2001:db8::40"}]`);
  });
  afterAll(async () => {
    await world?.stop();
    rmSync(folder, { recursive: true });
  });
  afterEach(() => world.gone());

  it('are called as the first Lark called them, with what is known of the job on standard input', async () => {
    await finished(world.job('User = "alice@pool"', 'true'));
    await world.gone();
    const [create, jobAd, line, machineAd, device, environment, remove, ...again] = log();
    const [job, machine] = [jobAd, machineAd].map((ad) => parseNewAd(ad!));
    expect(job!.getString('User')).toBe('alice@pool');
    expect(job!.getBoolean('LarkAdIsStarters')).toBe(true);
    expect(line).toBe('------');
    const [name, ipv4] = ['LarkIptableName', 'LarkInnerAddressIPv4'].map((key) => machine!.getString(key));
    expect(machine!.getString('Name')).toBe('slot1_1@ep1.example.org');
    expect(machine!.getString('LarkNetworkType')).toBe('nat');
    expect(create).toBe(`create 169.254.1.1 ${ipv4} ${name} ${name}`);
    expect(device).toBe(name);
    // Nothing of the job's or the agent's environment.
    expect(environment!.trim().split(' ')).toEqual(expect.arrayContaining(['LC_ALL', 'PATH']));
    expect(environment).not.toMatch(/HOME|CONDOR|LARK/);
    expect(remove).toBe(`delete ${name} ${name} ${ipv4}`);
    expect(again.slice(0, 3)).toEqual([jobAd, line, machineAd]);
  });

  it('that fail keep a job from its network, and no network from going', async () => {
    const { code, out, err } = await finished(world.job('User = "mallory@pool"', 'echo ran'));
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain("Lark: the site's create hook failed");
    expect(err).toContain('no network for mallory');
  });

  it("tell the neighbours where a job's addresses are, before the job runs", async () => {
    const [program, ...args] = [
      ...world.host.outsidePrefix,
      'tcpdump',
      '-Z',
      'root',
      '-l',
      '-n',
      '-e',
      '-i',
      'out0',
      'arp or icmp6',
    ];
    const capture = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let seen = '';
    capture.stdout.on('data', (chunk) => (seen += chunk));
    try {
      for (let word = ''; !word.includes('listening on'); word += (await once(capture.stderr, 'data'))[0]);
      const { out } = await finished(
        world.job('LarkNetwork = "bridge"', 'ip -br addr show dev eth0; ip -o link show dev eth0'),
      );
      const [, v4, v6] = /(192\.0\.2\.\d+)\/24 (2001:db8::\w+)\/64/.exec(out)!;
      const mac = /link\/ether (\S+)/.exec(out)![1]!;
      const lines = () => seen.split('\n').filter((line) => line.includes(` ${mac} > `));
      const arp = new RegExp(`ARP.*(Request who-has ${v4} .*tell ${v4}|Reply ${v4} is-at ${mac})`);
      await expect.poll(() => lines().some((line) => arp.test(line)), { timeout: 5000 }).toBe(true);
      const advert = `neighbor advertisement, tgt is ${v6}`;
      await expect.poll(() => lines().some((line) => line.includes(advert)), { timeout: 5000 }).toBe(true);
      expect(lines().find((line) => line.includes(advert))).toContain('33:33:00:00:00:01');
    } finally {
      capture.kill('SIGKILL');
    }
  });
});
