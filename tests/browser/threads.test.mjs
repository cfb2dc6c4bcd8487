// The engine with threads, on the page of `linnet serve`, whose headers isolate it.
import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {Fleet, launch, openPage, status, until} from './support.mjs';

const federation = {
  name: 'threads-test',
  model: {builtin: 'cnn-small'},
  round: {cohort: 1, minimum: 1, deadlineMs: 60000, maxRounds: 2},
};

let browser, fleet, coordinator, tab;
const problems = [];
before(async () => {
  browser = await launch();
  fleet = new Fleet();
  coordinator = await fleet.serve(federation, {expect: 1});
  tab = await openPage(await browser.newContext(), coordinator.url, problems);
});
after(async () => {
  await browser.close();
  await fleet.close();
});

test('a tab takes part with two threads', async () => {
  const seen = await tab.evaluate(async (url) => {
    const {join} = await import('./linnet.js');
    const words = (promise) => promise.then(() => 'no error', (error) => `${error.code}: ${error.message}`);
    const wrong = await words(join(url, {threads: 0}));
    const p = await join(url, {name: 'two threads', threads: 2, data: {kind: 'strokes', writer: 2000, perWriter: 64}});
    const verdicts = [];
    p.on('verdict', ({verdict}) => verdicts.push(verdict));
    await new Promise((done) => p.on('finished', done));
    const {variant, threads} = await p.describe();
    const {labels} = await p.infer(new Float32Array(784).fill(128));
    await p.leave();
    return {wrong, verdicts, variant, threads, labels: labels.length, isolated: crossOriginIsolated};
  }, coordinator.url);
  assert.deepEqual(seen, {
    wrong: 'invalid: found 0 threads, wanted 1 to 16',
    verdicts: ['counted', 'counted'], variant: 'threads', threads: 2, labels: 1, isolated: true,
  });
  await until('gone', async () => (await status(coordinator.url)).connected === 0);
  assert.deepEqual(problems, []);
});

test('the trained model has the same bits with one thread and with three', async () => {
  const [one, three] = await tab.evaluate(async () => {
    const {default: create} = await import('./engine/linnet-threads.mjs');
    const train = async (threads) => {
      const c = await create({threads});
      const place = (bytes) => {
        const at = c._malloc(bytes.length);
        new Uint8Array(c.wasmMemory.buffer).set(bytes, at);
        return at;
      };
      const text = (value) => place(new TextEncoder().encode(`${value}\0`));
      const images = 64, x = c._malloc(images * 784 * 4), y = c._malloc(images * 4), digest = c._malloc(32);
      const model = c._linnet_create_builtin_model(text('cnn-small'), 7n);
      c._linnet_set_model_pool(model, c._linnet_create_pool(threads));
      const results = [
        c._linnet_draw_strokes(1n, 2000, 0, images, x, y),
        c._linnet_train_model(model, text('{"learningRate": 0.05, "batchSize": 32, "momentum": 0.9}'), x, y, images, 0),
        c._linnet_model_digest(model, digest),
      ];
      return {results, digest: [...new Uint8Array(c.wasmMemory.buffer, digest, 32)]};
    };
    return [await train(1), await train(3)];
  });
  assert.deepEqual(one.results, [0, 0, 0]);
  assert.deepEqual(three, one);
});
