import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { BreakerView, EventView, ForcingView } from '../../../src/api/breakers.ts';
import { startWorld, type World } from '../../../testbed/world/world.ts';
import { lark, larkFolder, serve } from '../../support/lark.ts';

/** Breakers as people meet them: `lark breaker`, the API, the stream of events. */

let world: World;
const cleanUp: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  world = await startWorld({ hosts: 8, seed: 2 });
});
afterAll(() => world.close());
afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

async function place() {
  const made = await larkFolder(world, { harvest: { lookbackHours: 2 } });
  cleanUp.push(made.remove);
  const cli = async (...args: string[]) => lark(['--config', made.configFile, 'breaker', ...args]);
  const json = async <T>(...args: string[]): Promise<T> => {
    const { stdout, stderr, exitCode } = await cli(...args, '--json');
    expect(stderr).toBe('');
    expect(exitCode).toBe(0);
    return JSON.parse(stdout) as T;
  };
  return { ...made, cli, json };
}

/** The events of a stream, as they come. */
async function* eventsOf(url: string, signal: AbortSignal, lastId?: number): AsyncGenerator<EventView> {
  const response = await fetch(url, {
    signal,
    ...(lastId !== undefined && { headers: { 'last-event-id': String(lastId) } }),
  });
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  let rest = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + chunk).split('\n\n');
    rest = blocks.pop()!;
    for (const block of blocks) {
      const data = block.split('\n').find((line) => line.startsWith('data: '));
      if (data) yield JSON.parse(data.slice(6)) as EventView;
    }
  }
}

describe('without a service, on the store itself', () => {
  test('a word counts from the next cycle on, is told with its owner, and can be taken back', async () => {
    const { cli, json, configFile } = await place();
    const cycle = async () =>
      expect(await lark(['--config', configFile, 'cycle'])).toMatchObject({ exitCode: 0 });
    await cycle();
    const all = await json<BreakerView[]>('list', '--all');
    const { srcSite, dstSite } = all[0]!;

    const word = ['--for', '2h', '--reason', 'the link is being repaired'];
    const said = await json<ForcingView>('force', srcSite, dstSite, 'open', ...word);
    expect(said).toMatchObject({ state: 'FORCED_OPEN', policy: null, reason: 'the link is being repaired' });
    expect(Date.parse(said.until) - Date.parse(said.at)).toBe(7_200_000);
    expect(await json<ForcingView[]>('forced')).toEqual([said]);

    await cycle();
    const forced = await json<BreakerView[]>('list', srcSite, dstSite);
    expect(forced.map(({ state }) => state)).toEqual(['FORCED_OPEN', 'FORCED_OPEN', 'FORCED_OPEN']);
    expect(forced[0]!.reason).toContain(said.owner);
    const ads = await lark(['--config', configFile, 'ads']);
    const ad = ads.stdout.split('\n\n').find((text) => text.includes(`Name = "${srcSite}>${dstSite}"`))!;
    expect(ad).toContain('BreakerState = "FORCED_OPEN"');
    expect(ad).toContain('MaxInputMB = 0');

    expect((await cli('release', srcSite, dstSite)).stdout).toContain('no more forced');
    await cycle();
    const events = await json<EventView[]>('events', srcSite, dstSite);
    expect(events.filter(({ from }) => from === 'FORCED_OPEN')).toHaveLength(3);
    expect(await json<BreakerView[]>('list', srcSite, dstSite)).not.toContainEqual(
      expect.objectContaining({ state: 'FORCED_OPEN' }),
    );
  });

  test('what is wrong is said in one sentence', async () => {
    const { cli, json, configFile } = await place();
    await lark(['--config', configFile, 'cycle']);
    const site = (await json<BreakerView[]>('list', '--all'))[0]!.srcSite;
    const word = ['--for', '2h', '--reason', 'x'];
    for (const [args, message] of [
      [['force', 'NOWHERE', site, 'open', ...word], 'no site is named "NOWHERE"'],
      [['force', '*', '*', 'open', ...word], 'would be every path'],
      [['force', '*', site, 'ajar', ...word], 'forced open or closed'],
      [['force', '*', site, 'open', '--for', '2 weeks', '--reason', 'x'], '"2 weeks" is no duration'],
      [['force', '*', site, 'open', '--for', '2h'], "required option '--reason <text>' not specified"],
      [['release', '*', site], 'nothing is forced'],
    ] as const) {
      const { exitCode, stderr } = await cli(...args);
      expect(exitCode, message).toBe(1);
      expect(stderr).toContain(message);
      expect(stderr).not.toContain('    at ');
    }
  });

  test('check names what is wrong with a policy, and exits 1', async () => {
    const { cli } = await place();
    expect(await cli('check')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('bulk-input: nothing'),
    });
    const file = join((await place()).folder, 'mine.ad');
    await writeFile(file, 'Covers = true\nTrip = LossRate > 2\nReset = LossRate < 1\nMaxJobs = 1\n');
    const { stdout, exitCode } = await cli('check', file);
    expect(exitCode).toBe(1);
    expect(stdout).toContain('mine: Trip: LossRate is compared with 2; LossRate is a fraction from 0 to 1');
  });
});

describe('with a service that has the store', () => {
  test('the service is asked, only its own user may change something, and events stream', async () => {
    const { cli, json, configFile } = await place();
    const service = serve(configFile);
    cleanUp.push(async () => {
      service.child.kill('SIGKILL');
      await service.ended;
    });
    const { api } = (await service.said(/^serving$/)) as { api: string };
    await service.said(/^cycle done$/);

    const all = await json<BreakerView[]>('list', '--all');
    expect(await (await fetch(`${api}/api/v1/breakers`)).json()).toEqual(all);
    const { srcSite, dstSite } = all[0]!;

    const body = JSON.stringify({ srcSite, dstSite, state: 'open', seconds: 60, reason: 'r', owner: 'o' });
    for (const authorization of [undefined, 'Bearer guessed']) {
      const refused = await fetch(`${api}/api/v1/forcings`, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json', ...(authorization && { authorization }) },
      });
      expect(refused.status).toBe(401);
    }
    expect(await json<ForcingView[]>('forced')).toEqual([]);

    const reading = new AbortController();
    const events = eventsOf(`${api}/api/v1/events`, reading.signal);
    const first = events.next();
    // The word makes the service decide at once, without waiting for its schedule (once a year here).
    await cli('force', srcSite, dstSite, 'closed', '--for', '1h', '--reason', 'measured by hand');
    const { value } = (await first) as { value: EventView };
    expect(value).toMatchObject({ srcSite, dstSite, to: 'FORCED_CLOSED' });
    expect(value.reason).toContain('measured by hand');
    reading.abort();
    await events.next().catch(() => {});

    // Who comes back with the id of the last one misses none.
    const again = new AbortController();
    const later = eventsOf(`${api}/api/v1/events`, again.signal, value.id);
    const next = (await later.next()) as { value: EventView };
    expect(next.value.id).toBe(value.id + 1);
    again.abort();
    await later.next().catch(() => {});

    // An open stream does not hold the service up.
    const open = await fetch(`${api}/api/v1/events`);
    service.child.kill('SIGTERM');
    expect((await service.ended)[0]).toBe(0);
    await open.text().catch(() => {});
  });
});
