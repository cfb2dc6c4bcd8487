import assert from 'node:assert/strict';
import {test} from 'node:test';
import {softmaxRows} from '../src/worker/softmax.ts';
import {LinnetError} from '../src/worker/wasm.ts';
import {startEngine, variants} from './support.ts';

const failure = (code: string, words: RegExp) => (error: unknown): boolean => {
  assert.ok(error instanceof LinnetError);
  assert.equal(error.code, code);
  assert.match(error.message, words);
  return true;
};

for (const variant of variants) {
  test(`${variant}: wrong arguments come back as errors with words, and the engine goes on`, async () => {
    const engine = await startEngine(variant);
    assert.throws(() => engine.builtinModel('mlp-2n', 1), failure('invalid', /mlp-2nn/));
    assert.throws(() => engine.loadModel(new Uint8Array(3)), failure('invalid', /./));
    assert.throws(() => engine.createSession({federation: 7}, null), failure('invalid', /option federation: found an? .*, wanted a text/));
    assert.throws(() => engine.createSession({}, new Uint8Array(20)), failure('invalid', /state/));
    const model = engine.builtinModel('softmax-regression', 1);
    assert.throws(() => model.infer(new Float32Array(785)), failure('invalid', /found 785 values, wanted a multiple of 784/));
    assert.throws(() => model.train({learningRat: 1}, new Float32Array(784), new Int32Array(1)), failure('invalid', /learningRate/));
    assert.throws(() => model.train({}, new Float32Array(784), new Int32Array([10])), failure('invalid', /y\[0\] is 10/));
    assert.equal(engine.builtinNames().includes('mlp-2nn'), true);
  });

  test(`${variant}: a convolutional model learns digits, and its bytes are the same model`, async () => {
    const engine = await startEngine(variant);
    const {x, y} = engine.drawStrokes(1, 3, 0, 300);
    assert.equal(x.length, 300 * 784);
    assert.ok(x.every((value) => value >= 0 && value <= 1));
    const model = engine.builtinModel('cnn-small', 1);
    const before = model.evaluate(x, y);
    const first = model.train({learningRate: 0.05, batchSize: 10}, x, y);
    for (let pass = 0; pass < 2; ++pass) model.train({learningRate: 0.05, batchSize: 10}, x, y);
    const after = model.evaluate(x, y);
    assert.ok(after.accuracy > 0.85 && after.accuracy > before.accuracy, `${before.accuracy} to ${after.accuracy}`);
    assert.ok(after.loss < first);
    const copy = engine.loadModel(model.save());
    assert.deepEqual(copy.digest(), model.digest());
    assert.deepEqual(copy.infer(x.subarray(0, 7840)), model.infer(x.subarray(0, 7840)));
    model.close();
    copy.close();
  });

  test(`${variant}: memory that grows between calls leaves no stale view behind`, async () => {
    const engine = await startEngine(variant);
    const model = engine.builtinModel('mlp-2nn', 1);
    const one = model.infer(new Float32Array(784).fill(0.5));
    const models = Array.from({length: 30}, (_, i) => engine.builtinModel('mlp-2nn', i));
    const many = model.infer(new Float32Array(784 * 4096).fill(0.5));
    assert.deepEqual(many.subarray(40950), many.subarray(0, 10));
    // A batch of one is another kernel: other bits, the same numbers.
    one.forEach((value, i) => assert.ok(Math.abs(value - (many[i] ?? NaN)) < 1e-4));
    for (const made of models) made.close();
  });
}

test('all variants read the same initial model: its bits do not depend on the build', async () => {
  const [plain, ...others] = await Promise.all(variants.map((variant) => startEngine(variant)));
  assert.ok(plain && others.length === 2);
  for (const other of others) {
    assert.deepEqual(plain.builtinModel('mlp-2nn', 7).digest(), other.builtinModel('mlp-2nn', 7).digest());
    assert.deepEqual(plain.drawStrokes(1, 2000, 0, 20), other.drawStrokes(1, 2000, 0, 20));
  }
});

test('a session asks to be stored and connected, and is the same device after a restart', async () => {
  const engine = await startEngine('relaxed');
  const session = engine.createSession({name: 'node'}, null);
  session.setStrokes(1, 2000, 2000, 40);
  session.start(0);
  const actions = [];
  for (let action = session.nextAction(); action; action = session.nextAction()) actions.push(action);
  assert.deepEqual(actions.map((action) => action.kind), ['persist', 'notice', 'connect']);
  const [persist] = actions;
  assert.ok(persist?.kind === 'persist');
  const again = engine.createSession({}, persist.state);
  assert.equal(again.describe().device, session.describe().device);
  assert.equal(session.describe().heldOut, 4);
  session.close();
  session.close();
  assert.ok(session.closed);
});

test('probabilities sum to one, also for huge logits', () => {
  const {probabilities, labels} = softmaxRows(Float32Array.of(1000, 1001, 999, -3, -3, -3), 3);
  assert.deepEqual(labels, [1, 0]);
  assert.ok(Math.abs(probabilities.subarray(0, 3).reduce((a, b) => a + b) - 1) < 1e-6);
  assert.ok(Math.abs((probabilities[4] ?? 0) - 1 / 3) < 1e-6);
});

test('threads change no bit of what is trained and read', async () => {
  const results = await Promise.all([1, 2, 3].map(async (threads) => {
    const engine = await startEngine('threads', threads);
    assert.equal(engine.threads, threads);
    const {x, y} = engine.drawStrokes(1, 2000, 0, 64);
    return ['cnn-small', 'mlp-2nn'].map((name) => {
      const model = engine.builtinModel(name, 7);
      const loss = model.train({learningRate: 0.05, batchSize: 32, momentum: 0.9}, x, y);
      return {loss, digest: model.digest(), logits: model.infer(x)};
    });
  }));
  assert.deepEqual(results[1], results[0]);
  assert.deepEqual(results[2], results[0]);
});

test('an engine without threads has one, whatever is asked', async () => {
  assert.equal((await startEngine('relaxed', 4)).threads, 1);
});
