// A federation of processes from its first line to its last.
import assert from 'node:assert/strict';
import {mkdirSync} from 'node:fs';
import {test} from 'node:test';
import {Site, strokes, writers} from './support.mjs';

test('a coordinator and eight daemons reach the target and all end well', async (t) => {
  const site = new Site(t);
  const federation = site.file('fed.json', strokes({cohort: 8, minimum: 6, target: {metric: 'accuracy', value: 0.93}}));
  const serve = await site.serve(federation, {more: ['--once', '--expect', '8', '--save', site.path('best.linnet')]});
  const daemons = Array.from({length: 8}, (_, i) => site.join(serve.address, writers(i), `d${i}`));
  assert.equal(await serve.exit(), 0, serve.describe());
  const done = serve.events.find((event) => event.done);
  assert.ok(done.targetReached && done.accuracy >= 0.93, JSON.stringify(done));
  assert.equal(done.participants.length, 8);
  const rounds = serve.events.filter((event) => event.event === 'round');
  assert.deepEqual(rounds.map((each) => each.round), rounds.map((_, i) => i + 1));
  assert.ok(rounds.every((each) => each.counted === 8));

  for (const [i, daemon] of daemons.entries()) {
    assert.equal(await daemon.exit(), 0, daemon.describe());
    const device = daemon.events.find((event) => event.event === 'device').device;
    const person = done.participants.find((each) => each.device === device);
    assert.equal(person.name, `d${i}`);
    assert.equal(person.counted, rounds.length);
    const verdicts = daemon.events.filter((event) => event.event === 'verdict' && event.verdict === 'counted');
    assert.equal(verdicts.length, rounds.length);
    // One bit per weight: 25.5 kB an update and some words.
    assert.ok(person.uplinkBytes < rounds.length * 27000 + 2000, `${person.uplinkBytes} bytes up`);
  }

  const infer = site.start('infer', site.path('best.linnet'), '--data', 'strokes?writers=1000-1019&per=30', '--json');
  assert.equal(await infer.exit(), 0, infer.describe());
  assert.ok(infer.events.at(-1).accuracy >= 0.93);
});

test('a target out of reach ends with 1 after the last round', async (t) => {
  const site = new Site(t);
  const federation = site.file('fed.json', strokes({maxRounds: 2, target: {metric: 'accuracy', value: 0.9999}}));
  const serve = await site.serve(federation, {more: ['--once', '--expect', '2']});
  const daemons = [0, 1].map((i) => site.join(serve.address, writers(i, 2, 20), `d${i}`));
  assert.equal(await serve.exit(), 1, serve.describe());
  const done = serve.events.find((event) => event.done);
  assert.equal(done.rounds, 2);
  assert.equal(done.targetReached, false);
  for (const daemon of daemons) assert.equal(await daemon.exit(), 0);
});

test('a finished federation keeps serving its model, and goes on when it is given more rounds', async (t) => {
  const site = new Site(t);
  const federation = site.file('fed.json', strokes({maxRounds: 2}));
  let serve = await site.serve(federation, {more: ['--expect', '2']});
  const first = [0, 1].map((i) => site.join(serve.address, writers(i, 2, 20), `d${i}`, '--once'));
  await serve.event((event) => event.done);
  for (const daemon of first) assert.equal(await daemon.exit(), 0, daemon.describe());

  const status = await serve.status();
  assert.equal(status.phase, 'finished');
  assert.equal(status.round, 2);
  const model = await fetch(`${serve.http}/v1/models/${status.model}`);
  assert.equal((await model.arrayBuffer()).byteLength, status.modelBytes);
  const shown = site.start('status', serve.address.replace('ws://', ''));
  assert.equal(await shown.exit(), 0, shown.describe());
  assert.match(shown.out, /strokes: finished, round 2 of 2/);
  const infer = site.start('infer', serve.http, '--data', 'strokes?writers=1000-1001&per=5', '--rows', '3', '--json');
  assert.equal(await infer.exit(), 0, infer.describe());
  assert.equal(infer.events.length, 4);

  assert.equal(await serve.kill('SIGTERM'), 0, serve.describe());
  site.file('fed.json', strokes({maxRounds: 4}));
  serve = await site.serve(federation, {more: ['--once']});
  for (const i of [0, 1]) site.join(serve.address, writers(i, 2, 20), `d${i}`);
  assert.equal(await serve.exit(), 0, serve.describe());
  assert.deepEqual(serve.events.filter((event) => event.event === 'round').map((each) => each.round), [3, 4]);
});

test('SIGTERM says bye: daemons wait for the coordinator to come back, and leave politely themselves', async (t) => {
  const site = new Site(t);
  const federation = site.file('fed.json', strokes({maxRounds: 1000, minimum: 2}));
  const serve = await site.serve(federation);
  const daemons = [0, 1].map((i) => site.join(serve.address, writers(i, 2, 20), `d${i}`));
  await serve.event((event) => event.event === 'round' && event.round === 2);
  assert.equal(await serve.kill('SIGINT'), 0, serve.describe());
  for (const daemon of daemons) {
    const again = await daemon.event((event) => event.event === 'connecting' && event.delayMs > 0);
    assert.match(again.text, /trying again in/);
    assert.equal(await daemon.kill('SIGTERM'), 0, daemon.describe());
  }
});

test('without central data the participants judge the model on what they held out', async (t) => {
  const site = new Site(t);
  const federation = site.file('fed.json', strokes({maxRounds: 3, minimum: 3}, {evaluate: {}}));
  const serve = await site.serve(federation, {more: ['--once', '--expect', '3']});
  for (const i of [0, 1, 2]) site.join(serve.address, writers(i, 5, 40), `d${i}`);
  assert.equal(await serve.exit(), 0, serve.describe());
  for (const round of serve.events.filter((event) => event.event === 'round')) {
    assert.ok(round.accuracy > 0.15 && round.accuracy <= 1, JSON.stringify(round));
  }
});

test('the page and its files come with what a threaded page needs, and nothing else comes', async (t) => {
  const site = new Site(t);
  site.file('secret', 'not for the web');
  mkdirSync(site.path('web'));
  site.file('web/index.html', '<!doctype html><title>Linnet</title>');
  const serve = await site.serve(site.file('fed.json', strokes()), {more: ['--web', site.path('web')]});
  assert.equal(serve.events[0].page, `${serve.http}/`);
  const page = await fetch(serve.http);
  assert.match(await page.text(), /<title>Linnet<\/title>/);
  assert.equal(page.headers.get('cross-origin-opener-policy'), 'same-origin');
  assert.equal(page.headers.get('cross-origin-embedder-policy'), 'require-corp');
  assert.equal((await fetch(serve.http, {headers: {'if-none-match': page.headers.get('etag')}})).status, 304);
  for (const path of ['/%2e%2e/secret', '/..%2fsecret', '/nothing']) assert.equal((await fetch(serve.http + path)).status, 404, path);
  assert.equal((await fetch(`${serve.http}/v1/status`, {method: 'POST', body: 'x'})).status, 405);
});

test('a warm start begins with the weights it was given, and only then', async (t) => {
  const site = new Site(t);
  const federation = site.file('fed.json', strokes({maxRounds: 2}));
  const learned = site.start('simulate', federation, '--data', 'strokes?writers=0-19', '--clients', '4', '--save', site.path('warm.linnet'), '--json');
  assert.equal(await learned.exit(), 0, learned.describe());
  const serve = await site.serve(federation, {more: ['--init', site.path('warm.linnet'), '--expect', '2', '--once']});
  const judged = site.start('infer', serve.http, '--data', 'strokes?writers=1000-1019&per=30', '--json');
  assert.equal(await judged.exit(), 0, judged.describe());
  const best = Math.max(...learned.events.filter((event) => event.round).map((event) => event.accuracy));
  assert.ok(Math.abs(judged.events[0].accuracy - best) < 1e-9, judged.describe());
  for (const i of [0, 1]) site.join(serve.address, writers(i, 2, 20), `d${i}`);
  assert.equal(await serve.exit(), 0, serve.describe());
  const again = site.start('serve', federation, '--listen', '127.0.0.1:0', '--state', site.path('serve'), '--init', site.path('warm.linnet'));
  assert.equal(await again.exit(), 2);
  assert.match(again.err, /holds round 2 already/);
});
