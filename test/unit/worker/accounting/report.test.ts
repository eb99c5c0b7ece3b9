import { expect, test } from 'vitest';
import { parseElements, readingOf } from '../../../../src/worker/accounting/counters.ts';
import { newRecord, type UsageRecord } from '../../../../src/worker/accounting/record.ts';
import { networkAttributes, usageRows, usageTable } from '../../../../src/worker/accounting/report.ts';
import { parseListing } from '../../../../src/worker/nft/inspect.ts';

const count = (bytes: number, packets: number) => ({ bytes, packets });
function record(jobId: string, owner: string): UsageRecord {
  return {
    ...newRecord({ name: 'lk00000001', jobId, createdAt: new Date(0) }, owner, 1),
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
  expect(networkAttributes({ ...record('1.0', 'alice'), hasGap: true }).NetworkAccountingGap).toBe(true);
});

test('the table for people', () => {
  const records = [record('1.0', 'alice'), { ...record('2.0', 'alice'), hasGap: true }];
  expect(usageRows(records, 'job')).toHaveLength(4);
  expect(usageTable(usageRows(records, 'owner'))).toBe(
    [
      '       CLASS      IN BYTES  OUT BYTES  IN PACKETS  OUT PACKETS',
      'alice  Campus         2000        100          20            4  incomplete',
      '       LinkLocal       128        128           2            2  incomplete',
    ].join('\n'),
  );
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
