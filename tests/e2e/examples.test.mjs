// Each example file runs, as its README says.
import assert from 'node:assert/strict';
import {readdirSync} from 'node:fs';
import {join} from 'node:path';
import {test} from 'node:test';
import {mnist, root, Site, withoutMnist} from './support.mjs';

const folder = join(root, 'native/examples');
const csv = `csv:${join(folder, 'birds.csv')}?label=species&test=${join(folder, 'birds-test.csv')}`;

// How each is run; a file without a row fails the test.
const rows = {
  'demo.json': {data: 'strokes?writers=0-79&per=60', clients: 8, above: 0.5},
  'strokes.json': {data: 'strokes?writers=0-39', clients: 8, above: 0.5},
  'fedavgm.json': {data: 'strokes?writers=0-39', clients: 8, above: 0.5},
  'fedadam.json': {data: 'strokes?writers=0-39', clients: 8, above: 0.3},
  'fedbuff.json': {data: 'strokes?writers=0-39', clients: 8, rounds: 6, above: 0.5},
  'cnn.json': {data: 'strokes?writers=0-7&per=20', clients: 8, rounds: 1, above: 0.1},
  'ditto.json': {data: 'strokes?writers=0-39&per=40', clients: 8, partition: 'shards:2', above: 0.7},
  'fedrep.json': {data: 'strokes?writers=0-39&per=40', clients: 8, partition: 'shards:2', above: 0.7},
  'csv.json': {data: csv, clients: 4, above: 0.5},
  'mnist.json': {data: `mnist:${mnist}`, clients: 100, above: 0.7, skip: withoutMnist},
  'mnist-noniid.json': {data: `mnist:${mnist}`, clients: 100, partition: 'shards:2', above: 0.15, skip: withoutMnist},
};

for (const name of readdirSync(folder).filter((each) => each.endsWith('.json'))) {
  const row = rows[name];
  test(`${name} runs and learns`, {skip: row?.skip}, async (t) => {
    assert.ok(row, `${name} has no row in this test`);
    const site = new Site(t);
    const rounds = row.rounds ?? 3;
    const run = site.start('simulate', join(folder, name), '--data', row.data, '--clients', `${row.clients}`,
      '--partition', row.partition ?? 'iid', '--rounds', `${rounds}`, '--seed', '1', '--json');
    assert.ok([0, 1].includes(await run.exit()), run.describe());
    const done = run.events.at(-1);
    assert.equal(done.done, true);
    assert.equal(run.events.length - 1, done.rounds);
    assert.ok(done.accuracy > row.above, run.describe());
    for (const round of run.events.slice(0, -1)) {
      for (const key of ['round', 'accuracy', 'loss', 'uplinkBytes', 'downlinkBytes', 'seconds']) {
        assert.equal(typeof round[key], 'number', `${key} in ${JSON.stringify(round)}`);
      }
    }
  });
}

test('the same seed gives the same bits whatever the thread count, another seed others', async (t) => {
  const site = new Site(t);
  const models = [];
  for (const [seed, threads] of [[1, 1], [1, 2], [1, 5], [2, 1]]) {
    const run = site.start('simulate', join(folder, 'strokes.json'), '--data', 'strokes?writers=0-19&per=20', '--clients', '10',
      '--rounds', '2', '--seed', `${seed}`, '--threads', `${threads}`, '--drop', '0.02', '--delay', '50', '--json');
    assert.equal(await run.exit(), 1, run.describe());
    models.push(run.events.at(-1).model);
  }
  assert.equal(models[1], models[0]);
  assert.equal(models[2], models[0]);
  assert.notEqual(models[3], models[0]);
});
