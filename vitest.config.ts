import { defineConfig } from 'vitest/config';

/** These look at the whole machine or measure rates: nothing else may run beside them. */
const ALONE = [
  'test/integration/pool/leftovers.test.ts',
  'test/integration/worker/pool-shares.test.ts',
  'test/integration/worker/shaping.test.ts',
];

/**
 * `unit` is pure or loopback-only and stays under 30 s: its files share processes, which saves loading the same modules a
 * hundred times. `integration` stands on real parts (kernel namespaces, PostgreSQL, an HTCondor pool); a file mostly waits
 * for these, so two run at once, each in a process of its own. `integration-alone` runs after it, one file after another.
 * Node runs the TypeScript of all as it runs it for users.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'packages/*/test/unit/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          isolate: false,
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
          experimental: { viteModuleRunner: false },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', 'packages/*/test/integration/**/*.test.ts'],
          exclude: ALONE,
          testTimeout: 180_000,
          hookTimeout: 300_000,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          experimental: { viteModuleRunner: false },
        },
      },
      {
        test: {
          name: 'integration-alone',
          include: ALONE,
          testTimeout: 180_000,
          hookTimeout: 300_000,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
          experimental: { viteModuleRunner: false },
        },
      },
    ],
  },
});
