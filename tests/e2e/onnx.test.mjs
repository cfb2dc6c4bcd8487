// What `linnet model export` writes, ONNX Runtime runs with equal outputs; what it exports again after an import too.
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {test} from 'node:test';
import {program, root} from './support.mjs';

const cache = process.env.LINNET_CACHE ?? '';
const packages = join(cache, 'onnxruntime/node_modules');
const skip = cache !== '' && existsSync(packages) ? false : 'no onnxruntime-node in the cache (./dev test native puts it there)';
const folder = mkdtempSync(join(tmpdir(), 'linnet-onnx-'));
process.on('exit', () => rmSync(folder, {recursive: true, force: true}));
const file = (name) => join(folder, name);

const linnet = (...args) => {
  const {status, stdout, stderr} = spawnSync(program, args, {encoding: 'utf8'});
  assert.equal(status, 0, `linnet ${args.join(' ')}: ${stderr}`);
  return stdout;
};

const pixels = Uint8Array.from({length: 28 * 28}, (_, i) => (i * 37 + (i >> 3) * 11) % 256);

// The probabilities that ONNX Runtime's outputs mean.
async function probabilities(path) {
  const {InferenceSession, Tensor} = createRequire(join(packages, 'x.js'))('onnxruntime-node');
  const session = await InferenceSession.create(path);
  const x = Float32Array.from(pixels, (value) => value / 255);
  const {output} = await session.run({input: new Tensor('float32', x, [1, 28, 28, 1])});
  const most = Math.max(...output.data);
  const powers = Array.from(output.data, (logit) => Math.exp(logit - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

for (const name of ['softmax-regression', 'mlp-2nn', 'cnn-small']) {
  test(`ONNX Runtime computes ${name} as linnet infer does`, {skip}, async () => {
    writeFileSync(file('image.pgm'), Buffer.concat([Buffer.from('P5 28 28 255\n'), pixels]));
    linnet('model', 'export', name, '--output', file('first.onnx'));
    linnet('model', 'import', file('first.onnx'), '--layout', 'channels-last', '--output', file('model.linnet'));
    linnet('model', 'export', file('model.linnet'), '--output', file('second.onnx'));
    const own = JSON.parse(linnet('infer', file('model.linnet'), '--image', file('image.pgm'), '--json')).probabilities;
    for (const path of ['first.onnx', 'second.onnx']) {
      const theirs = await probabilities(file(path));
      assert.equal(theirs.length, own.length);
      theirs.forEach((value, i) => assert.ok(Math.abs(value - own[i]) < 1e-5, `${path}: ${value}, linnet ${own[i]}`));
    }
  });
}

// ---- Files of PyTorch

for (const name of ['mlp', 'cnn', 'group-norm', 'gru-bidirectional', 'attention', 'encoder-norm-first']) {
  test(`${name} of PyTorch is trained further, and ONNX Runtime computes what came of it`, {skip}, async () => {
    const pytorch = join(root, 'tests/native/pytorch');
    const {shape, x, y} = JSON.parse(readFileSync(join(pytorch, `${name}.json`), 'utf8'));
    linnet('model', 'import', join(pytorch, `${name}.onnx`), '--output', file('p.linnet'));
    const count = shape.reduce((a, b) => a * b), classes = y.length / 3;
    // The three examples, images with their channels last, and each with a class of its own.
    const last = (row) => shape.length < 3 ? row : row.map((_, i) => row[(i % shape[0]) * shape[1] * shape[2] + Math.floor(i / shape[0])]);
    const rows = [0, 1, 2].map((i) => last(x.slice(i * count, (i + 1) * count)));
    const lines = rows.map((row, i) => `${row.join(',')},${i % classes}`);
    writeFileSync(file('p.csv'), [`${rows[0].map((_, i) => `f${i}`).join(',')},kind`, ...Array.from({length: 30}, (_, i) => lines[i % 3])].join('\n'));
    writeFileSync(file('rows.csv'), rows.map((row) => row.join(',')).join('\n'));
    const source = `csv:${file('p.csv')}?label=kind`;
    linnet('train', file('p.linnet'), '--data', source, '--validate', source, '--scale', 'none', '--steps', '100', '--lr', '0.01', '--save', file('q.linnet'));
    linnet('model', 'export', file('q.linnet'), '--output', file('q.onnx'));
    const own = linnet('infer', file('q.linnet'), '--input', file('rows.csv'), '--top', '10', '--json').trim().split('\n').map((line) => JSON.parse(line));
    const {InferenceSession, Tensor} = createRequire(join(packages, 'x.js'))('onnxruntime-node');
    const session = await InferenceSession.create(file('q.onnx'));
    const dims = shape.length < 3 ? shape : [shape[1], shape[2], shape[0]];
    for (const [i, row] of rows.entries()) {
      const {output} = await session.run({input: new Tensor('float32', row, [1, ...dims])});
      const powers = Array.from(output.data, Math.exp), sum = powers.reduce((a, b) => a + b);
      for (const one of own[i].top) assert.ok(Math.abs(one.probability - powers[one.class] / sum) < 1e-5, `class ${one.class}: ${one.probability}`);
      assert.equal(own[i].class, i % classes, 'it has learnt');
    }
  });
}

// ---- In 8 bits

// Bars at ten angles in the format of MNIST.
function writeBars(at, images, prefix, seed) {
  let state = seed;
  const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
  const pixels = new Uint8Array(images * 784), labels = new Uint8Array(images);
  for (let i = 0; i < images; ++i) {
    const angle = ((i % 10) / 10 + (random() - 0.5) * 0.08) * Math.PI, shift = 6 * (random() - 0.5);
    labels[i] = i % 10;
    for (let p = 0; p < 784; ++p) {
      const x = (p % 28) - 13.5, y = Math.floor(p / 28) - 13.5;
      const off = Math.abs(x * Math.sin(angle) - y * Math.cos(angle) - shift);
      pixels[i * 784 + p] = Math.max(0, Math.min(255, 255 * (2 - off) + 120 * (random() - 0.4)));
    }
  }
  const head = (...values) => Buffer.concat(values.map((value) => { const b = Buffer.alloc(4); b.writeUInt32BE(value); return b; }));
  writeFileSync(join(at, `${prefix}-images-idx3-ubyte`), Buffer.concat([head(0x803, images, 28, 28), pixels]));
  writeFileSync(join(at, `${prefix}-labels-idx1-ubyte`), Buffer.concat([head(0x801, images), labels]));
  return {pixels, labels};
}

for (const [name, epochs] of [['mlp-2nn', 2], ['cnn-small', 1], ['dscnn-small', 8]]) {
  test(`ONNX Runtime computes ${name} in 8 bits as linnet infer does`, {skip}, async () => {
    writeBars(folder, 1500, 'train', 1);
    const {pixels, labels} = writeBars(folder, 400, 't10k', 2);
    const data = ['--data', `mnist:${folder}`];
    linnet('train', name, ...data, '--epochs', String(epochs), '--optimizer', 'adam', '--save', file('m.linnet'));
    linnet('model', 'quantize', file('m.linnet'), ...data, '--output', file('small.linnet'));
    linnet('model', 'export', file('small.linnet'), '--output', file('small.onnx'));
    linnet('model', 'export', file('m.linnet'), '--int8', ...data, '--output', file('once.onnx'));
    assert.ok(readFileSync(file('small.onnx')).equals(readFileSync(file('once.onnx'))), 'one step is two steps');

    const rows = Array.from(labels, (_, i) => Array.from(pixels.subarray(i * 784, (i + 1) * 784), (value) => Math.fround(value / 255)));
    writeFileSync(file('rows.csv'), rows.map((row) => row.join(',')).join('\n'));
    const own = linnet('infer', file('small.linnet'), '--input', file('rows.csv'), '--top', '10', '--json').trim().split('\n').map((line) => JSON.parse(line));
    const {InferenceSession, Tensor} = createRequire(join(packages, 'x.js'))('onnxruntime-node');
    // As the file says, and with the integer operators that ONNX Runtime puts in their place.
    for (const graphOptimizationLevel of ['disabled', 'all']) {
      const session = await InferenceSession.create(file('small.onnx'), {graphOptimizationLevel});
      let same = 0, correct = 0, ownCorrect = 0;
      const off = [];
      for (const [i, row] of rows.entries()) {
        const {output} = await session.run({input: new Tensor('float32', row, [1, 28, 28, 1])});
        const logits = Array.from(output.data), most = Math.max(...logits);
        const sum = logits.reduce((a, logit) => a + Math.exp(logit - most), 0);
        off.push(Math.max(...own[i].top.map((one) => Math.abs(one.probability - Math.exp(logits[one.class] - most) / sum))));
        const best = logits.indexOf(most);
        same += best === own[i].class;
        correct += best === labels[i];
        ownCorrect += own[i].class === labels[i];
      }
      const equal = off.filter((value) => value < 1e-5).length;
      const text = `${name}, optimizations ${graphOptimizationLevel}: ${equal} of 400 equal, the largest difference of a probability ${Math.max(...off)}, ` +
        `${same} of the same class; ${correct} and ${ownCorrect} correct`;
      // A value half way between two codes may fall to the other side.
      assert.ok(equal >= 0.9 * rows.length && Math.max(...off) < 0.05 && same >= rows.length - 2, text);
      assert.ok(Math.abs(correct - ownCorrect) <= 2 && ownCorrect > 0.9 * rows.length, text);
      if (process.env.LINNET_LONG) console.log(text);
    }
    // What comes back trains on in f32.
    linnet('model', 'import', file('small.onnx'), '--output', file('again.linnet'));
    const score = JSON.parse(linnet('eval', file('again.linnet'), ...data, '--json'));
    const whole = JSON.parse(linnet('eval', file('m.linnet'), ...data, '--json'));
    assert.ok(Math.abs(score.accuracy - whole.accuracy) < 0.02, `${score.accuracy} after an import, ${whole.accuracy} before`);
  });
}
