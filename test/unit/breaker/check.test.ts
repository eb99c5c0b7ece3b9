import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { checkPolicy } from '../../../src/breaker/check.ts';
import { loadPolicies, parsePolicy } from '../../../src/breaker/policy.ts';

const check = (trip: string, reset: string, more = 'MaxInputMB = 1', covers = 'true'): string[] =>
  checkPolicy(parsePolicy(`Covers = ${covers}\nTrip = ${trip}\nReset = ${reset}\n${more}`, 'p.ad'));

test('the shipped policies are right', () => {
  const policies = loadPolicies(resolve(import.meta.dirname, '../../../config/policies'));
  expect(policies.flatMap(checkPolicy)).toEqual([]);
});

test.each([
  ['Thruput < 1', 'ThroughputMbps > 2', 'Trip: a path has no attribute Thruput'],
  ['LossRate > 2', 'LossRate < 0.1', 'Trip: LossRate is compared with 2; LossRate is a fraction'],
  ['ThroughputMbps < 100000000', 'ThroughputMbps > 2', 'ThroughputMbps is in Mb/s, not in bit/s'],
  ['ThroughputMbps < -3', 'ThroughputMbps > 2', 'ThroughputMbps is never below 0'],
  ['ThroughputMbps < 10 && ThroughputMbps > 20', 'ThroughputMbps > 2', 'Trip can never be true'],
  ['RttMs > 100', 'RttMs < 50 && RttMs > 60', 'Reset can never be true'],
  ['ThroughputMbps < 100', 'ThroughputMbps > 50', 'Trip and Reset both hold with ThroughputMbps 75'],
  ['ThroughputMbps < 100', 'ThroughputMbps >= 100', 'there is no gap'],
  ['LossRate > 0.5', 'LossRate < 0.1 || RttMs < 10', 'Trip and Reset both hold with LossRate 1, RttMs 0;'],
  ['ThroughputMbps + 1', 'ThroughputMbps > 2', 'Trip is to be true or false, and is real'],
])('Trip = %s, Reset = %s: %s', (trip, reset, message) => {
  expect(check(trip, reset).join('\n')).toContain(message);
});

test('limits in another unit are noticed', () => {
  const trip = ['ThroughputMbps < 100', 'ThroughputMbps > 200'] as const;
  expect(check(...trip, 'MaxInputMB = 2000000000')).toEqual([expect.stringContaining('it is in MB')]);
});

test.each([
  ['ThroughputMbps < 100', 'ThroughputMbps > 200'],
  ['100 > ThroughputMbps', '200 < ThroughputMbps'],
  [
    'LossRate > 0.5 =?= true || ThroughputMbps < 1 =?= true',
    '(LossRate < 0.1) =!= false && ThroughputMbps > 3',
  ],
  ['!(ThroughputMbps >= 100) && SampleCount > 10', 'ThroughputMbps > 150'],
  ['ThroughputMbpsP10 < 10', 'ThroughputMbpsP10 > 30'],
])('nothing is wrong with Trip = %s, Reset = %s', (trip, reset) => {
  expect(check(trip, reset, 'MaxJobs = 4', 'SrcSite == "UNL" || regexp("^T2_", DstSite)')).toEqual([]);
});
