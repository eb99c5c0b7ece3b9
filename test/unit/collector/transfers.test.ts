import { describe, expect, test } from 'vitest';
import { type HistoryQuery, HtcondorError } from '../../../src/collector/htcondor.ts';
import { phaseMs, type RunAd, readTransfers, transfersOf } from '../../../src/collector/transfers.ts';

const NOW = new Date('2026-07-20T12:00:00Z');
const T = NOW.getTime() / 1000 - 600;

/** As a job that moved 60 MB in and 10 MB out stands in the history of HTCondor 23.9. */
const ad = (more: Partial<RunAd> = {}): RunAd => ({
  ...{ ClusterId: 2, ProcId: 3, GlobalJobId: 'ap.ex.example#2.3#1', NumShadowStarts: 1 },
  ...{ LastRemoteHost: 'slot1_2@ep1.ex.example', RemoteHost: undefined },
  ...{ BytesRecvd: 60e6, TransferInStarted: T, TransferInFinished: T + 8 },
  ...{ BytesSent: 10e6, TransferOutStarted: T + 10, TransferOutFinished: T + 14 },
  TransferInputStats: { CedarFilesCountTotal: 1, CedarFilesCountLastRun: 1 },
  TransferOutputStats: { CedarFilesCountTotal: 1, CedarFilesCountLastRun: 1 },
  ...more,
});
const rejectedIn = (more: Partial<RunAd>) =>
  transfersOf([ad({ TransferOutStarted: undefined, ...more })], NOW);

describe('transfers of a job', () => {
  test('its input came from the access point, its output went there', () => {
    const { transfers, rejected } = transfersOf([ad()], NOW);
    expect(rejected).toEqual({});
    expect(transfers).toEqual([
      {
        ...{ id: 'ap.ex.example#2.3#1 1 in', executionPoint: 'ep1.ex.example', direction: 'in', bytes: 60e6 },
        ...{ startedSeconds: T, finishedSeconds: T + 8 },
      },
      {
        ...{
          id: 'ap.ex.example#2.3#1 1 out',
          executionPoint: 'ep1.ex.example',
          direction: 'out',
          bytes: 10e6,
        },
        ...{ startedSeconds: T + 10, finishedSeconds: T + 14 },
      },
    ]);
  });

  test.each([
    ['not-finished', { TransferInFinished: undefined }],
    ['not-finished', { TransferInFinished: T - 100 }],
    ['too-short', { TransferInFinished: T }],
    ['no-bytes', { BytesRecvd: 0 }],
    ['other-source', { TransferInputStats: { CedarFilesCountLastRun: 1, HttpsFilesCountLastRun: 2 } }],
    ['earlier-runs-unknown', { NumShadowStarts: 2 }],
    ['no-execution-point', { LastRemoteHost: undefined }],
    ['in-the-future', { TransferInStarted: T + 5000, TransferInFinished: T + 5010 }],
  ] as const)('%s: %o', (reason, more) => {
    expect(rejectedIn(more)).toEqual({ transfers: [], rejected: { [reason]: 1 } });
  });

  test('files that a plugin moved in an earlier run do not count against this one', () => {
    const counts = { CedarFilesCountLastRun: 1, HttpsFilesCountTotal: 2, HttpsFilesCountLastRun: 0 };
    expect(rejectedIn({ TransferInputStats: counts }).transfers).toHaveLength(1);
  });

  test('of several runs, each has what was added since the one before; where it ran is its own', () => {
    const first = ad({
      ...{ BytesRecvd: 20e6, RemoteHost: 'slot1@ep2.ex.example', LastRemoteHost: undefined },
      TransferOutStarted: undefined,
    });
    const second = ad({
      ...{ NumShadowStarts: 2, BytesRecvd: 40e6, RemoteHost: 'slot1@ep1.ex.example' },
      ...{ LastRemoteHost: 'slot1@ep2.ex.example', TransferInStarted: T + 100, TransferInFinished: T + 105 },
      TransferOutStarted: undefined,
    });
    const inHistory = { ...second, RemoteHost: undefined, LastRemoteHost: 'slot1@ep1.ex.example' };
    const { transfers } = transfersOf([second, first, inHistory], NOW);
    expect(transfers.map(({ executionPoint, bytes }) => [executionPoint, bytes])).toEqual([
      ['ep1.ex.example', 20e6],
      ['ep2.ex.example', 20e6],
    ]);
  });

  test('the same transfer always has the same phase, others seldom', () => {
    const phases = new Set(Array.from({ length: 100 }, (_, i) => phaseMs({ id: `ap#1.${i}#7 1 in` })));
    expect(phases.size).toBeGreaterThan(85);
    expect(Math.min(...phases)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...phases)).toBeLessThan(1000);
    expect(phaseMs({ id: 'ap#1.1#7 1 in' })).toBe(phaseMs({ id: 'ap#1.1#7 1 in' }));
  });
});

describe('reading a history', () => {
  const asking = (answer: (query: HistoryQuery) => string) => {
    const queries: HistoryQuery[] = [];
    return {
      queries,
      history: async (_: string, query: HistoryQuery) => {
        queries.push(query);
        return answer(query);
      },
    };
  };
  const since = new Date(NOW.getTime() - 3_600_000);

  test('is bounded, and asks for runs only where a job had several', async () => {
    const one = asking(() => JSON.stringify([ad()]));
    expect((await readTransfers(one, 'ap', since, NOW)).transfers).toHaveLength(2);
    expect(one.queries).toHaveLength(1);
    expect(one.queries[0]!.constraint).toContain(String(since.getTime() / 1000));
    expect(one.queries[0]!.scanLimit).toBeGreaterThan(0);

    const again = asking(({ isByRun }) =>
      JSON.stringify(isByRun ? [ad()] : [ad({ NumShadowStarts: 2, BytesRecvd: 80e6, BytesSent: 25e6 })]),
    );
    const { transfers } = await readTransfers(again, 'ap', since, NOW);
    expect(transfers.map(({ bytes }) => bytes).sort()).toEqual([10e6, 15e6, 20e6, 60e6]);
    expect(again.queries[1]!.constraint).toContain('"ap.ex.example#2.3#1"');
  });

  test('a schedd that keeps no runs is no failure, one that cannot be read is', async () => {
    const silent = asking(({ isByRun }) => {
      if (isByRun) throw new HtcondorError('No Job Run Instance recordings to read.');
      return JSON.stringify([ad({ NumShadowStarts: 3 }), ad({ GlobalJobId: 'ap.ex.example#9.0#1' })]);
    });
    const { transfers, rejected } = await readTransfers(silent, 'ap', since, NOW);
    expect([transfers.length, rejected]).toEqual([2, { 'earlier-runs-unknown': 2 }]);
    const broken = asking(() => '[{"ClusterId": ');
    await expect(readTransfers(broken, 'ap', since, NOW)).rejects.toThrow(HtcondorError);
    expect(
      (
        await readTransfers(
          asking(() => ''),
          'ap',
          since,
          NOW,
        )
      ).transfers,
    ).toEqual([]);
  });

  test('what is no number is as good as absent', async () => {
    const odd = asking(() =>
      JSON.stringify([{ ...ad(), BytesRecvd: '/Expr(1 + x)/', TransferInputStats: [] }]),
    );
    expect(await readTransfers(odd, 'ap', since, NOW)).toMatchObject({
      transfers: [{ direction: 'out' }],
      rejected: { 'no-bytes': 1 },
    });
  });
});
