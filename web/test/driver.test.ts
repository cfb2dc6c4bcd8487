import assert from 'node:assert/strict';
import {createServer} from 'node:net';
import type {AddressInfo} from 'node:net';
import {test} from 'node:test';
import type {Notice} from '../src/shared/types.ts';
import {Driver} from '../src/worker/driver.ts';
import {MemoryStore} from '../src/worker/store.ts';
import {startEngine} from './support.ts';

// A port that nobody listens on.
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const {port} = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

async function startDriver(url: string, store: MemoryStore, enough: (notices: Notice[]) => boolean): Promise<{driver: Driver; notices: Notice[]; done: Promise<void>}> {
  const notices: Notice[] = [];
  let finish = (): void => {};
  const done = new Promise<void>((resolve) => (finish = resolve));
  const driver = await Driver.start({
    engine: await startEngine('plain'), variant: 'plain', url, session: {name: 'node'}, data: {kind: 'strokes', writer: 2001, perWriter: 20}, own: null, store,
    notice(notice) {
      notices.push(notice);
      if (enough(notices)) finish();
    },
  });
  return {driver, notices, done};
}

const waits = (notices: Notice[]): number[] => notices.flatMap((notice) => (notice.kind === 'connecting' && notice.delayMs > 0 ? [notice.delayMs] : []));

test('nobody answers: the driver says so, waits longer each time, and can leave', async () => {
  const {driver, notices, done} = await startDriver(`ws://127.0.0.1:${await freePort()}`, new MemoryStore(), (all) => waits(all).length >= 3);
  await done;
  const [first = 0, , third = 0] = waits(notices);
  assert.ok(third > first, `waits of ${waits(notices)} ms`);
  assert.match(notices.find((notice) => notice.kind === 'connecting' && notice.delayMs > 0)?.text ?? '', /trying again/);
  driver.leave('the test is over');
});

test('an address that no socket takes backs off too, with the browser\'s words', async () => {
  const {driver, notices, done} = await startDriver('nonsense:', new MemoryStore(), (all) => waits(all).length >= 1);
  await done;
  assert.ok(notices.some((notice) => notice.kind === 'error'));
  driver.leave('the test is over');
});

test('a damaged state is told and replaced by a new device', async () => {
  const store = new MemoryStore(new Uint8Array(50));
  const {driver, notices, done} = await startDriver(`ws://127.0.0.1:${await freePort()}`, store, (all) => all.length >= 2);
  await done;
  assert.match(notices[0]?.text ?? '', /the kept state is unusable, this is a new device now/);
  assert.notEqual((await store.load())?.length, 50);
  driver.leave('the test is over');
});
