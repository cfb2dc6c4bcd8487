// What `linnet model export` writes, ONNX Runtime runs with equal outputs; what it exports again after an import too.
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {existsSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {test} from 'node:test';
import {program} from './support.mjs';

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
