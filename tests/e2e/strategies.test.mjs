// Strategies of a federation file in whole runs: robust rules, chains, and those with a side of their own at the
// participant.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {Site, strokes, writers} from './support.mjs';

const rows = [
  {strategy: {id: 'median'}, shown: 'median'},
  {strategy: {id: 'multi-krum'}, shown: 'multi-krum'},
  {strategy: {id: 'fedyogi', config: {serverLearningRate: 0.03}}, shown: 'fedyogi'},
  {strategy: {id: 'scaffold'}, shown: 'scaffold'},
  {strategy: {chain: [{clip: {norm: 5}}, {id: 'median'}, {id: 'fedavgm', config: {momentum: 0.5}}]}, shown: 'clip -> median -> fedavgm'},
];

for (const {strategy, shown} of rows) {
  test(`${shown}: a coordinator with four daemons, and a simulation`, async (t) => {
    const site = new Site(t);
    const federation = site.file('fed.json', {...strokes({cohort: 4, minimum: 4, maxRounds: 6}), strategy});
    const serve = await site.serve(federation, {more: ['--once']});
    const daemons = [0, 1, 2, 3].map((i) => site.join(serve.address, writers(i, 5, 40), `d${i}`));
    await serve.event((event) => event.event === 'round');
    assert.equal((await serve.status()).strategy, shown);
    assert.equal(await serve.exit(), 0, serve.describe());
    for (const daemon of daemons) assert.equal(await daemon.exit(), 0, daemon.describe());
    const accuracy = serve.events.filter((event) => event.event === 'round').map((event) => event.accuracy);
    assert.equal(accuracy.length, 6);
    assert.ok(accuracy.at(-1) > 0.3, `${accuracy}`);

    const simulate = site.start('simulate', federation, '--clients', '6', '--data', 'strokes?writers=0-11', '--rounds', '4', '--seed', '3');
    assert.equal(await simulate.exit(), 0, simulate.describe());
    assert.ok(simulate.out.includes(`, ${shown}, `), simulate.out);
  });
}

test('what is wrong with a strategy is said before anything listens', async (t) => {
  const site = new Site(t);
  const wrong = async (strategy, message) => {
    const federation = site.file('fed.json', {...strokes({cohort: 4, minimum: 4, maxRounds: 6}), strategy});
    for (const command of [['serve', federation, '--listen', '127.0.0.1:0', '--state', site.path('s')], ['simulate', federation, '--data', 'strokes?writers=0-3']]) {
      const started = site.start(...command);
      assert.equal(await started.exit(), 2, started.describe());
      assert.match(started.err, message);
    }
  };
  await wrong({id: 'medain'}, /did you mean "median"/);
  await wrong({id: 'median', chain: [{id: 'median'}]}, /strategy.chain: found beside strategy.id or strategy.config/);
  await wrong({chain: [{id: 'fedavg'}, {id: 'krum'}]}, /krum/);
  await wrong({id: 'feddyn', config: {alpha: 0}}, /alpha/);
});
