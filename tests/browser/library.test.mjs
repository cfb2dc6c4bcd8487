// @linnet/web as another page uses it: join, own training with promises, infer, cancel.
import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {Fleet, launch, openPage, status, until} from './support.mjs';

const federation = {
  name: 'library-test',
  model: {builtin: 'softmax-regression'},
  round: {cohort: 2, minimum: 2, deadlineMs: 20000, maxRounds: 6},
  evaluate: {federated: true},
  upload: {codec: 'f32'},
};

let browser, fleet;
before(async () => {
  browser = await launch();
  fleet = new Fleet();
});
after(async () => {
  await browser.close();
  await fleet.close();
});

test('a page trains with its own code, asynchronously, and its update moves the model', async () => {
  const coordinator = await fleet.serve(federation, {expect: 2});
  const problems = [];
  const tab = await openPage(await browser.newContext(), coordinator.url, problems);
  fleet.join(coordinator.port, 'daemon-1', 'strokes?writers=0-9');
  const seen = await tab.evaluate(async (url) => {
    const {join} = await import('./linnet.js');
    const seen = {settings: null, evaluated: 0, verdicts: [], finished: false, probabilities: 0, describe: null};
    const p = await join(url, {
      name: 'own code',
      own: {
        examples: 50,
        async train(parameters, settings) {
          seen.settings = settings;
          await new Promise((done) => setTimeout(done, 5));
          return {parameters: parameters.map((value) => value + 0.001), examples: 50, steps: 1, lossBefore: 2, lossAfter: 1};
        },
        async evaluate(parameters) {
          ++seen.evaluated;
          return {examples: 10, correct: 5, lossSum: 12.5, parameters};
        },
      },
    });
    p.on('verdict', ({verdict}) => seen.verdicts.push(verdict));
    await new Promise((done) => p.on('finished', done));
    seen.finished = true;
    const {probabilities, labels} = await p.infer(new Float32Array(784).fill(128));
    seen.probabilities = probabilities.reduce((a, b) => a + b, 0);
    seen.label = labels[0];
    seen.describe = await p.describe();
    await p.leave();
    seen.afterLeave = await p.describe().catch((error) => error.code);
    return seen;
  }, coordinator.url);
  assert.deepEqual(seen.verdicts, Array(6).fill('counted'));
  assert.equal(seen.settings.learningRate, 0.1);
  assert.equal(seen.settings.round, 6);
  assert.ok(seen.evaluated >= 5, `evaluated ${seen.evaluated} times`);
  assert.ok(Math.abs(seen.probabilities - 1) < 1e-4);
  assert.equal(seen.describe.examplesCounted, 300);
  assert.equal(seen.describe.model.name, 'softmax-regression');
  assert.equal(seen.afterLeave, 'state');
  assert.deepEqual(problems, []);
});

test('wrong options and an aborted signal reject with words that say what to do', async () => {
  const coordinator = await fleet.serve({...federation, name: 'errors'}, {state: 'errors'});
  const tab = await openPage(await browser.newContext(), coordinator.url);
  const found = await tab.evaluate(async (url) => {
    const {join, LocalEngine} = await import('./linnet.js');
    const words = (promise) => promise.then(() => 'no error', (error) => `${error.code ?? error.name}: ${error.message}`);
    const engine = new LocalEngine({assets: url});
    return {
      address: await words(join('ftp://example')),
      name: await words(join(url, {name: 'x'.repeat(65)})),
      labels: await words(join(url, {data: {kind: 'arrays', x: new Float32Array(4), y: new Int32Array([0, 7]), features: 2, classes: 2}})),
      shape: await words(join(url, {data: {kind: 'arrays', x: new Float32Array(5), y: new Int32Array(2), features: 2, classes: 2}})),
      aborted: await words(join(url, {signal: AbortSignal.abort()})),
      assets: await words(join(url, {assets: `${url}nowhere/`})),
      model: await words(engine.loadModel(new Uint8Array(100))),
      unread: await words(engine.infer(new Float32Array(784))),
    };
  }, coordinator.url);
  assert.match(found.address, /TypeError: found the address "ftp:\/\/example", wanted ws:\/\//);
  assert.match(found.name, /invalid: option name: .* 64 bytes/);
  assert.match(found.labels, /invalid: label 1 is 7, wanted 0 to 1/);
  assert.match(found.shape, /invalid: found 5 values, wanted 2 times 2/);
  assert.match(found.aborted, /AbortError|20/);
  assert.match(found.assets, /internal: the worker at .*nowhere\/ cannot be loaded/);
  assert.match(found.model, /^invalid: the model: it does not start as a \.linnet file does/);
  assert.match(found.unread, /state: no model is open/);
});

test('a participation that its signal ends has left the coordinator', async () => {
  const coordinator = await fleet.serve({...federation, name: 'abort'}, {state: 'abort'});
  const tab = await openPage(await browser.newContext(), coordinator.url);
  await tab.evaluate(async (url) => {
    const {join} = await import('./linnet.js');
    globalThis.controller = new AbortController();
    const p = await join(url, {name: 'brief', signal: globalThis.controller.signal});
    await new Promise((done) => p.on('welcomed', done));
  }, coordinator.url);
  await until('connected', async () => (await status(coordinator.url)).connected === 1);
  await tab.evaluate(() => globalThis.controller.abort());
  await until('gone', async () => (await status(coordinator.url)).connected === 0);
});
