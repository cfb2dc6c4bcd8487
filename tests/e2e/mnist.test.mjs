// MNIST over real sockets.
import assert from 'node:assert/strict';
import {join} from 'node:path';
import {test} from 'node:test';
import {mnist, root, Site, withoutMnist} from './support.mjs';

test('eight daemons learn MNIST to 96 % within 40 rounds', {skip: withoutMnist}, async (t) => {
  const site = new Site(t);
  const serve = await site.serve(join(root, 'native/examples/mnist.json'), {
    more: ['--evaluate', `mnist:${mnist}`, '--expect', '8'],
  });
  // A hundredth of the data each, as in the paper's cohort of 10 of 100.
  for (let i = 0; i < 8; ++i) site.join(serve.address, `mnist:${mnist}`, `d${i}`, '--part', `${i}/20`);
  const reached = await serve.event((event) => event.done || (event.event === 'round' && event.accuracy >= 0.96));
  assert.ok(!reached.done && reached.round <= 40, JSON.stringify(reached));
  assert.equal(await serve.kill('SIGTERM'), 0);
});
