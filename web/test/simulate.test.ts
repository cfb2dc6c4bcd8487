// Whole federations in the engine, strategies built in and as modules beside it.
import assert from 'node:assert/strict';
import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {test} from 'node:test';
import {pathToFileURL} from 'node:url';
import type {LogLine, SimulatedRound} from '../src/shared/types.ts';
import {Simulation} from '../src/worker/simulation.ts';
import {Engine, LinnetError} from '../src/worker/wasm.ts';
import type {CreateEngine} from '../src/worker/wasm.ts';
import {plainFolder, readPlugin} from './support.ts';

const file = join(plainFolder, 'simulate.mjs');
const skip = !existsSync(file) && `${file} is not built`;
const settings = (strategy = 'fedavg') => ({
  federation: {
    name: 'test', model: {builtin: 'softmax-regression'}, train: {learningRate: 0.1, batchSize: 10}, strategy: {id: strategy},
    round: {cohort: 4, minimum: 3, maxRounds: 3}, evaluate: {data: 'strokes?writers=1000-1001&per=50'},
  },
  participants: 6, data: 'strokes?writers=0-5&per=30', seed: 7,
});
async function create(options: object, plugins: Uint8Array<ArrayBuffer>[] = []): Promise<Simulation> {
  const {default: start} = (await import(pathToFileURL(file).href)) as {default: CreateEngine};
  return Simulation.create(await Engine.start(start), options, plugins, () => {});
}
async function run(options: object, plugins: Uint8Array<ArrayBuffer>[] = [], events = 7) {
  const simulation = await create(options, plugins);
  const told: (SimulatedRound | LogLine)[] = [];
  while (simulation.run(events)) told.push(...simulation.events());
  told.push(...simulation.events());
  const finished = simulation.finish();
  simulation.close();
  return {...finished, rounds: told.filter((one): one is SimulatedRound => 'round' in one)};
}

test('a federation learns, and its seed fixes its bits, however long the steps are', {skip}, async () => {
  const first = await run(settings()), again = await run(settings(), [], 1000);
  assert.deepEqual(first.rounds.map(({round}) => round), [1, 2, 3]);
  assert.ok((first.summary.accuracy ?? 0) > 0.5, `${first.summary.accuracy}`);
  assert.equal(first.summary.model, again.summary.model);
  assert.deepEqual(first.model, again.model);
  assert.notEqual((await run({...settings(), seed: 8})).summary.model, first.summary.model);
});

for (const name of ['fedavgm', 'median', 'fedadam']) {
  const plugin = readPlugin(name);
  test(`${name} as a module of its own gives the bits of the built-in one`, {skip: skip || (!plugin && `${name}.wasm is not built`)}, async () => {
    const built = await run(settings(name));
    // The same module under another name, of the same length.
    const other = `${name.slice(0, -1)}0`;
    const text = Buffer.from(plugin as Uint8Array).toString('latin1').replaceAll(`"${name}"`, `"${other}"`);
    const apart = await run(settings(other), [new Uint8Array(Buffer.from(text, 'latin1'))]);
    assert.equal(apart.summary.model, built.summary.model);
  });
}

test('what cannot work is an error with words', {skip}, async () => {
  const refused = (options: object, words: RegExp) => assert.rejects(create(options), (error: unknown) => error instanceof LinnetError && words.test(error.message));
  await refused({}, /options\.federation: wanted an object/);
  await refused({...settings(), participants: 0}, /options\.participants is 0, wanted .*1/);
  await refused(settings('median0'), /"median0" is not known, did you mean "median"/);
  await refused({...settings(), data: 'mnist:somewhere'}, /strokes/);
  await refused({federation: {...settings().federation, evaluate: {data: 'csv:x'}}}, /strokes/);
});
