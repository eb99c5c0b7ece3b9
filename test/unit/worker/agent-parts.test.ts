import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseResolver } from '../../../src/worker/host.ts';
import { readEntry, readJournal, removeEntry, writeEntry } from '../../../src/worker/journal.ts';
import { limiter } from '../../../src/worker/limiter.ts';
import { Patience } from '../../../src/worker/patience.ts';
import { bearerOf, bears, newSecret } from '../../../src/worker/peer.ts';
import { commOf, isAlive, processId, processStat } from '../../../src/worker/proc.ts';
import { lineOf, wrapperMessage } from '../../../src/worker/protocol.ts';
import { slotAmong } from '../../../src/worker/starter.ts';

describe('limiter', () => {
  it('runs no more than it may at once, in order, and goes on after failures', async () => {
    const { run } = limiter(3);
    let now = 0;
    let most = 0;
    const order: number[] = [];
    const tasks = Array.from({ length: 20 }, (_, i) =>
      run(async () => {
        order.push(i);
        most = Math.max(most, ++now);
        await new Promise((resolve) => setImmediate(resolve));
        now--;
        if (i % 5 === 0) throw new Error('no');
      }).catch(() => 'failed'),
    );
    expect((await Promise.all(tasks)).filter((result) => result === 'failed')).toHaveLength(4);
    expect(most).toBe(3);
    expect(order).toEqual([...order].sort((a, b) => a - b));
  });

  it('runs what must be alone when nothing else runs', async () => {
    const { run, alone } = limiter(2);
    let running = 0;
    const others: number[] = [];
    const task = async () => {
      running++;
      await new Promise((resolve) => setImmediate(resolve));
      running--;
    };
    const lonely = async () => {
      others.push(running);
      await new Promise((resolve) => setImmediate(resolve));
      others.push(running);
    };
    await Promise.all([run(task), run(task), alone(lonely), run(task), alone(lonely), run(task)]);
    expect(others).toEqual([0, 0, 0, 0]);
  });
});

describe('journal', () => {
  it('gives back what was written, and nothing that cannot be understood', () => {
    const folder = mkdtempSync(join(tmpdir(), 'lark-journal-'));
    try {
      const entry = {
        name: 'lk00000001',
        request: {
          mode: 'nat' as const,
          inbound: [],
          isAccounted: true,
          owner: 'alice',
          jobId: '1.0',
          starter: { pid: 5, startTicks: 6 },
        },
        step: 'lease',
        by: { pid: 7, startTicks: 8 },
        netns: 4026531840,
        startedAt: new Date(1000),
      };
      writeEntry(folder, entry);
      expect(readEntry(folder, 'lk00000001')).toEqual(entry);
      writeFileSync(join(folder, 'lk00000002'), '{"name":"lk0000');
      writeFileSync(join(folder, 'lk00000003.1.2.tmp'), '');
      expect(readJournal(folder)).toEqual({ entries: [entry], debris: ['lk00000002', 'lk00000003.1.2.tmp'] });
      removeEntry(folder, 'lk00000001');
      removeEntry(folder, 'lk00000001');
      expect(readJournal(folder).entries).toEqual([]);
      expect(readJournal(join(folder, 'absent'))).toEqual({ entries: [], debris: [] });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('patience', () => {
  const starter = { pid: 1, startTicks: 1 };

  it('ends for who costs much at once, comes back with time, and lasts for who asks once a minute', async () => {
    let nowMs = 0;
    const patience = new Patience(() => nowMs);
    const isHeard = () => patience.hear(starter, async () => true);
    for (let i = 0; i < 20; i++) patience.charge(starter, 250);
    expect(await isHeard()).toBe(true);
    patience.charge(starter, 1);
    expect(await isHeard()).toBeUndefined();
    expect(await patience.hear({ pid: 2, startTicks: 1 }, async () => true)).toBe(true);
    nowMs += 2000;
    expect(await isHeard()).toBe(true);
    for (let minute = 0; minute < 5000; minute++) {
      nowMs += 60_000;
      expect(await isHeard()).toBe(true);
      patience.charge(starter, 10);
    }
  });

  it('is for a few questions of one job at once', async () => {
    const patience = new Patience(() => 0);
    let end = () => {};
    const waits = new Promise<boolean>((resolve) => {
      end = () => resolve(true);
    });
    const answers = Array.from({ length: 6 }, () => patience.hear(starter, () => waits));
    end();
    expect(await Promise.all(answers)).toEqual([true, true, true, true, undefined, undefined]);
    expect(await patience.hear(starter, () => waits)).toBe(true);
  });
});

describe('slotAmong', () => {
  it.each([
    ['-f -a slot1_3 ap.example.org', 'slot1_3'],
    ['-f -a slot2 -slot-name slot1_3 ap', 'slot1_3'],
    ['-f ap.example.org', undefined],
    // STARTER_LOG_NAME_APPEND = JobId
    ['-f -a 12.0 ap.example.org', undefined],
    ['-f -a', undefined],
  ])('finds the slot in %s', (args, slot) => {
    expect(slotAmong(args.split(' '))).toBe(slot);
  });
});

describe('protocol', () => {
  it('has answers that a wrapper without a JSON parser can read', () => {
    const line = lineOf({ do: 'fail', action: 'hold', message: 'a "b" \\c\nd é' });
    expect(line).toBe(`{"do":"fail","action":"hold","message":"a 'b' 'c d  "}\n`);
    expect(JSON.parse(line)).toMatchObject({ do: 'fail' });
  });

  it.each(['{}', '{"op":"network"}', '{"op":"network","pid":-1}', '{"op":"proved","x":1}', '[]', 'null'])(
    'knows nothing like %s',
    (text) => {
      expect(wrapperMessage.safeParse(JSON.parse(text)).success).toBe(false);
    },
  );
});

describe.skipIf(process.platform !== 'linux')('what the kernel says of processes (Linux)', () => {
  it('tells this one from a later one with its pid', () => {
    const self = processId(process.pid)!;
    expect(isAlive(self)).toBe(true);
    expect(isAlive({ ...self, startTicks: self.startTicks - 1 })).toBe(false);
    expect(processStat(process.pid)!.parent).toBe(process.ppid);
    expect(processId(2 ** 22 + 1)).toBeUndefined();
  });

  it('finds the bearer of a secret, and nobody else', () => {
    const [secret, other] = [newSecret(), newSecret()];
    expect(secret).toMatch(/^[a-z2-7]{15}$/);
    expect(other).not.toBe(secret);
    const before = commOf(process.pid)!;
    writeFileSync('/proc/self/comm', secret);
    try {
      expect([bears(process.pid, secret), bears(process.ppid, secret)]).toEqual([true, false]);
      expect(bears(process.pid, other)).toBe(false);
      expect(bearerOf(secret)).toBe(process.pid);
      expect(bearerOf(other)).toBeUndefined();
    } finally {
      writeFileSync('/proc/self/comm', before);
    }
  });
});

describe('parseResolver', () => {
  it('leaves out servers that only the host reaches', () => {
    expect(
      parseResolver(
        '# x\nnameserver 127.0.0.53\nnameserver 192.0.2.53\nnameserver ::1\nsearch a b\noptions edns0\n',
      ),
    ).toEqual({ nameservers: ['192.0.2.53'], resolverOptions: ['search a b', 'options edns0'] });
    // Of a network card; and those of clouds.
    const ofLinks =
      'nameserver fe80::1%eth0\nnameserver 169.254.169.254\nnameserver 2001:db8::53\nnameserver 0.0.0.0\n';
    expect(parseResolver(ofLinks).nameservers).toEqual(['169.254.169.254', '2001:db8::53']);
  });
});
