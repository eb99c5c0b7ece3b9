import { describe, expect, it } from 'vitest';
import { hostConfig, hostsFile } from '../../../testbed/pool/config.ts';

const base = { address: '10.1.2.4', centralManagerAddress: '10.1.2.2' };

/** The last value of a setting, as HTCondor takes it. */
const setting = (config: string, name: string) =>
  config
    .split('\n')
    .filter((line) => line.startsWith(`${name} =`))
    .at(-1)
    ?.replace(/^[^=]*= ?/, '');

describe('hostConfig', () => {
  it('starts the daemons of the role', () => {
    expect(setting(hostConfig({ ...base, role: 'cm' }), 'DAEMON_LIST')).toBe('MASTER, COLLECTOR, NEGOTIATOR');
    expect(setting(hostConfig({ ...base, role: 'ap' }), 'DAEMON_LIST')).toBe('MASTER, SCHEDD');
    expect(setting(hostConfig({ ...base, role: 'ep' }), 'DAEMON_LIST')).toBe('MASTER, STARTD');
  });

  it('points every host to the central manager and binds it to its own address', () => {
    for (const role of ['cm', 'ap', 'ep'] as const) {
      const config = hostConfig({ ...base, role });
      expect(setting(config, 'CONDOR_HOST')).toBe('10.1.2.2');
      expect(setting(config, 'NETWORK_INTERFACE')).toBe('10.1.2.4');
    }
  });

  it('advertises the site through the daemon that has one', () => {
    const site = 'UNL';
    expect(setting(hostConfig({ ...base, role: 'ap', site }), 'SCHEDD_ATTRS')).toBe(
      '$(SCHEDD_ATTRS) LarkSite',
    );
    expect(setting(hostConfig({ ...base, role: 'ep', site }), 'STARTD_ATTRS')).toBe(
      '$(STARTD_ATTRS) LarkSite',
    );
    expect(setting(hostConfig({ ...base, role: 'ep', site }), 'LarkSite')).toBe('"UNL"');
    expect(hostConfig({ ...base, role: 'cm', site })).not.toContain('LarkSite');
  });

  it('lets the extra configuration win', () => {
    const config = hostConfig({ ...base, role: 'ep', extra: 'NUM_CPUS = 7' });
    expect(setting(config, 'NUM_CPUS')).toBe('7');
    expect(config.endsWith('NUM_CPUS = 7\n')).toBe(true);
  });
});

describe('hostsFile', () => {
  it('names every host by its long and short name', () => {
    expect(hostsFile([{ name: 'cm', address: '10.1.2.2' }])).toBe(
      '127.0.0.1 localhost\n10.1.2.2 cm.lark.test cm\n',
    );
  });
});
