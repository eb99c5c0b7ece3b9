import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newRecord, type UsageRecord } from '../../../../src/worker/accounting/record.ts';
import { metrics, monitorReport } from '../../../../src/worker/monitor/report.ts';
import { slotConstraint } from '../../../../src/worker/monitor/slot.ts';
import type { MonitorState } from '../../../../src/worker/monitor/state.ts';

const START = Date.UTC(2026, 0, 1);

/** Of the network lk0000000N, `seconds` after its start. */
const record = (
  number: number,
  slot: string,
  seconds: number,
  inBytes: number,
  outBytes = 0,
): UsageRecord => {
  const lease = { name: `lk0000000${number}`, jobId: `ap#${number}.0`, createdAt: new Date(START) };
  const count = (bytes: number) => ({ bytes, packets: 1 });
  return {
    ...newRecord(lease, 7, { owner: 'alice', ...(slot !== undefined && { slot }) }),
    counted: {
      Campus: { in: count(inBytes), out: count(0) },
      External: { in: count(0), out: count(outBytes) },
      LinkLocal: { in: count(999), out: count(999) },
    },
    updatedAt: new Date(START + seconds * 1000),
  };
};

const FIRST: MonitorState = { jobs: {}, slots: [] };

describe('the report of lark worker monitor', () => {
  it('is an ad for each slot, as STARTD_CRON reads it', () => {
    expect(monitorReport([record(1, 'slot1_3', 10, 50_000_000, 25_000_000)], FIRST, []).text).toBe(
      `SlotMergeConstraint = SlotID == 1 && DSlotID == 3
UptimeBANDWIDTHSeconds = 400.0
UptimeBANDWIDTHPeakPeakUsage = 40.0
UptimeNetworkIncomingPeakUsage = 50000000.0
UptimeNetworkOutgoingPeakUsage = 25000000.0
UptimeNetworkIncomingCampusPeakUsage = 50000000.0
UptimeNetworkOutgoingCampusPeakUsage = 0.0
UptimeNetworkIncomingExternalPeakUsage = 0.0
UptimeNetworkOutgoingExternalPeakUsage = 25000000.0
UptimeNetworkIncomingLinkLocalPeakUsage = 999.0
UptimeNetworkOutgoingLinkLocalPeakUsage = 999.0
NetworkInMbps = 40.0
NetworkOutMbps = 20.0
- Lark_slot1_3
`,
    );
  });

  it('counts from the report before, and nothing twice', () => {
    const first = monitorReport([record(1, 'slot1_1', 10, 1_000_000)], FIRST, []);
    const second = monitorReport([record(1, 'slot1_1', 20, 3_500_000)], first.state, []);
    expect(second.text).toContain('UptimeBANDWIDTHSeconds = 20.0\nUptimeBANDWIDTHPeakPeakUsage = 2.0\n');
    const again = monitorReport([record(1, 'slot1_1', 20, 3_500_000)], second.state, []);
    expect(again.text).toContain('UptimeBANDWIDTHSeconds = 0.0\n');
    expect(again.text).toContain('UptimeNetworkIncomingPeakUsage = 3500000.0\n');
  });

  it('tells no rate that a slow reading alone would make', () => {
    const late = { ...record(1, 'slot1_1', 2, 10_000_000), readMs: 500 };
    const prompt = { ...record(1, 'slot1_1', 4, 20_000_000), readMs: 0 };
    const first = monitorReport([late], FIRST, []);
    expect(first.text).toContain('UptimeBANDWIDTHPeakPeakUsage = 32.0\n');
    expect(monitorReport([prompt], first.state, []).text).toContain('UptimeBANDWIDTHPeakPeakUsage = 40.0\n');
  });

  it('tells no rate of a moment', () => {
    const first = monitorReport([record(1, 'slot1_1', 0.1, 250_000)], FIRST, []);
    expect(first.text).toContain('UptimeBANDWIDTHSeconds = 2.0\nUptimeBANDWIDTHPeakPeakUsage = 2.0\n');
    const next = monitorReport([record(1, 'slot1_1', 2.1, 10_250_000)], first.state, []);
    expect(next.text).toContain('UptimeBANDWIDTHSeconds = 80.0\nUptimeBANDWIDTHPeakPeakUsage = 40.0\n');
  });

  it('only sets the baseline when nothing is known of the report before', () => {
    const { text, state } = monitorReport([record(1, 'slot1_1', 10, 1_000_000)], undefined, []);
    expect(text).toContain('UptimeBANDWIDTHSeconds = 0.0\n');
    expect(state.jobs.lk00000001).toMatchObject({ inBytes: 1_000_000 });
  });

  it('tells of a slot without a job that nothing passes, from before its first job on', () => {
    const idle = (slot: string, dynamic: number) =>
      `SlotMergeConstraint = SlotID == 1 && DSlotID == ${dynamic}\nUptimeBANDWIDTHSeconds = 0.0\nNetworkInMbps = 0.0\n` +
      `NetworkOutMbps = 0.0\n- Lark_${slot}\n`;
    expect(monitorReport([], undefined, ['slot1_1']).text).toBe(idle('slot1_1', 1));
    const first = monitorReport([record(1, 'slot1_9', 10, 1)], FIRST, []);
    const second = monitorReport([], first.state, ['slot1_1']);
    expect(second.text).toBe(idle('slot1_1', 1) + idle('slot1_9', 9));
    expect(monitorReport([], second.state, []).text).toBe(second.text);
    // the next job of the same slot is counted from its own start
    const next = monitorReport([record(2, 'slot1_9', 10, 1_000_000)], first.state, []);
    expect(next.text).toContain('UptimeBANDWIDTHSeconds = 8.0\n');
  });

  it('leaves out networks that are no job of HTCondor', () => {
    const { slot: _, ...byHand } = record(1, 'slot1_1', 10, 1);
    expect(monitorReport([byHand], FIRST, []).text).toBe('');
  });

  it('marks what is incomplete', () => {
    const text = monitorReport([{ ...record(1, 'slot1_1', 10, 1), hasGap: true }], FIRST, []).text;
    expect(text).toContain('NetworkAccountingGap = true\n');
  });

  it('adds up to the megabits of the busier direction, however often it reports', () => {
    const step = fc.record({ seconds: fc.integer({ min: 0, max: 100 }), bytes: fc.nat(1_000_000_000) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        let state = FIRST;
        let [seconds, bytes, sum] = [0, 0, 0];
        for (const next of steps) {
          seconds += next.seconds;
          // at the same time nothing can have passed
          if (next.seconds > 0) bytes += next.bytes;
          const report = monitorReport([record(1, 'slot1_1', seconds, bytes)], state, []);
          sum += Number(/UptimeBANDWIDTHSeconds = (\S+)/.exec(report.text)![1]);
          state = report.state;
        }
        expect(sum).toBeCloseTo((bytes * 8) / 1e6, 3);
      }),
    );
  });
});

describe('the slot of a report', () => {
  it.each([
    ['slot1_3', 'SlotID == 1 && DSlotID == 3'],
    ['slot12', 'SlotID == 12 && DSlotID =?= undefined'],
    ['slot1_3 || true', undefined],
    ['', undefined],
  ])('%j', (slot, constraint) => {
    expect(slotConstraint(slot)).toBe(constraint);
  });
});

it('metrics name every class but the local one', () => {
  expect(metrics(['Campus', 'External', 'LinkLocal']).join(', ')).toBe(
    'SUM:BANDWIDTH, PEAK:BANDWIDTHPeak, PEAK:NetworkIncoming, PEAK:NetworkOutgoing, PEAK:NetworkIncomingCampus, ' +
      'PEAK:NetworkOutgoingCampus, PEAK:NetworkIncomingExternal, PEAK:NetworkOutgoingExternal',
  );
});
