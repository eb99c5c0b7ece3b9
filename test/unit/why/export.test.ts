import { describe, expect, test } from 'vitest';
import type { Breaker } from '../../../src/domain.ts';
import { EXPORT_COLUMNS, exportCsv, exported } from '../../../src/why/export.ts';
import { NOW } from './ads.ts';

const since = new Date('2026-03-01T11:00:00Z');
const breaker = (name: string, state: Breaker['state'], more: Partial<Breaker> = {}): Breaker => {
  const [srcSite, dstSite] = name.split('>') as [string, string];
  const withholds = state === 'OPEN' || state === 'HALF_OPEN' ? { withholds: { maxInputMB: 50 } } : {};
  return {
    srcSite,
    dstSite,
    policy: 'bulk-input',
    state,
    reason: `why ${name}`,
    since,
    ...withholds,
    ...more,
  };
};
const half = { tickets: { from: 10, to: 20 } };

describe('what a site is told by', () => {
  test('open paths count whole, half-open ones by what they still withhold', () => {
    const { sites, paths } = exported(
      [
        breaker('A>X', 'OPEN'),
        breaker('B>X', 'HALF_OPEN', half),
        breaker('C>X', 'CLOSED'),
        breaker('D>X', 'UNKNOWN'),
        breaker('X>A', 'FORCED_OPEN'),
      ],
      NOW,
    );
    expect(sites.map(({ site }) => site)).toEqual(['A', 'B', 'C', 'D', 'X']);
    expect(sites.at(-1)).toMatchObject({
      percentIn: 47.5,
      percentOut: 100,
      bad: false,
      pathsIn: 4,
      pathsOut: 1,
    });
    expect(sites[0]).toMatchObject({
      percentIn: 100,
      percentOut: 100,
      reason: expect.stringContaining('why'),
    });
    expect(sites[2]).toMatchObject({ percentIn: 0, percentOut: 0, reason: '', since: null });
    expect(paths.map(({ src, dst, percent }) => [src, dst, percent])).toEqual([
      ['A', 'X', 100],
      ['B', 'X', 90],
      ['C', 'X', 0],
      ['D', 'X', 0],
      ['X', 'A', 100],
    ]);
  });

  test('the strictest policy of a path counts, once', () => {
    const { sites } = exported(
      [breaker('A>X', 'CLOSED'), breaker('A>X', 'OPEN', { policy: 'dead-path' }), breaker('B>X', 'CLOSED')],
      NOW,
    );
    expect(sites.at(-1)).toMatchObject({ percentIn: 50, pathsIn: 2 });
  });

  test('the breaker of a whole site shuts it, in its direction alone', () => {
    const { sites, paths } = exported(
      [
        breaker('*>X', 'OPEN'),
        breaker('A>X', 'OPEN', { partOf: '*>X' }),
        breaker('X>A', 'CLOSED'),
        breaker('B>X', 'CLOSED'),
      ],
      NOW,
    );
    expect(sites.at(-1)).toMatchObject({
      site: 'X',
      percentIn: 100,
      percentOut: 0,
      bad: true,
      reason: '*>X: why *>X',
      since: since.toISOString(),
    });
    expect(paths.some(({ src }) => src === '*')).toBe(false);
  });

  test('nothing at all', () => {
    expect(exported([], NOW)).toEqual({ madeAt: NOW.toISOString(), sites: [], paths: [] });
    expect(exportCsv(exported([], NOW))).toBe(`${EXPORT_COLUMNS.join(',')}\n`);
  });
});

test('the CSV: columns in a fixed order, texts quoted where they have to be', () => {
  const csv = exportCsv(
    exported([breaker('A>X', 'OPEN', { reason: 'ThroughputMbps 40, LossRate "high"' })], NOW),
  );
  expect(csv).toBe(`kind,site,src,dst,percent,percentOut,bad,state,reason,since
site,A,,,0,100,false,,"A>X: ThroughputMbps 40, LossRate ""high""",2026-03-01T11:00:00.000Z
site,X,,,100,0,false,,"A>X: ThroughputMbps 40, LossRate ""high""",2026-03-01T11:00:00.000Z
path,,A,X,100,,,OPEN,"ThroughputMbps 40, LossRate ""high""",2026-03-01T11:00:00.000Z
`);
});
