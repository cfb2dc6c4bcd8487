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

// The commands of plugins/README.md, all of them and as they stand there.
const emscripten = join(process.env.LINNET_CACHE ?? join(process.env.HOME ?? '', '.cache/linnet'), 'emscripten/prefix/usr/share/emscripten');
test('a strategy is written in ten minutes', {timeout: 300_000}, (context) => {
  const text = readFileSync(join(root, 'plugins/README.md'), 'utf8');
  const begin = text.indexOf('## Write a strategy in ten minutes');
  const section = text.slice(begin, text.indexOf('\n## ', begin + 3));
  const commands = section.match(/(?<=\n {4})\S.*/g);
  assert.ok(commands.length >= 7, `found ${commands.length} commands`);
  writeFileSync(join(folder, 'linnet'), `#!/bin/sh\nexec "${program}" "$@"\n`, {mode: 0o755});
  const env = {...process.env, PATH: `${folder}:${process.env.PATH}:${emscripten}`};
  const forTabs = spawnSync('sh', ['-c', 'command -v emcmake'], {env}).status === 0;
  for (const command of commands) {
    if (!forTabs && command.includes('wasm')) {
      context.diagnostic(`no Emscripten, not run: ${command}`);
      continue;
    }
    const {status, stdout, stderr} = spawnSync('sh', ['-c', command], {cwd: folder, encoding: 'utf8', env, timeout: 200_000});
    assert.equal(status, 0, `${command}\n${stdout}\n${stderr}`);
  }
});

test('new refuses bad names and folders that are not empty', () => {
  assert.match(run('plugin', 'new', 'Bad Name').stderr, /wanted 1 to 48 lower-case letters/);
  writeFileSync(join(folder, 'file'), '');
  assert.match(run('plugin', 'new', 'mine', '--folder', folder).stderr, /is there already and not empty/);
});

// ---- Strangers' code: what the command line says of it (tests/native/hostile_test.cc has the whole set)

const compiler = ['clang-19', 'clang'].find((name) => spawnSync(name, ['--version']).status === 0);
const build = (name, misdeed, ...flags) => {
  const file = join(folder, `${name}.wasm`);
  execFileSync(compiler, ['--target=wasm32', '-std=c11', '-ffreestanding', '-nostdlib', '-fno-builtin', '-O1', '-Wno-infinite-recursion',
                          `-DMISDEED=${misdeed}`, ...flags, `-I${root}/core/include`, '-Wl,--no-entry', '-Wl,--stack-first',
                          '-Wl,-z,stack-size=65536', join(root, 'tests/abi/hostile.c'), '-o', file]);
  return file;
};
const pinned = (file) => `${file}#${createHash('sha256').update(readFileSync(file)).digest('hex')}`;
const hostile = [
  ['LOOP', ['-DIN=AT_UPDATES_CHUNK'], 1, /did not answer within 300 ms and was killed/],
  ['OUTSIDE', ['-DIN=AT_UPDATES_CHUNK'], 1, /trapped: memory access out of bounds/],
  ['BOMB', ['-DIN=AT_UPDATES_CHUNK'], 1, /"done":true/],
  ['METRICS', [], 1, /metrics are no flat object of numbers/],
  ['LENGTH', [], 2, /description of strategy 0 has 4294967280 bytes/],
  ['IMPORT', [], 2, /asks for env\.open \(function\), which no plugin gets/],
  ['RELAXED', ['-mrelaxed-simd', '-msimd128'], 2, /uses relaxed SIMD instructions, whose results differ between machines/],
];
for (const [misdeed, flags, code, message] of hostile) {
  test(`plugin check refuses ${misdeed}`, {skip: !compiler}, () => {
    const {status, stdout, stderr, error} = run('plugin', 'check', build(misdeed, misdeed, ...flags), '--plugin-deadline-ms', '300',
                                                '--plugin-memory-mib', '64', '--json');
    assert.equal(error, undefined);
    assert.match(stdout + stderr, message);
    assert.equal(status, code, stdout + stderr);
  });
}

const federation = (name, more = {}) => {
  const file = join(folder, `${name}.json`);
  writeFileSync(file, JSON.stringify({name, model: {builtin: 'mlp-2nn'}, strategy: {id: 'hostile'}, round: {cohort: 2, minimum: 2, maxRounds: 2}, ...more}));
  return file;
};
const simulate = (file, plugin, ...more) => run('simulate', file, '--data', 'strokes?writers=0-3', '--clients', '4', '--json', '--plugin', pinned(plugin), ...more);

test('a plugin that keeps failing closes no round, and the simulation ends with its reason', {skip: !compiler}, () => {
  const {status, stderr, error} = simulate(federation('failing'), build('failing', 'OUTSIDE', '-DIN=AT_FINALIZE'));
  assert.equal(error, undefined);
  assert.equal(status, 1);
  assert.match(stderr, /the strategy failed 5 times in a row, the model of round 0 stands: strategy hostile: .*trapped: memory access out of bounds/);
});

test('lines of a sandboxed plugin reach the log, cleaned and limited', {skip: !compiler}, () => {
  const {status, stderr} = simulate(federation('flood'), build('flood', 'FLOOD', '-DIN=AT_FINALIZE'));
  assert.equal(status, 0, stderr);
  const lines = stderr.split('\n').filter((line) => line.includes('strategy: a [31m line of man'));
  assert.ok(lines.length >= 1 && lines.length <= 200, stderr);
});
