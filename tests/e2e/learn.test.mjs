// linnet train, eval, infer and bench: models without a federation.
//
// The last tests reach outside numbers on whole data sets and take minutes to an hour: they run when
// LINNET_LONG is set.
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {test} from 'node:test';
import {mnist, program, Process, withoutMnist} from './support.mjs';

const text = join(dirname(mnist), 'tinyshakespeare/input.txt');
const long = process.env.LINNET_LONG ? false : 'takes long: LINNET_LONG=1 runs it';
const withoutText = long || (existsSync(text) ? false : `no text in ${text} (LINNET_SHARED names another folder)`);

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'linnet-learn-'));
  t.after(() => rmSync(path, {recursive: true}));
  return path;
}

// One run to its end: exit code, JSON lines and text.
function run(args, input = '') {
  const {status, stdout, stderr} = spawnSync(program, args, {input, encoding: 'utf8', maxBuffer: 1 << 28});
  const events = stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  return {code: status, out: stdout, err: stderr, events};
}

// Two clouds of points.
function csv(path, rows, seed) {
  let state = seed;
  const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
  let out = 'a,b,c,kind\n';
  for (let i = 0; i < rows; ++i) {
    const kind = i % 2;
    out += `${kind * 2 + random()},${random()},${1 - kind + random()},${kind ? 'up' : 'down'}\n`;
  }
  writeFileSync(path, out);
}

test('a model is trained, kept, scored and asked', (t) => {
  const at = folder(t);
  const saved = join(at, 'digits.linnet');
  const trained = run(['train', 'mlp-256-128', '--data', 'strokes?writers=0-19', '--epochs', '4', '--save', saved, '--target', '0.8', '--json']);
  assert.equal(trained.code, 0, trained.err);
  const done = trained.events.at(-1);
  assert.ok(done.done && done.targetReached && done.bestAccuracy >= 0.8, trained.out);
  const score = run(['eval', saved, '--data', 'strokes?writers=500-504', '--json']);
  assert.equal(score.code, 0, score.err);
  assert.equal(score.events[0].examples, 500);
  assert.equal(score.events[0].confusion.flat().reduce((a, b) => a + b), 500);
  const further = run(['train', 'mlp-256-128', '--data', 'strokes?writers=0-19', '--epochs', '5', '--save', saved, '--resume', '--json']);
  assert.equal(further.code, 0, further.err);
  assert.ok(further.events[0].loss < trained.events[0].loss && further.events[0].step > done.steps, 'it goes on from the file');
  const enough = run(['train', 'mlp-256-128', '--data', 'strokes?writers=0-19', '--epochs', '5', '--save', saved, '--resume']);
  assert.match(enough.err, /has made \d+ steps, wanted fewer than the \d+ of --steps or --epochs/);
  const other = run(['train', 'mlp-256-128', '--data', 'strokes?writers=0-19', '--epochs', '9', '--batch', '7', '--save', saved, '--resume']);
  assert.match(other.err, /is of a training with batch 32, this one has 7/);
  const people = run(['train', 'softmax-regression', '--data', 'strokes?writers=0-9', '--epochs', '2', '--optimizer', 'sgd']);
  assert.match(people.out, /softmax-regression, 7850 parameters: 900 examples, validated on 100, sgd, rate 0.1/);
  assert.match(people.out, /step {6}58 {2}loss \d\.\d+ {2}validation \d\.\d+ {2}accuracy \d+\.\d+ %/);
});

test('rows come in by stdin and predictions go out, scaled as their training part', (t) => {
  const at = folder(t);
  const table = join(at, 't.csv'), saved = join(at, 'm.linnet');
  csv(table, 400, 1);
  const source = `csv:${table}?label=kind`;
  const trained = run(['train', 'mlp-256-128', '--data', source, '--epochs', '5', '--save', saved, '--json']);
  assert.equal(trained.code, 0, trained.err);
  assert.ok(trained.events.at(-1).bestAccuracy > 0.95, trained.out);
  const rows = 'a,b,c\n2.5,0.5,0.5\n\n0.5,0.5,1.5\n';
  const json = run(['infer', saved, '--input', '-', '--like', source, '--top', '2', '--json'], rows);
  assert.equal(json.code, 0, json.err);
  assert.deepEqual(json.events.map((event) => event.class), [1, 0]);  // up, down
  assert.equal(json.events[0].top.length, 2);
  const bad = run(['infer', saved, '--input', '-', '--like', source], 'a,b,c\n1,2\n');
  assert.equal(bad.code, 2);
  assert.match(bad.err, /stdin: line 2: 2 numbers, wanted 3 numbers separated by commas/);
});

test('an autoencoder learns rows without looking at their labels', (t) => {
  const at = folder(t);
  const table = join(at, 't.csv'), saved = join(at, 'a.linnet');
  csv(table, 400, 1);
  const source = `csv:${table}?label=kind`;
  const trained = run(['train', 'autoencoder:3-8-2-8-3', '--data', source, '--epochs', '40', '--lr', '0.01', '--save', saved, '--json']);
  assert.equal(trained.code, 0, trained.err);
  const done = trained.events.at(-1);
  assert.ok(done.bestLoss < 0.02, trained.out);  // the variance of a feature is about 0.1
  const rows = run(['infer', saved, '--input', '-', '--like', source, '--json'], '2.5,0.5,0.5\n2.5,0.5,2\n');
  assert.ok(rows.events[1].error > 3 * rows.events[0].error, rows.out);
});

// A text that repeats itself: to know where one stands is to know what comes.
test('models of symbols learn a text that repeats itself, and go on from a beginning', (t) => {
  const at = folder(t);
  const file = join(at, 't.txt');
  writeFileSync(file, 'the quick brown fox jumps over the lazy dog.\n'.repeat(200));
  for (const [model, bound] of [['gru-char', 0.5], ['transformer-tiny:2-2-32', 0.5]]) {
    const saved = join(at, `${model.split(':')[0]}.linnet`);
    const trained = run(['train', model, '--data', `text:${file}?context=32&step=7`, '--steps', '150', '--batch', '16', '--lr', '0.003',
      '--clip', '1', '--save', saved, '--json']);
      assert.equal(trained.code, 0, trained.err);
    assert.ok(trained.events.at(-1).bestLoss < bound, trained.out);
    const more = run(['infer', saved, '--text', 'the quick brown fox ', '--length', '10', '--temperature', '0', '--json']);
    assert.equal(more.code, 0, more.err);
    assert.equal(more.events[0].text, 'jumps over', more.out);
  }
});

test('a training that was stopped goes on to the same bits', (t) => {
  const at = folder(t);
  for (const optimizer of ['sgd', 'nesterov', 'adamw']) {
    const train = (name, steps, ...more) => {
      const saved = join(at, `${optimizer}-${name}.linnet`);
      const {code, err} = run(['train', 'dscnn-small', '--data', 'strokes?writers=0-4', '--optimizer', optimizer, '--schedule', 'cosine:steps=40,end=0.1,warmup=5',
        '--steps', `${steps}`, '--every', '12', '--save', saved, ...more]);
      assert.equal(code, 0, err);
      return [readFileSync(saved), readFileSync(`${saved}.state`)];
    };
    const whole = train('whole', 36);
    train('parts', 12);
    train('parts', 24, '--resume');
    const parts = train('parts', 36, '--resume');
    assert.ok(whole[0].equals(parts[0]), `${optimizer}: the best model`);
    assert.ok(whole[1].equals(parts[1]), `${optimizer}: the state`);
  }
});

test('the number of threads changes no bit of a model', (t) => {
  const at = folder(t);
  const files = [1, 3].map((threads) => {
    const saved = join(at, `${threads}.linnet`);
    const {code, err} = run(['train', 'dscnn-small', '--data', 'strokes?writers=0-4', '--steps', '20', '--threads', `${threads}`, '--save', saved]);
    assert.equal(code, 0, err);
    return readFileSync(saved);
  });
  assert.ok(files[0].equals(files[1]));
});

test('federations learn texts, and rows without labels', (t) => {
  const at = folder(t);
  const file = join(at, 't.txt'), table = join(at, 't.csv');
  writeFileSync(file, 'the quick brown fox jumps over the lazy dog.\n'.repeat(200));
  csv(table, 400, 1);
  for (const {model, train, data, above, below} of [
    {model: 'gru-char', train: {batchSize: 16, maxSteps: 15, clipNorm: 1, learningRate: 0.005}, data: `text:${file}?context=32&step=7`, above: 0.5, below: 2},
    {model: 'autoencoder:3-8-2-8-3', train: {batchSize: 10, learningRate: 0.01}, data: `csv:${table}?label=kind`, below: 0.03},
  ]) {
    const federation = join(at, 'f.json');
    writeFileSync(federation, JSON.stringify({name: 'f', model: {builtin: model}, train: {optimizer: 'adam', epochs: 4, ...train},
      strategy: {id: 'fedavg'}, round: {cohort: 4, minimum: 3, maxRounds: 8}, upload: {codec: 'f32'}}));
    const {code, err, out, events} = run(['simulate', federation, '--data', data, '--clients', '4', '--json']);
    assert.equal(code, 0, err);
    const done = events.at(-1);
    assert.ok(done.loss < below, out);
    if (above) assert.ok(done.accuracy > above, out);
    else assert.equal(done.accuracy, null, out);
    const people = run(['simulate', federation, '--data', data, '--clients', '4', '--rounds', '1']);
    assert.match(people.out, above ? /all rounds are done: accuracy \d/ : /all rounds are done: loss \d/);
  }
});

test('Ctrl-C keeps what has been learnt', async (t) => {
  const saved = join(folder(t), 'm.linnet');
  const train = new Process(['train', 'mlp-2nn', '--data', 'strokes?writers=0-19', '--epochs', '100000', '--every', '20', '--save', saved, '--json']);
  await train.event((event) => event.step >= 40);
  await train.kill('SIGINT');
  assert.equal(await train.exit(), 0, train.describe());
  const done = train.events.at(-1);
  assert.ok(done.done && done.interrupted, train.out);
  assert.equal(run(['eval', saved, '--data', 'strokes?writers=0-3', '--json']).code, 0);
});

test('what cannot work is said in one line', (t) => {
  const at = folder(t);
  const table = join(at, 't.csv');
  csv(table, 40, 1);
  const source = `csv:${table}?label=kind`;
  for (const [args, words] of [
    [['train', 'mlp', '--data', 'strokes'], /no builtin model is called mlp; there are mlp-2nn/],
    [['train', 'cnn-mnist', '--data', source], /cnn-mnist was asked to take \[3\], wanted \[height, width, channels\]/],
    [['train', 'gru-char', '--data', 'strokes?writers=0'], /gru-char was asked to take \[28, 28, 1\], wanted \[context\]/],
    [['train', 'autoencoder:4-2-4', '--data', source], /the first width is 4 and the last 4, wanted the 3 features/],
    [['train', 'autoencoder', '--data', source, '--target', '0.9'], /--target is an accuracy, autoencoder has none; --target-loss is wanted/],
    [['train', 'mlp-2nn', '--data', source, '--schedule', 'cosin'], /--schedule: found "cosin", wanted constant, step/],
    [['train', 'mlp-2nn', '--data', source, '--lr', '-1'], /the learning rate is -1/],
    [['train', 'mlp-2nn', '--data', source, '--resume'], /--resume wants --save/],
    [['train', 'mlp-2nn', '--data', source, '--optimizer', 'sgd', '--lr', '1e20', '--epochs', '100'], /not finite: a lower --lr/],
    [['train', 'mlp-2nn', '--data', `text:${table}.gone`], /t\.csv\.gone: No such file/],
    [['eval', table, '--data', source], /t\.csv: /],
    [['infer', 'm.linnet'], /one of --data SOURCE, --image FILE.pgm, --input FILE and --text TEXT is wanted, 0 were given/],
    [['bench', 'mpl'], /no builtin model is called mpl/],
  ]) {
    const {code, err} = run(args);
    assert.equal(code, 2, `${args}: ${err}`);
    assert.match(err, words);
    assert.equal(err.trim().split('\n').length, 1, err);
  }
});

test('bench times each model it is asked for', () => {
  const json = run(['bench', 'mlp-2nn', 'softmax-regression', '--seconds', '0.02', '--json']);
  assert.equal(json.code, 0, json.err);
  assert.deepEqual(json.events.map((event) => event.model), ['mlp-2nn', 'softmax-regression']);
  for (const event of json.events) assert.ok(event.trainStepSeconds > 0 && event.inferOneSeconds > 0, json.out);
  assert.match(run(['bench', 'mlp-2nn', '--seconds', '0.02']).out, /model +parameters +train step/);
});

// ---- Outside numbers

test('cnn-mnist reaches 99.2 % on MNIST', {skip: long || withoutMnist}, () => {
  const {events, err} = run(['train', 'cnn-mnist', '--data', `mnist:${mnist}`, '--optimizer', 'adam', '--lr', '0.001', '--batch', '64', '--epochs', '10',
    '--schedule', 'cosine:steps=9380,end=0.05', '--target', '0.992', '--json']);
  assert.ok(events.at(-1)?.targetReached, err + JSON.stringify(events));
});

// 4 layers, 4 heads, 128 wide, context 64, batch 12, 2000 steps: 1.88 in the README of karpathy/nanoGPT.
test('transformer-tiny reaches the loss of nanoGPT on a CPU', {skip: withoutText}, () => {
  const {events, err} = run(['train', 'transformer-tiny:4-4-128', '--data', `text:${text}?context=64&step=1`, '--validate', `text:${text}?context=64`,
    '--optimizer', 'adamw', '--lr', '0.001', '--beta2', '0.99', '--decay', '0.1', '--clip', '1', '--schedule', 'cosine:steps=2000,end=0.1,warmup=100',
    '--batch', '12', '--steps', '2000', '--every', '250', '--json']);
  assert.ok(events.at(-1)?.bestLoss <= 1.95, err + JSON.stringify(events));
});
