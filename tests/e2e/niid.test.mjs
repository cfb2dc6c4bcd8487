// MNIST on ten participants as NIID-Bench has it (Flower's baseline niid_bench): all ten in every round, ten local
// epochs, SGD with momentum. A cell ends when its bound is reached, the outside mean minus one point, within the
// benchmark's 50 rounds. LINNET_CELLS=iid:scaffold,dirichlet:fedavg picks some.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {mnist, Site, withoutMnist} from './support.mjs';

const skip = withoutMnist || (process.env.LINNET_LONG ? false : 'takes long: LINNET_LONG=1 runs it');
const cells = [
  {split: 'iid', strategy: 'fedavg', outside: 99.09},
  {split: 'iid', strategy: 'scaffold', outside: 99.06},
  {split: 'iid', strategy: 'fedprox', outside: 99.16},
  {split: 'iid', strategy: 'fednova', outside: 99.05},
  {split: 'dirichlet', strategy: 'fedavg', outside: 98.89},
  {split: 'dirichlet', strategy: 'scaffold', outside: 99.07},
  {split: 'dirichlet', strategy: 'fedprox', outside: 99.02},
  {split: 'dirichlet', strategy: 'fednova', outside: 98.03},
];
const picked = process.env.LINNET_CELLS?.split(',');

for (const {split, strategy, outside} of cells.filter((cell) => picked?.includes(`${cell.split}:${cell.strategy}`) ?? true)) {
  test(`${strategy} on MNIST, ${split}`, {skip}, async (t) => {
    const site = new Site(t);
    const bound = outside - 1;
    const federation = {
      name: 'niid',
      model: {builtin: 'lenet-niid'},
      train: {optimizer: 'momentum', learningRate: 0.01, momentum: 0.9, weightDecay: 1e-5, batchSize: 64, epochs: 10},
      data: {scale: 'standard', mean: [33.3285], deviation: [78.5655]},
      strategy: {id: strategy},
      round: {cohort: 10, minimum: 10, maxRounds: 50, target: {metric: 'accuracy', value: bound / 100}},
      upload: {codec: 'f32'},
    };
    const run = site.start('simulate', site.file('f.json', federation), '--data', `mnist:${mnist}`, '--clients', '10',
      '--partition', split === 'iid' ? 'iid' : 'dirichlet:0.5', '--seed', '1', '--json');
    const {code} = await run.ended;  // as long as it takes
    const done = run.events.at(-1);
    const best = 100 * Math.max(...run.events.filter((event) => event.round).map((event) => event.accuracy));
    console.log(`${strategy}, ${split}: outside number ${outside} %, bound ${bound.toFixed(2)} %, ` +
      `measured ${best.toFixed(2)} % in round ${done.rounds}, ${done.seconds.toFixed(0)} s`);
    assert.equal(code, 0, run.describe());
    assert.ok(best >= bound);
  });
}
