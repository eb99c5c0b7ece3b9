import { defineConfig } from 'vitest/config';

/**
 * Two projects. `unit` is pure or loopback-only and stays under 30 s: its files share processes, which saves loading the
 * same modules a hundred times. `integration` stands on real parts (kernel namespaces, PostgreSQL, an HTCondor pool), so
 * its files run one after another, each in a process of its own. Node runs the TypeScript of both as it runs it for users.
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
          experimental: { viteModuleRunner: false },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', 'packages/*/test/integration/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 300_000,
          fileParallelism: false,
          experimental: { viteModuleRunner: false },
        },
      },
    ],
  },
});
