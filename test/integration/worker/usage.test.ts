import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentHost, said } from '../../support/agent-host.ts';
import { finished, missing } from '../../support/worker-host.ts';

const why = missing('nft', 'tc', 'ip', 'unshare', 'nsenter', 'setpriv', 'perl');
const YAML = `
shaping: {enabled: false}
accounting:
  classes: [{name: Campus, cidrs: [192.0.2.0/24]}]
  checkpointSeconds: 3600`;
const SINK = "require('node:dgram').createSocket('udp6').bind(7001, '::', () => console.log('ready'))";
const send = (to: string, count: number) =>
  `for i in {1..${count}}; do head -c 1000 /dev/zero > /dev/udp/${to}/7001; done`;
const CAMPUS = send('192.0.2.254', 20);
const OUTSIDE = send('2001:db8::fe', 10);

describe.skipIf(why)(`lark worker usage${why ? ` (${why})` : ''}`, () => {
  let world: AgentHost;
  const usage = (...args: string[]) => world.host.run(...world.worker('usage', ...args));

  beforeAll(async () => {
    world = await AgentHost.start(YAML);
    await world.serve(SINK, world.host.outsidePrefix);
  });
  afterAll(() => world?.stop());

  it('tells of jobs that ended and, to this moment, of those that run; by job, owner and day', async () => {
    expect(usage()).toMatch(/^no job is known since /);
    await finished(world.job('User = "bob@pool"\nGlobalJobId = "ap#3.0#1"', `${CAMPUS}; sleep 0.5`));
    await world.gone();
    const job = world.job(
      'User = "alice@pool"\nGlobalJobId = "ap#4.0#1"',
      `${CAMPUS}; ${OUTSIDE}; sleep 0.5; echo sent; exec sleep 30`,
    );
    await said(job);

    const listed = JSON.parse(usage('--json'));
    expect(listed).toMatchObject([
      {
        job: 'ap#3.0',
        owner: 'bob@pool',
        slot: 'slot1_1',
        running: 0,
        endedAt: expect.any(String),
        isIncomplete: false,
        outBytes: 20 * 1028,
        outPackets: 20,
        inBytes: 0,
      },
      {
        job: 'ap#4.0',
        owner: 'alice@pool',
        running: 1,
        outBytes: 20 * 1028 + 10 * 1048,
        outPackets: 30,
        classes: {
          Campus: { outBytes: 20 * 1028, outPackets: 20 },
          External: { outBytes: 10 * 1048, outPackets: 10 },
        },
      },
    ]);
    expect(JSON.parse(usage('--json', '--running'))).toHaveLength(1);
    expect(JSON.parse(usage('--json', '--owner', 'bob'))).toHaveLength(1);
    expect(JSON.parse(usage('--json', '--owner', 'nobody', '--since', '2026-01-01'))).toEqual([]);
    const byOwner = usage('--by', 'owner').split('\n');
    expect(byOwner[0]).toMatch(/^owner +jobs +running +class +in +out +packets in +packets out$/);
    expect(byOwner[1]).toMatch(/^alice@pool +1 +1 +total +0 B +31\.04 kB +0 +30$/);
    expect(byOwner.some((line) => /^all +total +0 B +51\.6 kB +0 +50$/.test(line))).toBe(true);
    expect(usage('--by', 'day')).toMatch(/^\d{4}-\d\d-\d\d +alice@pool/m);
    // Who is not root sees what was written down.
    const asUser = world.host.run(
      'setpriv',
      '--reuid',
      '12345',
      '--clear-groups',
      ...world.worker('usage', '--json'),
    );
    expect(JSON.parse(asUser)).toMatchObject([{ outBytes: 20 * 1028 }, { job: 'ap#4.0', outBytes: 0 }]);
    process.stdout.write(process.env.LARK_SHOW ? usage() + usage('--by', 'owner') : '');
    job.kill('SIGKILL');
    await world.gone();
  });

  it('refuses a time that is none', () => {
    expect(() => usage('--since', 'yesterday')).toThrow(/--since yesterday: expected a time/);
  });
});
