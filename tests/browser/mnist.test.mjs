// MNIST in one federation of eight daemons and two tabs: a tab is closed and a daemon killed in mid-round, both return.
import assert from 'node:assert/strict';
import {existsSync, readFileSync} from 'node:fs';
import {join, resolve} from 'node:path';
import {after, before, test} from 'node:test';
import {gunzipSync} from 'node:zlib';
import {Fleet, launch, openPage, root, status, until} from './support.mjs';

const mnist = join(process.env.LINNET_SHARED ?? resolve(root, '../shared'), 'data/mnist');
const skip = existsSync(mnist) ? false : `${mnist} is not there: a federation of daemons and tabs would be trained on it`;
const federation = {
  name: 'mnist-tabs',
  model: {builtin: 'mlp-2nn'},
  train: {learningRate: 0.1, batchSize: 10, epochs: 1},
  round: {cohort: 10, minimum: 8, deadlineMs: 30000, maxRounds: 60, target: {metric: 'accuracy', value: 0.96}},
  evaluate: {data: `mnist:${mnist}`},
  upload: {codec: 'eden', bits: 1},
};

// Every twentieth image from `first` on, as base64 of its bytes.
function part(first) {
  const images = gunzipSync(readFileSync(join(mnist, 'train-images-idx3-ubyte.gz'))).subarray(16);
  const labels = gunzipSync(readFileSync(join(mnist, 'train-labels-idx1-ubyte.gz'))).subarray(8);
  const x = Buffer.alloc(3000 * 784), y = Buffer.alloc(3000);
  for (let i = 0; i < 3000; ++i) {
    images.copy(x, i * 784, (20 * i + first) * 784, (20 * i + first + 1) * 784);
    y[i] = labels[20 * i + first];
  }
  return {x: x.toString('base64'), y: y.toString('base64')};
}

// Joins with arrays of the page's own, in the page.
async function joinWith(tab, url, name, data) {
  await tab.evaluate(async ({url, name, data}) => {
    const {join} = await import('./linnet.js');
    const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    window.verdicts = [];
    window.taking = await join(url, {
      name,
      data: {kind: 'arrays', x: Float32Array.from(bytes(data.x)), y: Int32Array.from(bytes(data.y)), features: 784, classes: 10, max: 255},
    });
    window.taking.on('verdict', ({verdict}) => window.verdicts.push(verdict));
    window.taking.on('training', () => { window.training = true; });
  }, {url, name, data});
}

let browser, fleet;
before(async () => {
  browser = await launch();
  fleet = new Fleet();
});
after(async () => {
  await browser.close();
  await fleet.close();
});

test('eight daemons and two tabs reach 96 % within 40 rounds, though one of each goes and returns', {skip}, async () => {
  const coordinator = await fleet.serve(federation, {expect: 10});
  const daemon = (i) => fleet.join(coordinator.port, `daemon-${i}`, `mnist:${mnist}`, '--part', `${i}/20`);
  const daemons = Array.from({length: 8}, (_, i) => daemon(i));
  const contexts = [await browser.newContext(), await browser.newContext()];
  const data = [part(8), part(9)];
  const tabs = await Promise.all(contexts.map((context) => openPage(context, coordinator.url)));
  await Promise.all(tabs.map((tab, i) => joinWith(tab, coordinator.url, `tab-${i}`, data[i])));

  await until('a round is closed', async () => (await status(coordinator.url)).round >= 1);
  await tabs[0].evaluate(() => { window.training = false; });
  await until('the tab trains', () => tabs[0].evaluate(() => window.training));
  await tabs[0].close();
  daemons[0].kill('SIGKILL');
  await daemons[0].ended;
  const round = (await status(coordinator.url)).round;
  daemon(0);
  const again = await openPage(contexts[0], coordinator.url);
  await joinWith(again, coordinator.url, 'tab-0', data[0]);

  const now = await until('the target is reached', async () => {
    const found = await status(coordinator.url);
    return found.finished && found;
  }, 240000);
  assert.ok(now.round <= 40, `${now.round} rounds`);
  assert.ok(now.history.at(-1).accuracy >= 0.96);
  assert.ok(now.history.every((one) => one.counted >= 8), JSON.stringify(now.history.map((one) => one.counted)));
  assert.equal(now.participants.length, 10, 'those who returned are the same devices');
  for (const person of now.participants) assert.ok(person.counted > 0, `${person.name} was never counted`);
  assert.ok(now.round > round + 1, 'rounds went on');
  assert.ok(now.history.slice(round).some((one) => one.counted === 10), 'both were taken again');
  assert.ok((await tabs[1].evaluate(() => window.verdicts)).filter((verdict) => verdict === 'counted').length >= now.round - 2);
});
