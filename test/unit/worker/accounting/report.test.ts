import { expect, test } from 'vitest';
import { bytesText, usageText } from '../../../../src/cli/worker-usage.ts';
import { parseElements, readingOf } from '../../../../src/worker/accounting/counters.ts';
import { newRecord, type UsageRecord } from '../../../../src/worker/accounting/record.ts';
import { groupUsage, networkAttributes } from '../../../../src/worker/accounting/report.ts';
import { parseListing } from '../../../../src/worker/nft/inspect.ts';

const count = (bytes: number, packets: number) => ({ bytes, packets });
function record(jobId: string, owner: string): UsageRecord {
  return {
    ...newRecord({ name: 'lk00000001', jobId, createdAt: new Date(0) }, 1, { owner }),
    carried: { Campus: { in: count(100, 1), out: count(0, 0) } },
    counted: {
      Campus: { in: count(900, 9), out: count(50, 2) },
      LinkLocal: { in: count(64, 1), out: count(64, 1) },
    },
  };
}

test('attributes of the job ad: totals without LinkLocal, then each class', () => {
  expect(networkAttributes(record('1.0', 'alice'))).toEqual({
    NetworkIncoming: 1000,
    NetworkOutgoing: 50,
    NetworkPacketsIncoming: 10,
    NetworkPacketsOutgoing: 2,
    NetworkIncomingCampus: 1000,
    NetworkOutgoingCampus: 50,
    NetworkPacketsIncomingCampus: 10,
    NetworkPacketsOutgoingCampus: 2,
    NetworkIncomingLinkLocal: 64,
    NetworkOutgoingLinkLocal: 64,
    NetworkPacketsIncomingLinkLocal: 1,
    NetworkPacketsOutgoingLinkLocal: 1,
  });
  const earlier = { Campus: { in: { bytes: 1000, packets: 1 }, out: { bytes: 0, packets: 0 } } };
  const { NetworkIncoming, NetworkIncomingCampus } = networkAttributes(record('1.0', 'alice'));
  expect(networkAttributes({ ...record('1.0', 'alice'), earlier })).toMatchObject({
    NetworkIncoming: Number(NetworkIncoming) + 1000,
    NetworkIncomingCampus: Number(NetworkIncomingCampus ?? 0) + 1000,
  });
  expect(networkAttributes({ ...record('1.0', 'alice'), hasGap: true }).NetworkAccountingGap).toBe(true);
});

test('usage by job, owner and day', () => {
  const at = (hours: number) => new Date(Date.UTC(2026, 0, 1, hours));
  const records: UsageRecord[] = [
    { ...record('2.0', 'bob'), name: 'lk00000003', startedAt: at(3), updatedAt: at(4) },
    { ...record('1.0', 'alice'), startedAt: at(1), updatedAt: at(2), endedAt: at(2) },
    {
      ...record('1.1', 'alice'),
      name: 'lk00000002',
      startedAt: at(2),
      updatedAt: at(25),
      endedAt: at(25),
      hasGap: true,
    },
  ];
  const short = (by: 'job' | 'owner' | 'day') =>
    groupUsage(records, by).map(({ owner, job, day, jobs, running, total, hasGap }) => [
      job?.id ?? day,
      owner,
      jobs,
      running,
      total.in.bytes,
      total.out.packets,
      hasGap,
    ]);
  expect(short('job')).toEqual([
    ['1.0', 'alice', 1, 0, 1000, 2, false],
    ['1.1', 'alice', 1, 0, 1000, 2, true],
    ['2.0', 'bob', 1, 1, 1000, 2, false],
  ]);
  expect(short('owner')).toEqual([
    [undefined, 'alice', 2, 0, 2000, 4, true],
    [undefined, 'bob', 1, 1, 1000, 2, false],
  ]);
  expect(short('day')).toEqual([
    ['2026-01-01', 'bob', 1, 1, 1000, 2, false],
    ['2026-01-01', 'alice', 1, 0, 1000, 2, false],
    ['2026-01-02', 'alice', 1, 0, 1000, 2, true],
  ]);

  records[0]!.counted.External = { in: count(5e6, 9), out: count(999_999_999, 9) };
  expect(usageText(groupUsage(records, 'job'), 'job', at(26))).toBe(
    [
      'job  owner  state                      class           in    out  packets in  packets out',
      '1.0  alice  ended 24 h ago             Campus        1 kB   50 B          10            2',
      '1.1  alice  ended 60 min ago           Campus        1 kB   50 B          10            2  incomplete',
      '2.0  bob    runs 23 h, as of 22 h ago  total     5.001 MB   1 GB          19           11',
      '                                       Campus        1 kB   50 B          10            2',
      '                                       External      5 MB   1 GB           9            9',
      'all                                    total     5.003 MB   1 GB          39           15',
      '                                       Campus        3 kB  150 B          30            6',
      '                                       External      5 MB   1 GB           9            9',
    ].join('\n'),
  );
});

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1 kB'],
  [20_560, '20.56 kB'],
  [999_999, '1 MB'],
  [1_234_567_890, '1.235 GB'],
])('%i bytes are %s', (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

test("nft's two ways of telling counters agree; what comes in loses its Ethernet headers", () => {
  const json = {
    nftables: [
      { metainfo: {} },
      { set: { family: 'netdev', table: 'lark', name: 'epoch', elem: [77] } },
      { set: { family: 'netdev', table: 'other', name: 'in_Campus', elem: ['lk00000001'] } },
      {
        set: {
          family: 'netdev',
          table: 'lark',
          name: 'in_Campus',
          elem: [{ elem: { val: 'lk00000001', counter: { packets: 10, bytes: 1140 } } }],
        },
      },
    ],
  };
  const text = `table netdev lark {
	set epoch {
		type mark
		elements = { 0x0000004d }
	}
}
table netdev lark {
	set in_Campus {
		type ifname
		elements = { "lk00000001" counter packets 10 bytes 1140 }
	}
}`;
  const expected = {
    epoch: 77,
    jobs: new Map([['lk00000001', { Campus: { in: count(1000, 10), out: count(0, 0) } }]]),
  };
  expect(readingOf(parseListing(JSON.stringify(json)))).toEqual(expected);
  expect(readingOf(parseElements(text))).toEqual(expected);
  expect(readingOf(parseListing('{"nftables":[]}'))).toBeUndefined();
});
