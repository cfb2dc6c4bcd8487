// linnet plugin, the sandbox, and plugins that do what no plugin may.
import assert from 'node:assert/strict';
import {execFileSync, spawnSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, test} from 'node:test';
import {plugins, program, root} from './support.mjs';

const folder = mkdtempSync(join(tmpdir(), 'linnet-plugin-'));
after(() => rmSync(folder, {recursive: true, force: true}));
const run = (...args) => spawnSync(program, args, {encoding: 'utf8', timeout: 120_000, cwd: folder, maxBuffer: 1 << 26});
const objects = (text) => text.trim().split('\n').map((line) => JSON.parse(line));
const ids = ['fedavg', 'fedavgm', 'fedadagrad', 'fedadam', 'fedyogi', 'fedprox', 'fednova', 'scaffold', 'feddyn',
             'qfedavg', 'fedbuff', 'median', 'trimmed-mean', 'krum', 'multi-krum', 'bulyan', 'geometric-median',
             'centered-clipping', 'norm-clip'];

test('list shows every strategy with its mode and settings', () => {
  const {status, stdout} = run('plugin', 'list', '--json');
  assert.equal(status, 0);
  const found = objects(stdout);
  assert.deepEqual(found.map(({id}) => id), ids);
  assert.equal(found.find(({id}) => id === 'krum').mode, 'block');
  assert.equal(found.find(({id}) => id === 'fedbuff').mode, 'stream, asynchronous');
  assert.match(run('plugin', 'list').stdout, /momentum {2}0 to 0\.9999 {2}default 0\.9/);
});

for (const id of ids) {
  test(`${id} keeps the ABI as .so and as .wasm, with the same bits`, {skip: !existsSync(join(plugins, `${id}.wasm`))}, () => {
    const {status, stdout, stderr} = run('plugin', 'check', id, join(plugins, `${id}.so`), '--json');
    const rows = objects(stdout);
    assert.deepEqual(rows.filter(({outcome}) => outcome === 'failed'), [], stderr);
    assert.equal(status, 0, stderr);
    assert.deepEqual(rows.filter(({rule}) => rule?.startsWith('the same bits')).map(({form}) => form), ['native', 'WASM']);
  });
}

test('check names what is wrong with its arguments', () => {
  for (const [args, message] of [[['no-such'], /no file and no built-in strategy "no-such"/],
                                 [['fedavgm', '--config', '{"momentum":2}'], /config\.momentum is 2, wanted .*0\.9999/]]) {
    const {status, stderr} = run('plugin', 'check', ...args);
    assert.equal(status, 2);
    assert.match(stderr, message);
  }
});

test('bench compares with memory and with fedavg', () => {
  const {status, stdout, stderr} = run('plugin', 'bench', 'fedadam', '--updates', '4', '--elements', '65536', '--json');
  assert.equal(status, 0, stderr);
  assert.deepEqual(objects(stdout).map(({name}) => name), ['reading memory', 'fedavg, built in', 'fedadam, built in']);
});

// The commands of plugins/README.md, as they stand there.
test('a strategy is written in ten minutes', {timeout: 300_000}, () => {
  const text = readFileSync(join(root, 'plugins/README.md'), 'utf8');
  const section = text.slice(text.indexOf('## Write a strategy in ten minutes'));
  const commands = section.match(/(?<=\n {4})linnet .*|(?<=\n {4})cmake .*/g);
  assert.ok(commands.length >= 4, `found ${commands.length} commands`);
  writeFileSync(join(folder, 'linnet'), `#!/bin/sh\nexec "${program}" "$@"\n`, {mode: 0o755});
  for (const command of commands) {
    if (command.includes('emcmake')) continue;
    const {status, stdout, stderr} = spawnSync('sh', ['-c', command],
      {cwd: folder, encoding: 'utf8', env: {...process.env, PATH: `${folder}:${process.env.PATH}`}, timeout: 200_000});
    assert.equal(status, 0, `${command}\n${stdout}\n${stderr}`);
  }
});

test('new refuses bad names and folders that are not empty', () => {
  assert.match(run('plugin', 'new', 'Bad Name').stderr, /wanted 1 to 48 lower-case letters/);
  writeFileSync(join(folder, 'file'), '');
  assert.match(run('plugin', 'new', 'mine', '--folder', folder).stderr, /is there already and not empty/);
});

// ---- Strangers' code

const compiler = ['clang-19', 'clang'].find((name) => spawnSync(name, ['--version']).status === 0);
const build = (misdeed) => {
  const file = join(folder, `${misdeed}.wasm`.toLowerCase());
  execFileSync(compiler, ['--target=wasm32', '-std=c11', '-ffreestanding', '-nostdlib', '-O1', `-DMISDEED=${misdeed}`, `-I${root}/core/include`,
                          '-Wl,--no-entry', '-Wl,--stack-first', '-Wl,-z,stack-size=65536', join(root, 'tests/abi/hostile.c'), '-o', file]);
  return file;
};
const hostile = [
  ['LOOP', 1, /did not answer within 300 ms and was killed/],
  ['RECURSION', 1, /trapped: (memory access out of bounds|Maximum call stack)/],
  ['OUTSIDE', 1, /trapped: memory access out of bounds/],
  ['LENGTH', 2, /description of strategy 0 has 4294967280 bytes/],
  ['IMPORT', 2, /asks for env\.open \(function\), which no plugin gets/],
  ['BLOB', 1, /blob_size answered 18446744073709551615 bytes/],
  ['METRICS', 1, /metrics are no flat object of numbers/],
  ['LATE_BUFFER', 2, /the plugin named bytes 4294901760/],
];
for (const [misdeed, code, message] of hostile) {
  test(`${misdeed} is contained`, {skip: !compiler}, () => {
    const {status, stdout, stderr, error} = run('plugin', 'check', build(misdeed), '--deadline-ms', '300', '--json');
    assert.equal(error, undefined);
    assert.match(stdout + stderr, message);
    assert.equal(status, code, stdout + stderr);
  });
}

test('a memory bomb stops at the cap', {skip: !compiler}, () => {
  const begin = Date.now();
  const {stdout, stderr, error} = run('plugin', 'check', build('BOMB'), '--memory-mib', '64', '--json');
  assert.equal(error, undefined, stderr);
  assert.match(stdout, /"done":true/);
  assert.ok(Date.now() - begin < 100_000);
});

test('a plugin that keeps failing closes no round, and the simulation ends', {skip: !compiler}, () => {
  const file = build('OUTSIDE');
  const digest = createHash('sha256').update(readFileSync(file)).digest('hex');
  writeFileSync(join(folder, 'federation.json'), JSON.stringify({
    name: 'hostile', model: {builtin: 'mlp-2nn'}, strategy: {id: 'hostile'}, round: {cohort: 2, minimum: 2, maxRounds: 2}}));
  const {status, stderr, error} = run('simulate', 'federation.json', '--data', 'strokes?writers=0-3', '--clients', '4',
                                      '--plugin', `${file}#${digest}`);
  assert.equal(error, undefined);
  assert.equal(status, 3);
  assert.match(stderr, /no round could be closed/);
});
