import { expect, test } from 'vitest';
import { readableLine } from '../../src/log.ts';

const line = (fields: object) =>
  readableLine(JSON.stringify({ time: Date.UTC(2026, 0, 1, 12, 30), ...fields }));

test('a line for people has time, message and short fields; nothing of what the message already tells', () => {
  expect(line({ level: 30, hosts: 121, archives: 85, msg: 'discovered' })).toMatch(
    /^\d\d:\d\d:\d\d discovered {2}hosts=121 {2}archives=85\n$/,
  );
  expect(line({ level: 30, harvest: { done: 8 }, msg: 'harvest: 8 of 85 archives' })).toMatch(
    /^\d\d:\d\d:\d\d harvest: 8 of 85 archives\n$/,
  );
});

test('what is amiss is called so, with where an error came from', () => {
  expect(line({ level: 40, fault: 'timeout', msg: 'no answer' })).toMatch(
    / warning: no answer {2}fault=timeout\n$/,
  );
  expect(line({ level: 50, err: { stack: 'Error: x\n    at y' }, msg: 'failed' })).toMatch(
    / error: failed\nError: x\n {4}at y\n$/,
  );
});
