import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { execa, execaSync } from 'execa';
import { afterAll, describe, expect, it } from 'vitest';

const MAIN = resolve(import.meta.dirname, '../../../src/cli/main.ts');
const NOBODY = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
const NAMESPACES = ['--net', '--mount', '--propagation', 'private'];

const able = ((): { ok: boolean; why?: string } => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return { ok: false, why: 'it needs root on Linux' };
  const trial = execaSync('unshare', [...NAMESPACES, 'ip', '-json', 'link'], {
    reject: false,
    timeout: 10_000,
  });
  if (trial.exitCode !== 0) return { ok: false, why: 'no network namespaces, or no ip' };
  const read = execaSync('setpriv', [...NOBODY, 'test', '-r', MAIN], { reject: false });
  return read.exitCode === 0
    ? { ok: true }
    : { ok: false, why: 'this folder is closed to other users, as whom the startd would run it' };
})();

/** A machine of our own, with its own /sys: a bridge of veths, and a macvlan over it. */
const NETWORK = `
mount -t sysfs sysfs /sys
ip link add br0 type bridge forward_delay 0
ip link add port0 type veth peer name far0
ip link set port0 master br0
for link in lo br0 port0 far0; do ip link set $link up; done
ip address add 192.0.2.2/24 dev br0
ip -6 address add 2001:db8::2/64 dev br0 nodad
`;

describe.skipIf(!able.ok)(`lark worker inventory${able.ok ? '' : ` (skipped: ${able.why})`}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'lark-inventory-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  let number = 0;
  /** Runs as nobody, as HTCondor's startd runs it as its own user. */
  const inventory = (setUp: string, config: string, ...args: string[]) => {
    const file = join(folder, `worker-${number++}.yaml`);
    writeFileSync(file, config);
    const script = `${NETWORK}${setUp}\nexec setpriv ${NOBODY.join(' ')} "$@"`;
    const lark = [process.execPath, MAIN, 'worker', 'inventory', '--config', file, ...args];
    return execa(
      'unshare',
      [...NAMESPACES, '--pid', '--fork', '--kill-child', 'sh', '-ec', script, 'sh', ...lark],
      {
        reject: false,
        timeout: 60_000,
        stdin: 'ignore',
      },
    );
  };
  execaSync('chmod', ['755', folder]);

  it('says why the speed of a bridge of veths is not known', async () => {
    const { exitCode, stdout, stderr } = await inventory(
      'ip route add default via 192.0.2.1',
      '',
      '--explain',
    );
    expect(exitCode).toBe(1);
    expect(stdout).toBe(
      '# the default route for IPv4 leads to br0\n# br0 is a bridge without a port that leads outside (port0)',
    );
    expect(stderr).toContain('the speed of the uplink is not known');
  });

  it('takes the configured speed, less the headroom', async () => {
    const config = 'shaping: {uplinkMbps: 1000, headroomShare: 0.2}\n';
    const { stdout } = await inventory('ip -6 route add default via 2001:db8::1', config, '--explain');
    expect(stdout.split('\n')).toEqual([
      '# no default route for IPv4',
      '# the default route for IPv6 leads to br0',
      '# br0 is a bridge without a port that leads outside (port0)',
      '# shaping.uplinkMbps in worker.yaml says 1000 Mb/s, which decides',
      '# less the headroom of 20 %: 800 Mb/s',
      'DetectedBandwidth = 800',
    ]);
  });

  const iperf = execaSync('iperf3', ['--version'], { reject: false }).exitCode === 0;
  it.skipIf(!iperf)(
    `measures where the kernel tells nothing${iperf ? '' : ' (skipped: no iperf3)'}`,
    async () => {
      const server = 'iperf3 -s -B 192.0.2.2 -p 5999 >/dev/null & sleep 0.5';
      const measure = ['--measure', '192.0.2.2:5999'];
      const { stdout } = await inventory(`ip route add default via 192.0.2.1\n${server}`, '', ...measure);
      const mbps = Number(/^DetectedBandwidth = (\d+)$/.exec(stdout)?.[1]);
      expect(mbps).toBeGreaterThan(10);
      const refused = await inventory('ip route add default via 192.0.2.1', '', ...measure);
      expect(refused.stderr).toMatch(
        /iperf3 to 192\.0\.2\.2:5999 gave no result: .*(refused|unable to connect)/i,
      );
      expect(refused.exitCode).toBe(1);
    },
  );
});
