import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Accountant } from '../../../../src/worker/accounting/accountant.ts';
import type { Reading } from '../../../../src/worker/accounting/counters.ts';
import { closed, newRecord, totals, type UsageRecord } from '../../../../src/worker/accounting/record.ts';
import { UsageStore } from '../../../../src/worker/accounting/store.ts';
import { processId } from '../../../../src/worker/proc.ts';
import type { JobNetworkRequest, Lease } from '../../../../src/worker/types.ts';

const T0 = new Date('2026-01-31T23:00:00Z');
const NOW = new Date('2026-02-01T01:00:00Z');
const NAME = 'lk00000001';
let directory: string;
let store: UsageStore;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'lark-usage-'));
  store = new UsageStore(directory);
});
afterEach(() => rmSync(directory, { recursive: true }));

const lease = (name = NAME) => ({ name, jobId: '1.0', createdAt: T0 });
const files = () => readdirSync(join(directory, 'accounting'));

function kernel(state: { epoch: number; bytes: Record<string, number> } | undefined) {
  const read = async (): Promise<Reading | undefined> =>
    state && {
      epoch: state.epoch,
      jobs: new Map(
        Object.entries(state.bytes).map(([name, bytes]) => [
          name,
          { External: { in: { bytes, packets: 1 }, out: { bytes: 0, packets: 0 } } },
        ]),
      ),
    };
  return { all: read, job: read };
}

test('nothing is there before the first job', async () => {
  expect(await store.live()).toEqual([]);
  expect(await store.history(T0)).toEqual([]);
});

test('a record comes back as it was, and moves to the month of its end', async () => {
  const record: UsageRecord = newRecord(lease(), 7, {
    owner: 'alice@example.org',
    starter: { pid: 7, startTicks: 9 },
  });
  await store.save(record);
  expect(await store.live()).toEqual([record]);
  const end = closed(record, NOW, true);
  await store.finish(end);
  expect(await store.live()).toEqual([]);
  expect(await store.history(T0)).toEqual([end]);
  expect(await store.history(new Date(NOW.getTime() + 1))).toEqual([]);
  expect(files()).toEqual(['ended-2026-02.jsonl']);
  await expect(store.finish(record)).rejects.toThrow('not closed');
});

test('a line that was written twice counts once, one that is torn is left out', async () => {
  const end = closed(newRecord(lease(), 7, { owner: 'alice' }), NOW, true);
  await store.finish(end);
  await store.finish(end);
  appendFileSync(join(directory, 'accounting/ended-2026-02.jsonl'), '{"name":"lk000');
  const other = closed(newRecord(lease('lk00000002'), 7, { owner: 'bob' }), NOW, true);
  await store.finish(other);
  expect(await store.history(T0)).toEqual([end, other]);
  writeFileSync(join(directory, 'accounting/lk00000009.json'), '');
  expect(await store.live()).toEqual([]);
});

test('an agent that dies and comes back goes on where it was', async () => {
  const state = { epoch: 7, bytes: { [NAME]: 10 } };
  const first = new Accountant(store, kernel(state), () => NOW);
  await first.start(lease(), 7, { owner: 'alice' });
  await first.checkpoint();
  state.bytes[NAME] = 25;

  const second = new Accountant(store, kernel(state), () => NOW);
  expect(await second.recover((name) => name === NAME)).toEqual({ closed: [], unreadable: [] });
  await second.checkpoint();
  const end = await second.finish(NAME);
  expect(end && totals(end).External?.in.bytes).toBe(25);
  expect(end?.hasGap).toBe(false);
  expect(await second.finish(NAME)).toBeUndefined();
});

test('a job that gets another network below the same starter goes on from what it moved in the ones before', async () => {
  const accountant = new Accountant(
    store,
    kernel({ epoch: 7, bytes: { [NAME]: 10, lk00000002: 3, lk00000003: 4, lk00000004: 5 } }),
    () => NOW,
  );
  const starter = processId(process.pid)!;
  const earlierOf = (name: string) =>
    accountant.records().find((record) => record.name === name)?.earlier?.External?.in.bytes;
  await accountant.start(lease(), 7, { owner: 'alice', starter });
  expect(earlierOf(NAME)).toBeUndefined();
  await accountant.finish(NAME);
  await accountant.start(lease('lk00000002'), 7, { owner: 'alice', starter });
  await accountant.start(lease('lk00000003'), 7, { owner: 'bob', starter: { pid: 1, startTicks: 1 } });
  expect(earlierOf('lk00000002')).toBe(10);
  expect(earlierOf('lk00000003')).toBeUndefined();
  const second = await accountant.finish('lk00000002');
  expect(second && totals(second).External?.in.bytes).toBe(3);
  await accountant.start(lease('lk00000004'), 7, { owner: 'alice', starter });
  expect(earlierOf('lk00000004')).toBe(13);
});

test('a job that nobody saw end is closed with a gap; one whose end was written is not closed again', async () => {
  const first = new Accountant(store, kernel({ epoch: 7, bytes: { [NAME]: 10, lk00000002: 3 } }), () => NOW);
  await first.start(lease(), 7, { owner: 'alice' });
  await first.start(lease('lk00000002'), 7, { owner: 'bob' });
  await first.checkpoint();
  const file = join(directory, 'accounting/lk00000002.json');
  const text = readFileSync(file, 'utf8');
  await first.finish('lk00000002');
  // Killed between the two steps of its end.
  writeFileSync(file, text);

  const second = new Accountant(store, kernel(undefined), () => NOW);
  expect(await second.recover(() => false)).toMatchObject({
    closed: [{ name: NAME, hasGap: true, endedAt: NOW }],
  });
  expect(await store.live()).toEqual([]);
  const history = await store.history(T0);
  expect(history.map(({ name, hasGap }) => [name, hasGap])).toEqual([
    [NAME, true],
    ['lk00000002', false],
  ]);
});

test('a checkpoint without news writes nothing', async () => {
  const accountant = new Accountant(store, kernel({ epoch: 7, bytes: { [NAME]: 10 } }), () => NOW);
  await accountant.start(lease(), 7, { owner: 'alice' });
  await accountant.checkpoint();
  const [before] = accountant.records();
  await accountant.checkpoint();
  expect(accountant.records()).toEqual([before]);
});

test('a checkpoint before the counters stand is no gap; an end without them is one', async () => {
  const state = { epoch: 7, bytes: {} as Record<string, number> };
  const accountant = new Accountant(store, kernel(state), () => NOW);
  for (const name of [NAME, 'lk00000002']) await accountant.start(lease(name), 7, { owner: 'alice' });
  await accountant.checkpoint();
  expect(accountant.records().map(({ hasGap }) => hasGap)).toEqual([false, false]);
  state.bytes[NAME] = 10;
  await accountant.checkpoint();
  expect(await accountant.finish(NAME)).toMatchObject({ hasGap: false });
  expect(await accountant.finish('lk00000002')).toMatchObject({ hasGap: true });
});

test('what another process began is finished, and what it finished is not finished again', async () => {
  const source = kernel({ epoch: 7, bytes: { [NAME]: 10, lk00000002: 20 } });
  const [agent, other] = [new Accountant(store, source, () => NOW), new Accountant(store, source, () => NOW)];
  await other.start(lease(), 7, { owner: 'alice' });
  await agent.start(lease('lk00000002'), 7, { owner: 'bob' });
  await agent.finish(NAME);
  await other.finish('lk00000002');
  await agent.checkpoint();
  expect(await agent.finish('lk00000002')).toBeUndefined();
  expect(await store.live()).toEqual([]);
  const moved = (await store.history(T0)).map((record) => [
    record.name,
    totals(record).External?.in.bytes,
    record.hasGap,
  ]);
  expect(moved).toEqual([
    [NAME, 10, false],
    ['lk00000002', 20, false],
  ]);
});

test('a record that cannot be read is put aside, and the job counted on with a gap; half-made files go', async () => {
  const accountant = new Accountant(store, kernel({ epoch: 7, bytes: { [NAME]: 10 } }), () => NOW);
  const file = (name: string) => join(directory, 'accounting', name);
  await accountant.start(lease(), 7, { owner: 'alice' });
  writeFileSync(file(`${NAME}.json`), '{"name"');
  writeFileSync(file('lk00000009.json.new'), '');
  writeFileSync(file('ended-2026-01.jsonl'), '{"na');
  const request = { mode: 'nat', owner: 'alice', isAccounted: true } as JobNetworkRequest;
  const standing = [{ request, lease: lease() as Lease }];
  const next = new Accountant(store, kernel({ epoch: 7, bytes: { [NAME]: 30 } }), () => NOW);
  expect(await next.recover((name) => name === NAME, standing)).toEqual({
    closed: [],
    unreadable: [file(`${NAME}.json.unreadable`), file('ended-2026-01.jsonl')],
  });
  expect(await next.finish(NAME)).toMatchObject({
    hasGap: true,
    counted: { External: { in: { bytes: 30 } } },
  });
  expect(files().sort()).toEqual(['ended-2026-01.jsonl', 'ended-2026-02.jsonl', `${NAME}.json.unreadable`]);
  // Said once.
  expect(await store.mend(() => false)).toEqual([]);
});
