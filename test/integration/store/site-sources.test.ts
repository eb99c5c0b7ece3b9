import { afterAll, beforeAll, expect, it } from 'vitest';
import type { PoolMachine } from '../../../src/domain.ts';
import { openStore, type SourceDocument, type SourceOutcome, type Store } from '../../../src/store/store.ts';
import { describeOnBoth } from './databases.ts';
import { minutesBefore, NOON } from './examples.ts';

process.env.TZ = 'America/St_Johns';

const KEEP = 2;
const document = (hash: string): SourceDocument => ({
  contentHash: hash,
  counts: { sites: 3 },
  facts: { said: hash, odd: 'nul \0 and "quotes"' },
});
const accepted = (hash: string, etag = hash): SourceOutcome => ({
  type: 'accepted',
  document: document(hash),
  validators: { etag, size: 7 },
});

await describeOnBoth('site sources', (newLocation) => {
  let store: Store;
  beforeAll(async () => {
    store = await openStore(await newLocation());
  });
  afterAll(() => store.close());

  const end = (name: string, outcome: SourceOutcome, minutesAgo: number, definition = `cric ${name}`) =>
    store.saveSourceOutcome({ name, definition }, outcome, minutesBefore(minutesAgo), KEEP);
  const source = async (name: string) => (await store.siteSources()).find((one) => one.name === name);

  it('knows nothing at first', async () => {
    expect(await store.siteSources()).toEqual([]);
    expect(await store.siteSourceFacts('a')).toBeUndefined();
    expect(await store.acceptRefusedSource('a', NOON, KEEP)).toBe(false);
  });

  it('the version that was accepted last is in force; only the last few are kept', async () => {
    for (const [n, hash] of ['one', 'two', 'three'].entries()) await end('a', accepted(hash), 30 - n);
    expect(await source('a')).toEqual({
      name: 'a',
      definition: 'cric a',
      checkedAt: minutesBefore(28),
      validators: { etag: 'three', size: 7 },
      current: { version: 3, fetchedAt: minutesBefore(28), contentHash: 'three', counts: { sites: 3 } },
    });
    expect(await store.siteSourceFacts('a')).toEqual({ said: 'three', odd: 'nul  and "quotes"' });
    const { rows } = await store.sql('select version from site_source_versions order by version');
    expect(rows).toEqual([{ version: 2 }, { version: 3 }]);
  });

  it('unchanged moves the time of looking, and takes new headers where there are any', async () => {
    await end('a', { type: 'unchanged' }, 27);
    expect(await source('a')).toMatchObject({ checkedAt: minutesBefore(27), validators: { etag: 'three' } });
    await end('a', { type: 'unchanged', validators: { etag: 'other' } }, 26);
    expect(await source('a')).toMatchObject({ validators: { etag: 'other' }, current: { version: 3 } });
  });

  it('a failure is told and changes nothing; the next success ends it', async () => {
    await end('a', { type: 'failed', message: 'https://x.example/ answered 503' }, 25);
    expect(await source('a')).toMatchObject({
      failure: 'https://x.example/ answered 503',
      validators: { etag: 'other' },
      current: { version: 3 },
    });
    await end('a', { type: 'unchanged' }, 24);
    expect(await source('a')).not.toHaveProperty('failure');
  });

  it('what is refused stays out until it is accepted', async () => {
    await end('a', { type: 'refused', reason: 'has lost all', document: document('small') }, 23);
    expect(await source('a')).toMatchObject({
      refusal: {
        at: minutesBefore(23),
        reason: 'has lost all',
        contentHash: 'small',
        counts: { sites: 3 },
      },
      current: { version: 3 },
    });
    expect(await store.siteSourceFacts('a')).toMatchObject({ said: 'three' });
    // A failure in between leaves it there to be accepted.
    await end('a', { type: 'failed', message: 'timeout' }, 22);
    expect(await store.acceptRefusedSource('a', minutesBefore(21), KEEP)).toBe(true);
    const after = await source('a');
    expect(after).toMatchObject({ validators: {}, current: { version: 4, contentHash: 'small' } });
    expect(after).not.toHaveProperty('refusal');
    expect(await store.acceptRefusedSource('a', minutesBefore(20), KEEP)).toBe(false);
  });

  it('a refusal ends when what is read is believed again', async () => {
    await end('a', { type: 'refused', reason: 'says nothing' }, 19);
    expect((await source('a'))!.refusal).toEqual({ at: minutesBefore(19), reason: 'says nothing' });
    expect(await store.acceptRefusedSource('a', NOON, KEEP)).toBe(false);
    await end('a', { type: 'unchanged' }, 18);
    expect(await source('a')).not.toHaveProperty('refusal');
  });

  it('a source that moved is asked without conditions', async () => {
    await end('a', { type: 'unchanged', validators: { etag: 'x' } }, 17);
    await end('a', { type: 'failed', message: 'refused' }, 16, 'cric elsewhere');
    expect(await source('a')).toMatchObject({ definition: 'cric elsewhere', validators: {} });
  });

  it('sources are apart', async () => {
    await end('b', accepted('one'), 15);
    expect((await store.siteSources()).map(({ name, current }) => [name, current?.version])).toEqual([
      ['a', 4],
      ['b', 1],
    ]);
    expect(await store.siteSourceFacts('b')).toMatchObject({ said: 'one' });
  });
});

await describeOnBoth('machines of the pool', (newLocation) => {
  let store: Store;
  beforeAll(async () => {
    store = await openStore(await newLocation());
  });
  afterAll(() => store.close());

  const machine = (key: string, more: Partial<PoolMachine> = {}): PoolMachine => ({
    key,
    names: [`${key}.example`],
    addresses: ['192.0.2.1', '2001:db8::1'],
    words: { LarkSite: ['A "quoted"', 'B, C'] },
    slots: 4,
    isAccessPoint: false,
    ...more,
  });

  it('stay as they were seen last, and with the site that they were given', async () => {
    await store.saveMachines([machine('a'), machine('b')], minutesBefore(60), minutesBefore(100));
    const [first] = await store.machines();
    expect(first).toEqual({
      ...machine('a'),
      lastSeen: minutesBefore(60),
      evidence: 'not looked at yet',
      confidence: 0,
    });
    await store.saveMachineSites([
      {
        subject: 'a',
        site: 'UNL',
        method: 'prefix',
        evidence: '192.0.2.1 in 192.0.2.0/24',
        confidence: 0.97,
      },
      { subject: 'nobody', evidence: 'x', confidence: 0 },
    ]);
    await store.saveMachines([machine('a', { slots: 1, isAccessPoint: true })], NOON, minutesBefore(100));
    expect(await store.machines()).toMatchObject([
      { key: 'a', slots: 1, isAccessPoint: true, site: 'UNL', method: 'prefix', lastSeen: NOON },
      { key: 'b', lastSeen: minutesBefore(60) },
    ]);
  });

  it('are forgotten when they were not seen for long', async () => {
    await store.saveMachines([], NOON, minutesBefore(30));
    expect((await store.machines()).map(({ key }) => key)).toEqual(['a']);
  });

  it('lose a site that no longer is theirs', async () => {
    await store.saveMachineSites([{ subject: 'a', evidence: 'ambiguous', confidence: 0 }]);
    const [only] = await store.machines();
    expect(only).toMatchObject({ evidence: 'ambiguous', confidence: 0 });
    expect(only).not.toHaveProperty('site');
  });
});
