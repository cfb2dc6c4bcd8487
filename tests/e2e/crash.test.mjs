// Any process may die at any moment: what was acknowledged stays, what was not is never counted twice.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {Site, strokes, writers} from './support.mjs';

// What the daemon believes was counted, by its last verdict.
const believed = (daemon) => daemon.events.filter((event) => event.event === 'verdict').at(-1)?.roundsCounted ?? 0;
const device = (daemon) => daemon.events.find((event) => event.event === 'device').device;

test('a coordinator killed in the middle of rounds goes on where it was, and nobody was counted twice', async (t) => {
  const site = new Site(t);
  const maxRounds = 16;
  const federation = site.file('fed.json', strokes({cohort: 4, minimum: 4, maxRounds}));
  let serve = await site.serve(federation, {more: ['--once']});
  const {port, address} = serve;
  const daemons = [0, 1, 2, 3].map((i) => site.join(address, writers(i, 5, 40), `d${i}`));
  let closed = 0;
  for (const until of [2, 5, 9]) {
    await serve.event((event) => event.event === 'round' && event.round >= until);
    await serve.event((event) => event.event === 'opened' && event.round > until);
    assert.equal(await serve.kill('SIGKILL'), 'SIGKILL');
    const seen = serve.events.filter((event) => event.event === 'round').map((event) => event.round);
    serve = await site.serve(federation, {port, more: ['--once']});
    const {round} = serve.events[0];
    // Every round whose end was told is there; at most the one that was being committed is there too.
    assert.ok(round >= Math.max(closed, ...seen), `round ${round} after ${seen}`);
    closed = round;
  }
  assert.equal(await serve.exit(), 0, serve.describe());
  const done = serve.events.find((event) => event.done);
  assert.equal(done.rounds, maxRounds);
  for (const daemon of daemons) {
    assert.equal(await daemon.exit(), 0, daemon.describe());
    const person = done.participants.find((each) => each.device === device(daemon));
    assert.equal(believed(daemon), person.counted, daemon.describe());
    assert.equal(person.counted, maxRounds);  // minimum = cohort: everybody is in every round
  }
});

test('asynchronous rounds: a killed coordinator goes on with its buffer, and nobody was counted twice', async (t) => {
  const site = new Site(t);
  const maxRounds = 12, buffer = 6;
  const federation = site.file('fed.json', {...strokes(), strategy: {id: 'fedbuff'},
                                            round: {mode: 'asynchronous', buffer, concurrency: 4, deadlineMs: 30000, maxRounds}});
  let serve = await site.serve(federation, {more: ['--once']});
  const {port, address} = serve;
  const daemons = [0, 1, 2, 3].map((i) => site.join(address, writers(i, 5, 40 + 20 * i), `d${i}`));
  for (const until of [2, 5, 8]) {
    await serve.event((event) => event.event === 'round' && event.round >= until);
    // In the middle of a buffer: some of it is committed, some is on its way.
    const seen = daemons[0].events.length;
    await daemons[0].event((event) => event.event === 'verdict' && event.verdict === 'counted', seen);
    assert.equal(await serve.kill('SIGKILL'), 'SIGKILL');
    serve = await site.serve(federation, {port, more: ['--once']});
    assert.ok(serve.events[0].round >= until, serve.describe());
  }
  const status = await serve.status();
  assert.equal(status.mode, 'asynchronous');
  assert.equal(typeof status.history[0].staleness, 'number');
  assert.equal(await serve.exit(), 0, serve.describe());
  const done = serve.events.find((event) => event.done);
  assert.equal(done.rounds, maxRounds);
  let counted = 0;
  for (const daemon of daemons) {
    assert.equal(await daemon.exit(), 0, daemon.describe());
    const person = done.participants.find((each) => each.device === device(daemon));
    // The last word to it may have been cut off, but it never believes more than was committed.
    assert.ok(believed(daemon) <= person.counted, `${believed(daemon)} of ${person.counted}: ${daemon.describe()}`);
    assert.ok(believed(daemon) > 0, daemon.describe());
    counted += person.counted;
  }
  // Beside the models' updates only those of the buffer that was open at the end.
  assert.ok(counted >= maxRounds * buffer && counted < (maxRounds + 1) * buffer, `${counted}`);
  assert.ok(done.accuracy > 0.5, serve.describe());
});

test('a participant killed while it trains costs its own update only, and is taken again', async (t) => {
  const site = new Site(t);
  const federation = site.file('fed.json', strokes({cohort: 3, minimum: 2, maxRounds: 400}));
  const serve = await site.serve(federation, {more: ['--expect', '3']});
  const daemons = [0, 1].map((i) => site.join(serve.address, writers(i, 5, 40), `d${i}`));
  let victim = site.join(serve.address, writers(2, 40, 60), 'victim');
  await victim.event((event) => event.event === 'verdict');
  await victim.event((event) => event.event === 'training', victim.events.length);
  assert.equal(await victim.kill('SIGKILL'), 'SIGKILL');
  const before = {device: device(victim), counted: believed(victim)};

  // The round closes without it.
  const without = await serve.event((event) => event.event === 'round' && event.counted === 2);
  victim = site.join(serve.address, writers(2, 40, 60), 'victim');
  const verdict = await victim.event((event) => event.event === 'verdict' && event.verdict === 'counted');
  assert.equal(device(victim), before.device);
  assert.ok(verdict.round > without.round);
  assert.ok(verdict.roundsCounted > before.counted);
  await serve.event((event) => event.event === 'round' && event.round >= verdict.round);
  const status = await serve.status();
  assert.equal(status.participants.length, 3);
  assert.equal(await serve.kill('SIGTERM'), 0, serve.describe());
  for (const daemon of daemons) assert.equal(daemon.over, undefined, daemon.describe());
});

test('two processes cannot be one device, nor two coordinators one state', async (t) => {
  const site = new Site(t);
  const federation = site.file('fed.json', strokes());
  const serve = await site.serve(federation);
  const second = site.start('serve', federation, '--listen', '127.0.0.1:0', '--state', site.path('serve'));
  assert.equal(await second.exit(), 3);
  assert.match(second.err, new RegExp(`^linnet serve: the state folder .* is in use by process ${serve.child.pid}: `));

  const daemon = site.join(serve.address, writers(0, 1, 5), 'twin');
  await daemon.event((event) => event.event === 'welcomed');
  const twin = site.join(serve.address, writers(0, 1, 5), 'twin');
  assert.equal(await twin.exit(), 3);
  assert.match(twin.err, /in use by process/);
});
