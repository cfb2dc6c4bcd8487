// What making models smaller costs on all of MNIST: `linnet model quantize`, `prune` and `distill`
// after a training of some epochs. Takes minutes: runs when LINNET_LONG is set.
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, before, describe, test} from 'node:test';
import {mnist, program, withoutMnist} from './support.mjs';

const skip = (process.env.LINNET_LONG ? false : 'takes long: LINNET_LONG=1 runs it') || withoutMnist;
const data = ['--data', `mnist:${mnist}`, '--json'];

// The last line of what it printed.
function linnet(...args) {
  const {status, stdout, stderr} = spawnSync(program, [...args, ...data], {encoding: 'utf8', maxBuffer: 1 << 28});
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

const lost = (before, after) => 100 * (before.accuracy - after.accuracy);

describe('smaller models on MNIST', {skip}, () => {
  let at, cnn, mlp;
  before(() => {
    at = mkdtempSync(join(tmpdir(), 'linnet-compress-'));
    [cnn, mlp] = [['cnn-mnist', 2], ['mlp-2nn', 6]].map(([model, epochs]) => {
      const file = join(at, `${model}.linnet`);
      linnet('train', model, '--optimizer', 'adam', '--lr', '0.001', '--batch', '64', '--epochs', String(epochs),
        '--schedule', `cosine:steps=${938 * epochs},end=0.05`, '--save', file);
      return file;
    });
  });
  after(() => rmSync(at, {recursive: true}));

  test('cnn-mnist loses at most 0.3 points in 8 bits and 1 point with weights of 4 bits', () => {
    for (const [bits, most] of [[8, 0.3], [4, 1]]) {
      const {before, after} = linnet('model', 'quantize', cnn, '--bits', String(bits));
      assert.ok(before.accuracy > 0.985, `the model is poor: ${before.accuracy}`);
      assert.ok(lost(before, after) <= most, `${bits} bits lose ${lost(before, after)} points`);
      assert.ok(after.fileBytes < before.fileBytes * (bits + 0.6) / 32, `${bits} bits: ${after.fileBytes} bytes`);
    }
  });

  test('mlp-2nn loses at most 0.5 points with 80 % of its weights zero', () => {
    const {sparsity, before, after} = linnet('model', 'prune', mlp, '--sparsity', '0.8', '--epochs', '3');
    assert.ok(Math.abs(sparsity - 0.8) < 1e-3, `sparsity ${sparsity}`);
    assert.ok(before.accuracy > 0.975, `the model is poor: ${before.accuracy}`);
    assert.ok(lost(before, after) <= 0.5, `${lost(before, after)} points lost`);
  });

  test('dscnn-small comes within 0.7 points of its teacher cnn-mnist at a tenth of the compute', () => {
    const {teacher, student, teacherFlops, studentFlops} = linnet('model', 'distill', cnn, '--student', 'dscnn-small', '--epochs', '4');
    assert.ok(teacherFlops >= 10 * studentFlops, `${teacherFlops} and ${studentFlops} operations`);
    assert.ok(lost(teacher, student) <= 0.7, `${lost(teacher, student)} points below its teacher`);
  });
});
