import { describe, expect, test } from 'vitest';
import { parsePolicy } from '../../../src/breaker/policy.ts';
import type { Cause } from '../../../src/why/causes.ts';
import { jobWhyText } from '../../../src/why/text.ts';
import { job, NOW, OPEN, pathAd, pathsOf, seconds, slot, why } from './ads.ts';

/** The causes of the only site and outcome. */
function only(told: ReturnType<typeof why>): Cause[] {
  expect(told.sites).toHaveLength(1);
  expect(told.sites[0]!.outcomes).toHaveLength(1);
  return told.sites[0]!.outcomes[0]!.causes;
}
const unlToFnal = pathsOf(pathAd('UNL', 'FNAL', OPEN));

describe('what keeps a job from a slot', () => {
  test('nothing: its turn is all that is missing', () => {
    const told = why(job(), [slot({ site: 'FNAL' })]);
    expect(only(told)).toEqual([]);
    expect(told.advice.join('\n')).toMatch(
      /1 slot of FNAL matches it.*condor_userprio.*-better-analyze 7\.0/,
    );
  });

  test('a breaker: with its numbers, since when, and when it is tried again', () => {
    const told = why(job(), [slot({ site: 'FNAL' })], { paths: unlToFnal });
    expect(only(told)).toEqual([
      {
        kind: 'breaker',
        path: 'UNL>FNAL',
        direction: 'in',
        state: 'OPEN',
        policy: 'bulk-input',
        reason: 'ThroughputMbps 40',
        since: new Date(seconds(-900) * 1000).toISOString(),
        retryAt: new Date(seconds(1800) * 1000).toISOString(),
        exceeds: ['its input of 105 MB exceeds 50 MB'],
        maxInputMB: 50,
        ticket: 40,
        tickets: null,
      },
    ]);
    expect(told.advice).toEqual([
      'with input of 50 MB or less it may run at FNAL (1 slot) now',
      'wait for FNAL (1 slot): UNL>FNAL is tried again from 2026-03-01 12:30 UTC on, if it measures well then',
      expect.stringContaining('lark breaker force UNL FNAL closed'),
    ]);
  });

  test('MB and MiB are told apart: 100 MiB of input exceed 104 MB, and not 105', () => {
    const limited = (max: number) => pathsOf(pathAd('UNL', 'FNAL', `${OPEN}\nMaxInputMB = ${max}.0`));
    const kinds = (max: number) =>
      only(why(job(), [slot({ site: 'FNAL' })], { paths: limited(max) })).map(({ kind }) => kind);
    expect(kinds(104)).toEqual(['breaker']);
    expect(kinds(105)).toEqual([]);
  });

  test('a breaker over the predicted time of a transfer, with what waits already', () => {
    const paths = pathsOf(
      pathAd('UNL', 'FNAL', `${OPEN.replace('MaxInputMB = 50.0', 'MaxTransferSeconds = 60.0')}`),
    );
    const busy = new Map([...paths].map(([name, path]) => [name, { ...path, backlogMB: 1000 }]));
    const [cause] = only(why(job(), [slot({ site: 'FNAL' })], { paths: busy }));
    expect(cause).toMatchObject({
      exceeds: [
        'its input of 105 MB after 1 GB that already wait or move takes 221 s at 40 Mb/s, and 60 s are allowed',
      ],
    });
    expect(only(why(job(), [slot({ site: 'FNAL' })], { paths }))).toEqual([]);
  });

  test('a breaker over the number of jobs', () => {
    const paths = pathsOf(pathAd('UNL', 'FNAL', OPEN.replace('MaxInputMB = 50.0', 'MaxJobs = 3.0')));
    const used = new Map([...paths].map(([name, path]) => [name, { ...path, jobs: 3 }]));
    const [cause] = only(why(job(), [slot({ site: 'FNAL' })], { paths: used }));
    expect(cause).toMatchObject({ exceeds: ['3 jobs with input use the path, and 3 may'] });
  });

  test('a breaker of the way back', () => {
    const paths = pathsOf(pathAd('FNAL', 'UNL', OPEN.replace('MaxInputMB', 'MaxOutputMB')));
    const [cause] = only(why(job('LarkOutputMB = 80'), [slot({ site: 'FNAL' })], { paths }));
    expect(cause).toMatchObject({
      path: 'FNAL>UNL',
      direction: 'out',
      exceeds: ['its output of 80 MB exceeds 50 MB'],
    });
  });

  test('the breaker of a whole site', () => {
    const paths = pathsOf(pathAd('*', 'FNAL', OPEN));
    const told = why(job(), [slot({ site: 'FNAL' })], { paths });
    expect(only(told)[0]).toMatchObject({ kind: 'breaker', path: '*>FNAL' });
    expect(told.advice.at(-1)).toContain('force "*" FNAL closed');
  });

  test('a half-open breaker: whose turn it is, and when the turn of this job comes', () => {
    const policy = parsePolicy(
      'Covers = true\nTrip = ThroughputMbps < 100\nReset = ThroughputMbps > 200\nMaxInputMB = 50\nHalfOpenShare = 0.1\nHalfOpenTurnSeconds = 600',
      'bulk-input.ad',
    );
    const half = OPEN.replace('"OPEN"', '"HALF_OPEN"').replace(/BreakerRetryAt.*\n/, '');
    const turn = (from: number) =>
      pathsOf(pathAd('UNL', 'FNAL', `${half}\nBreakerTicketFrom = ${from}\nBreakerTicketTo = ${from + 10}`));
    const told = why(job(), [slot({ site: 'FNAL' })], { paths: turn(10), policies: [policy] });
    expect(only(told)[0]).toMatchObject({ state: 'HALF_OPEN', ticket: 40, tickets: { from: 10, to: 20 } });
    // Half-open since 11:45, turns of ten minutes: ticket 40 has the fifth of them.
    expect(told.advice[1]).toContain(
      "the turn of this job's ticket 40 is from 2026-03-01 12:25 UTC to 2026-03-01 12:35",
    );
    expect(only(why(job(), [slot({ site: 'FNAL' })], { paths: turn(40) }))).toEqual([]);
  });

  test('a clause of its own requirements, with what it met', () => {
    const told = why(job('Requirements = (TARGET.LarkSite == "MIT") && (TARGET.Arch == "X86_64")'), [
      slot({ site: 'FNAL' }),
    ]);
    expect(only(told)).toEqual([
      { kind: 'requirements', clause: 'TARGET.LarkSite == "MIT"', found: 'the slot\'s LarkSite is "FNAL"' },
    ]);
    expect(told.advice).toEqual(['without its requirement TARGET.LarkSite == "MIT" it would fit 1 slot']);
  });

  test('a requirement for what the slot does not have', () => {
    const told = why(job('Requirements = TARGET.HasCvmfs =?= true && TARGET.Gpu > 2'), [
      slot({ site: 'FNAL' }),
    ]);
    expect(only(told)).toEqual([
      { kind: 'requirements', clause: 'TARGET.HasCvmfs =?= true', found: 'neither has HasCvmfs' },
      { kind: 'requirements', clause: 'TARGET.Gpu > 2', found: 'neither has Gpu' },
    ]);
  });

  test('the START of who owns the slot', () => {
    const told = why(job(), [slot({ site: 'FNAL', start: 'TARGET.Owner == "bob"' })]);
    expect(only(told)).toEqual([
      { kind: 'start', clause: 'TARGET.Owner == "bob"', found: 'the job\'s Owner is "ada"' },
    ]);
  });

  test('more than the slot will ever have, told once though both sides ask', () => {
    const told = why(job('RequestMemory = 9000'), [slot({ site: 'FNAL' })]);
    expect(only(told)).toEqual([{ kind: 'too-small', resource: 'Memory', asked: 9000, most: 4000 }]);
    expect(told.advice).toEqual([
      'it asks for 9000 MiB of Memory, and the largest slot that it would fit otherwise has 4000 MiB',
    ]);
  });

  test('more than is free of it now', () => {
    const told = why(job('RequestMemory = 3000'), [slot({ site: 'FNAL' })]);
    expect(only(told)).toEqual([{ kind: 'busy', resource: 'Memory', asked: 3000, most: 2000 }]);
    expect(told.advice).toEqual(['it fits 1 slot of FNAL, all in use now: wait until one is free']);
  });

  test.each([
    ['State = "Claimed"', 'claimed'],
    ['Offline = true', 'offline'],
    ['State = "Drained"', 'drained'],
    ['State = "Owner"', 'owner'],
  ])('how the slot stands: %s', (lines, kind) => {
    const text = slot({ site: 'FNAL', lines: `PartitionableSlot = false\n${lines}` });
    expect(only(why(job(), [text]))).toEqual([{ kind }]);
  });

  test('several at once: what will not pass by itself comes first', () => {
    const told = why(job('RequestMemory = 3000'), [slot({ site: 'FNAL', start: 'TARGET.Owner == "bob"' })], {
      paths: unlToFnal,
    });
    expect(only(told).map(({ kind }) => kind)).toEqual(['start', 'breaker', 'busy']);
    expect(told.advice).toEqual([]);
  });
});

describe('sites', () => {
  test('each is told by itself; slots that fare alike are counted together', () => {
    const told = why(
      job(),
      [
        slot({ site: 'FNAL', machine: 'a.example' }),
        slot({ site: 'FNAL', machine: 'b.example', lines: 'Memory = 1900' }),
        slot({ site: 'MIT', machine: 'c.example' }),
      ],
      { paths: unlToFnal },
    );
    expect(told.slots).toBe(3);
    expect(told.sites.map(({ site, outcomes }) => [site, outcomes.map(({ slots }) => slots)])).toEqual([
      ['FNAL', [2]],
      ['MIT', [1]],
    ]);
    expect(told.sites[1]!.outcomes[0]!.causes).toEqual([]);
  });

  test('the map LARK_SITE tells where a machine stands that does not say it', () => {
    const siteOf = new Map([['x.example', 'FNAL']]);
    const told = why(job(), [slot({ machine: 'x.example' })], { paths: unlToFnal, siteOf });
    expect(told.sites[0]!.site).toBe('FNAL');
    expect(only(told)[0]).toMatchObject({ kind: 'breaker', path: 'UNL>FNAL' });
  });

  test('a machine of which nothing tells where it stands withholds nothing', () => {
    const told = why(job(), [slot({ machine: 'x.example' })], { paths: unlToFnal });
    expect(told.sites[0]!.site).toBeNull();
    expect(only(told)).toEqual([]);
  });

  test('where START does not ask for it, an open breaker withholds nothing, and that is told', () => {
    const told = why(job(), [slot({ site: 'FNAL', plain: true })], { paths: unlToFnal });
    expect(told.sites[0]!.enforced).toBe(false);
    expect(only(told)).toEqual([]);
    expect(jobWhyText(told, NOW)).toContain('no breaker is asked there');
  });

  test('a job that carries the condition itself, for slots that do not', () => {
    const carries = job(`LarkThere = TARGET.LarkSite
LarkIn = split(userMap("LARK_PATH", strcat(MY.LarkSubmitSite, ">", MY.LarkThere)), ",")
LarkWithholdsIn = MY.TransferInputSizeMB * 1.048576 > real(MY.LarkIn[1])
Requirements = (TARGET.Arch == "X86_64") && MY.LarkWithholdsIn =!= true`);
    const told = why(carries, [slot({ site: 'FNAL', plain: true })], { paths: unlToFnal });
    expect(told.sites[0]!.enforced).toBe(true);
    expect(only(told)[0]).toMatchObject({ kind: 'breaker', exceeds: ['its input of 105 MB exceeds 50 MB'] });
  });
});

describe('the job itself', () => {
  test('held: why, and what would be when it is released', () => {
    const told = why(job('JobStatus = 5\nHoldReason = "no such file"'), [slot({ site: 'FNAL' })]);
    expect(told.status).toBe('held');
    expect(told.says).toContain('it is held: no such file');
    expect(told.advice).toEqual([
      'once what it is held for is mended: condor_release 7.0',
      'once released, 1 slot of FNAL matches it',
    ]);
  });

  test('running: where; slots are not looked at', () => {
    const told = why(
      job('JobStatus = 2\nRemoteHost = "slot1@a.example"\nTransferringInput = true\nTransferQueued = true'),
      [slot({ site: 'FNAL' })],
    );
    expect(told.sites).toEqual([]);
    expect(told.says).toEqual([
      'it runs at slot1@a.example',
      "its input waits in the access point's transfer queue",
    ]);
  });

  test.each([
    ['JobStatus = 3\nRemoveReason = "by ada"', 'it was removed: by ada'],
    ['JobStatus = 4', 'it has completed'],
    ['JobUniverse = 12', 'it runs at the access point itself and waits for no slot'],
    ['JobUniverse = 9', 'it is handed to another system (grid universe) and waits for no slot'],
  ])('%s', (lines, say) => {
    const told = why(job(lines), [slot({ site: 'FNAL' })]);
    expect(told.says).toContain(say);
    expect(told.sites).toEqual([]);
    expect(told.advice).toEqual([]);
  });

  test("a concurrency limit, by the negotiator's last word", () => {
    const told = why(job('LastRejMatchReason = "concurrency limit sw_x reached"'), [slot({ site: 'FNAL' })]);
    expect(told.says[0]).toContain("the negotiator's last word: concurrency limit sw_x reached");
    expect(told.advice[0]).toContain('a concurrency limit that it asks for (ConcurrencyLimits) is used up');
  });

  test('no word of its site: no breaker withholds it, and that is told', () => {
    const ad = job();
    ad.delete('LarkSubmitSite');
    const told = why(ad, [slot({ site: 'FNAL' })], { paths: unlToFnal });
    expect(only(told)).toEqual([]);
    expect(told.says.join()).toContain('does not say from which site it was submitted');
  });

  test('no slots at all', () => {
    expect(why(job(), []).advice).toEqual(['the pool has no slots now']);
  });
});
