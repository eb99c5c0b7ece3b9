/**
 * Builds what is published: `dist`, a package of JavaScript and types (`npm publish dist`). The workspace itself needs no
 * build, its exports are the sources.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

rmSync(here('dist'), { recursive: true, force: true });
execFileSync('tsc', ['-p', here('tsconfig.build.json')], { stdio: 'inherit' });
mkdirSync(here('dist/bin'));
cpSync(here('bin/classad'), here('dist/bin/classad'));
chmodSync(here('dist/bin/classad'), 0o755);
cpSync(here('README.md'), here('dist/README.md'));

const {
  private: _private,
  scripts: _scripts,
  exports: _exports,
  ...shared
} = JSON.parse(readFileSync(here('package.json'), 'utf8')) as Record<string, unknown>;
const published = { ...shared, exports: { '.': { types: './index.d.ts', default: './index.js' } } };
writeFileSync(here('dist/package.json'), `${JSON.stringify(published, null, 2)}\n`);
