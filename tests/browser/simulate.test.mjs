// A federation that a tab simulates by itself: no coordinator is there, only files.
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {existsSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {readFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {tmpdir} from 'node:os';
import {extname, join} from 'node:path';
import {after, before, test} from 'node:test';
import {build, launch, page, program, text, until} from './support.mjs';

const types = {'.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm', '.svg': 'image/svg+xml'};
const files = createServer(async ({url}, answer) => {
  try {
    const name = url === '/' ? '/index.html' : new URL(url, 'http://here').pathname;
    const bytes = await readFile(join(page, name));
    answer.writeHead(200, {'content-type': types[extname(name)] ?? 'text/plain', 'content-security-policy': "script-src 'self' 'wasm-unsafe-eval'"});
    answer.end(bytes);
  } catch {
    answer.writeHead(404).end();
  }
});
const folder = mkdtempSync(join(tmpdir(), 'linnet-simulate-'));
let browser, address;
before(async () => {
  browser = await launch();
  await new Promise((done) => files.listen(0, '127.0.0.1', done));
  address = `http://127.0.0.1:${files.address().port}/`;
});
after(async () => {
  await browser?.close();
  files.close();
  rmSync(folder, {recursive: true, force: true});
});

const federation = {
  name: 'here', model: {builtin: 'softmax-regression'}, train: {learningRate: 0.1, batchSize: 10}, strategy: {id: 'fedavgm'},
  round: {cohort: 4, minimum: 3, maxRounds: 4}, evaluate: {data: 'strokes?writers=1000-1002&per=100'},
};
const settings = {federation, participants: 6, data: 'strokes?writers=0-5&per=40', seed: 7};

test('simulate() gives the bits of its seed, and the accuracy and bytes of linnet simulate', async () => {
  const tab = await browser.newPage();
  await tab.goto(address);
  const run = (options) => tab.evaluate(async (given) => {
    const {simulate} = await import('/linnet.js');
    const rounds = [];
    const {bytes, ...summary} = await simulate({...given, onRound: (round) => rounds.push(round)});
    return {summary, rounds, bytes: bytes.length};
  }, options);
  const first = await run(settings), again = await run(settings);
  assert.deepEqual(again, first);
  assert.deepEqual(first.rounds.map(({round}) => round), [1, 2, 3, 4]);
  assert.notEqual((await run({...settings, seed: 8})).summary.model, first.summary.model);

  const file = join(folder, 'federation.json');
  writeFileSync(file, JSON.stringify(federation));
  const {stdout, stderr} = spawnSync(program, ['simulate', file, '--data', settings.data, '--clients', '6', '--seed', '7', '--json'], {encoding: 'utf8'});
  const native = stdout.trim().split('\n').map((line) => JSON.parse(line)).find(({done}) => done);
  assert.ok(native, stderr);
  assert.equal(first.summary.uplinkBytes, native.uplinkBytes);
  assert.equal(first.summary.rounds, native.rounds);
  // Training rounds otherwise where the CPU fuses multiplications with additions.
  assert.ok(Math.abs(first.summary.accuracy - native.accuracy) <= 0.01, `${first.summary.accuracy} here, ${native.accuracy} natively`);
  assert.ok(Math.abs(first.summary.loss - native.loss) <= 1e-3 * native.loss, `${first.summary.loss} here, ${native.loss} natively`);

  const failure = await tab.evaluate(async (given) => {
    const {simulate} = await import('/linnet.js');
    return simulate({...given, participants: 0}).then(() => '', (error) => `${error.code}: ${error.message}`);
  }, settings);
  assert.match(failure, /^invalid: options\.participants is 0/);
  await tab.close();
});

test('the page simulates with a strategy of the visitor, shows the rounds, and stops when told', async (context) => {
  const problems = [];
  const tab = await browser.newPage();
  tab.on('pageerror', (error) => problems.push(error.message));
  await tab.goto(address);
  const state = () => text(tab, '#simulate-state');
  await tab.fill('#simulate-participants', '4');
  await tab.fill('#simulate-rounds', '3');
  const module = join(build, 'wasm/plugins/template-mean.wasm');
  if (existsSync(module)) {
    await tab.setInputFiles('#simulate-plugin', module);
    await until('the strategy is loaded', async () => /is loaded$/.test(await state()));
    assert.equal(await tab.inputValue('#simulate-strategy'), 'template-mean');
  } else context.diagnostic(`${module} is not built: a built-in strategy is used`);
  await tab.click('#simulate-start');
  // The page's own thread goes on meanwhile.
  await until('it answers while it simulates', async () => (await text(tab, '#simulate-start')) === 'Stop');
  await until('the simulation has ended', async () => /^3 rounds in .* right/.test(await state()), 120000);
  assert.match(await tab.locator('#simulate-chart').getAttribute('aria-label'), /3 rounds; the last accuracy/);
  assert.ok(await tab.locator('#simulate-chart canvas').isVisible());

  await tab.fill('#simulate-rounds', '200');
  await tab.click('#simulate-start');
  await until('a round is closed', async () => /^round/.test(await state()), 120000);
  await tab.click('#simulate-start');
  await until('it has stopped', async () => /^stopped after \d+ round/.test(await state()));
  assert.equal(await text(tab, '#simulate-start'), 'Simulate');
  assert.deepEqual(problems, []);
  await tab.close();
});
