import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { untilCarrier } from '../../../src/worker/carrier.ts';

/** As /sys/class/net shows an interface whose carrier the kernel has still to take note of. */
describe('untilCarrier', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lark-carrier-'));
    mkdirSync(join(folder, 'lk00000001/brport'), { recursive: true });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const show = (file: string, value: string) => writeFileSync(join(folder, 'lk00000001', file), `${value}\n`);
  /** Whether it has returned, after as long as it needs to look again. */
  const begun = (limitMs?: number) => {
    let isOver = false;
    const over = untilCarrier('lk00000001', { folder, ...(limitMs && { limitMs }) }).then(() => {
      isOver = true;
    });
    return {
      over,
      looked: () => new Promise((resolve) => setTimeout(resolve, 20)).then(() => isOver),
    };
  };

  it('waits until the interface is up, and until its bridge has seen that', async () => {
    show('operstate', 'lowerlayerdown');
    show('brport/state', '0');
    const wait = begun(60_000);
    expect(await wait.looked()).toBe(false);
    show('operstate', 'up');
    expect(await wait.looked()).toBe(false);
    show('brport/state', '3');
    await wait.over;
  });

  it('needs no bridge', async () => {
    show('operstate', 'down');
    const wait = begun(60_000);
    expect(await wait.looked()).toBe(false);
    show('operstate', 'up');
    await wait.over;
  });

  it('goes on at its limit, and at once where there is nothing to see', async () => {
    show('operstate', 'down');
    await begun(5).over;
    await untilCarrier('lk00000002', { folder, limitMs: 60_000 });
  });
});
