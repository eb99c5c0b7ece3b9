/** Everything a live pool answers is read, and written back without loss, in each of the forms its tools write. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Pool, startPool } from '../../../../testbed/pool/pool.ts';
import { conditions } from '../../../../testbed/pool/root-tree.ts';
import {
  type ClassAd,
  evaluate,
  explainMatch,
  matches,
  parseAds,
  parseExpr,
  parseJsonAds,
  parseNewAds,
  parseXmlAds,
  readAds,
  unparseAd,
  unparseValue,
  userMapsFrom,
  writeJson,
  writeOld,
  writeXml,
} from '../../src/index.ts';

const able = conditions();
const SUBMIT = `executable = /bin/true
arguments = "one 'two three' ""four"""
environment = "A=1 B='x y'"
transfer_executable = false
should_transfer_files = yes
request_memory = 64MB
request_disk = 10MB
log = job.log
`;

describe.skipIf(!able.ok)(`ads of a live pool${able.ok ? '' : ` (skipped: ${able.why})`}`, () => {
  let pool: Pool;
  const asUser = (command: string, input?: string) =>
    pool.run('ap', ['runuser', '-u', 'lark', '--', 'sh', '-ec', `cd; ${command}`], {
      timeoutMs: 90_000,
      ...(input !== undefined && { input }),
    });

  beforeAll(async () => {
    pool = await startPool({ executionPoints: [{ name: 'ep1', site: 'UCSD' }] });
    await asUser('cat >done.sub; condor_submit done.sub', `${SUBMIT}queue 2\n`);
    await asUser('condor_wait -wait 80 job.log');
    const waiting = SUBMIT.replace(
      'log = job.log',
      'requirements = TARGET.LarkSite == "NOWHERE" && TARGET.Memory > 0',
    );
    await asUser('cat >waiting.sub; condor_submit waiting.sub', `${waiting}queue 3\n`);
  }, 300_000);
  afterAll(() => pool?.stop());

  const commands: [command: string, host: 'cm' | 'ap'][] = [
    ['condor_status -any', 'cm'],
    ['condor_q -allusers', 'ap'],
    ['condor_history', 'ap'],
  ];
  const ask = (host: 'cm' | 'ap', command: string, form: string) => {
    return pool.run(host, [...command.split(' '), form], { timeoutMs: 60_000 });
  };

  it.each(commands)('%s', async (command, host) => {
    const [long, json, xml] = [
      await ask(host, command, '-long'),
      await ask(host, command, '-json'),
      await ask(host, command, '-xml'),
    ];
    const ofLong = parseAds(long);
    const ofJson = parseJsonAds(json);
    const ofXml = parseXmlAds(xml);
    expect(ofLong.length).toBeGreaterThan(1);
    expect(ofJson).toHaveLength(ofLong.length);
    expect(ofXml).toHaveLength(ofLong.length);

    // Written back, each is the very text it was read from.
    expect(squeezed(ofLong.map(writeOld).join('\n'))).toBe(squeezed(long));
    expect(squeezed(`[\n${ofJson.map((ad) => `${writeJson(ad)}\n`).join(',\n')}]\n`)).toBe(squeezed(json));
    expect(squeezed(writeXml(ofXml))).toBe(squeezed(xml));

    // From one form to another nothing is lost either.
    for (const ad of ofLong) {
      expect(same(parseNewAds(unparseAd(ad))[0]!, ad)).toBe(true);
      expect(same(parseXmlAds(writeXml([ad]))[0]!, ad)).toBe(true);
      expect(same(parseJsonAds(writeJson(ad))[0]!, ad)).toBe(true);
    }
    const streamed: string[] = [];
    const pieces = long.match(/[\s\S]{1,1000}/g) ?? [];
    for await (const ad of readAds(pieces, 'old')) streamed.push(writeOld(ad));
    expect(streamed).toEqual(ofLong.map(writeOld));
  });

  it('looks up user maps as HTCondor does', async () => {
    await pool.writeFile('cm', '/etc/condor/lark.map', MAP);
    const names =
      'TOOL_CLASSAD_USER_MAP_NAMES = LARK_PATH\nCLASSAD_USER_MAPFILE_LARK_PATH = /etc/condor/lark.map\n';
    await pool.configure('cm', '97-map', names);
    const output = await pool.run('cm', [
      'condor_status',
      '-limit',
      '1',
      ...LOOKUPS.flatMap((text) => ['-format', '%V\n', text]),
    ]);
    const userMaps = userMapsFrom({ LARK_PATH: MAP });
    const ours = LOOKUPS.map((text) => unparseValue(evaluate(parseExpr(text), { userMaps }), 'old'));
    expect(output.trim().split('\n')).toEqual(ours);
  });

  it('matches as HTCondor does, and says why something does not match', async () => {
    const slots = parseAds(await ask('cm', 'condor_status', '-long'));
    const waiting = parseAds(await ask('ap', 'condor_q -allusers', '-long'));
    const jobs = [...parseAds(await ask('ap', 'condor_history', '-long')), ...waiting];
    const input = JSON.stringify([jobs.map(writeOld), slots.map(writeOld)]);
    const theirs = await pool.run('ap', ['python3', '-W', 'ignore', '-c', SYMMETRIC_MATCHES], { input });
    expect(jobs.map((job) => slots.map((slot) => matches(job, slot)))).toEqual(JSON.parse(theirs));

    const why = explainMatch(waiting[0]!, slots[0]!).left;
    const deciding = why?.clauses.filter((clause) => clause.decides).map((clause) => clause.text);
    expect(deciding).toEqual(['TARGET.LarkSite == "NOWHERE"']);
  });
});

const MAP = `# comment
* UNL>UCSD OPEN,10,3.5
* UNL>FNAL CLOSED
* "two words" x
* /^([A-Z]+)>CERN$/i TO_CERN_\\1
other UNL>UCSD SECRET
* incomplete
`;
const LOOKUPS = [
  'userMap("LARK_PATH", "UNL>UCSD")',
  'userMap("lark_path", strcat("UNL", ">", "FNAL"))',
  'userMap("LARK_PATH", "unl>ucsd")',
  'userMap("LARK_PATH", "desy>cern")',
  'userMap("LARK_PATH", "two words")',
  'userMap("LARK_PATH", "incomplete")',
  'userMap("LARK_PATH.other", "UNL>UCSD")',
  'userMap("NOSUCH", "UNL>UCSD")',
  'userMap("LARK_PATH", "UNL>UCSD", "10")',
  'userMap("LARK_PATH", "UNL>UCSD", "11")',
  'userMap("LARK_PATH", "x", "y", "z")',
  'split(userMap("LARK_PATH", "UNL>UCSD"))[1]',
];

const SYMMETRIC_MATCHES = `
import json, sys
try:
    import htcondor, classad
except ModuleNotFoundError:  # 25.x has the second edition alone
    import htcondor2, classad2 as classad
jobs, slots = [[classad.parseOne(text, classad.Parser.Old) for text in side] for side in json.load(sys.stdin)]
print(json.dumps([[job.symmetricMatch(slot) for slot in slots] for job in jobs]))
`;

/** Without what may stand between ads. */
const squeezed = (text: string): string => text.replace(/\n{2,}/g, '\n').trim();

/** The same names bound to the same expressions. */
function same(a: ClassAd, b: ClassAd): boolean {
  const lines = (ad: ClassAd): string => writeOld(ad).split('\n').sort().join('\n');
  return lines(a) === lines(b);
}
