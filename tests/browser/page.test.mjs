// The page in its states: before the first round, while nobody serves, with a model that reads no pictures.
import assert from 'node:assert/strict';
import {mkdirSync} from 'node:fs';
import {join} from 'node:path';
import {after, before, test} from 'node:test';
import {Fleet, build, joinIn, launch, number, openPage, root, text, until} from './support.mjs';

const federation = {
  name: 'page-test',
  model: {builtin: 'mlp-2nn'},
  round: {cohort: 2, minimum: 2, deadlineMs: 20000, maxRounds: 15, target: {metric: 'accuracy', value: 0.95}},
  evaluate: {data: 'strokes?writers=1000-1009&per=20'},
  upload: {codec: 'eden', bits: 1},
};
const shots = join(build, 'screenshots');

let browser, fleet;
before(async () => {
  mkdirSync(shots, {recursive: true});
  browser = await launch();
  fleet = new Fleet();
});
after(async () => {
  await browser.close();
  await fleet.close();
});

async function drawSeven(tab) {
  const box = await tab.locator('#pad').boundingBox();
  const at = (x, y) => [box.x + box.width * x, box.y + box.height * y];
  await tab.mouse.move(...at(0.3, 0.25));
  await tab.mouse.down();
  for (const point of [[0.7, 0.24], [0.62, 0.4], [0.54, 0.58], [0.48, 0.8]]) await tab.mouse.move(...at(...point), {steps: 8});
  await tab.mouse.up();
}

test('the page works before, during and after the rounds, in light, dark and at the width of a phone', async () => {
  const problems = [];
  const coordinator = await fleet.serve(federation, {expect: 2});
  const tab = await openPage(await browser.newContext({viewport: {width: 1280, height: 1100}, colorScheme: 'light'}), coordinator.url, problems);

  // Before any round: the untrained model already reads.
  await until('the state is shown', async () => /waiting/.test(await text(tab, '#connection')));
  assert.ok(await tab.locator('#chart-empty').isVisible());
  assert.ok(await tab.locator('#people-empty').isVisible());
  await until('the model is there', async () => /mlp-2nn, not trained yet/.test(await text(tab, '#pad-model')));
  await drawSeven(tab);
  await until('it reads', async () => /says the model/.test(await text(tab, '#answer')));
  assert.equal(await tab.locator('#bars li').count(), 10);
  await tab.screenshot({path: join(shots, 'page-before.png'), fullPage: true});

  // A digit that the visitor names becomes an example; all by keyboard.
  await tab.locator('#label-buttons button').nth(7).focus();
  await tab.keyboard.press('Enter');
  await until('the digit is kept', async () => /1 digit of your own/.test(await text(tab, '#own-count')));
  await until('121 examples stay here', async () => /121 examples/.test(await text(tab, '#left-list')));

  fleet.join(coordinator.port, 'daemon-1', 'strokes?writers=0-19');
  await tab.fill('#name', 'a visitor');
  await tab.keyboard.press('Enter');
  await tab.locator('#taking-part').waitFor({state: 'visible'});
  await until('the federation has finished', async () => /finished/.test(await text(tab, '#activity')), 120000);
  assert.ok((await number(tab, '#mine-rounds')) >= 3);
  assert.ok((await number(tab, '#mine-examples')) >= 3 * 108, '121 less a tenth, each round');
  assert.match(await text(tab, '#accuracy'), /^\d\d\.\d\s%$/);
  assert.ok(await tab.locator('#chart canvas').isVisible());
  await drawSeven(tab);
  await until('the trained model reads a seven', async () => /^(A|Perhaps a) 7/.test(await text(tab, '#answer')));
  await tab.screenshot({path: join(shots, 'page.png'), fullPage: true});

  await tab.locator('#theme').click();
  assert.equal(await tab.evaluate(() => document.documentElement.dataset.theme), 'dark');
  await tab.screenshot({path: join(shots, 'page-dark.png'), fullPage: true});

  await tab.setViewportSize({width: 360, height: 740});
  const overflow = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `the page is ${overflow} pixels wider than a phone`);
  await tab.screenshot({path: join(shots, 'page-phone.png'), fullPage: true});

  // Leaving gives the form back and keeps what was learnt.
  await tab.locator('#leave').click();
  await tab.locator('#join-form').waitFor({state: 'visible'});
  await until('the model still reads', async () => /after round/.test(await text(tab, '#pad-model')));
  assert.deepEqual(problems, []);
});

test('every control has a name, and the page is in order for a keyboard', async () => {
  const coordinator = await fleet.serve(federation, {state: 'names'});
  const tab = await openPage(await browser.newContext(), coordinator.url);
  await tab.locator('#join:enabled').waitFor();
  const nameless = await tab.evaluate(() => [...document.querySelectorAll('button, input, canvas, progress, section')].filter((element) => {
    if (element.closest('[aria-hidden="true"], .u-wrap')) return false;
    const labelled = element.getAttribute('aria-label') || element.getAttribute('aria-labelledby') || element.textContent.trim();
    return !labelled && !element.labels?.length;
  }).map((element) => element.outerHTML.slice(0, 80)));
  assert.deepEqual(nameless, []);
  const visited = [];
  for (let i = 0; i < 16; ++i) {
    await tab.keyboard.press('Tab');
    visited.push(await tab.evaluate(() => document.activeElement?.id || document.activeElement?.className));
  }
  for (const id of ['theme', 'sample', 'use-pen', 'name', 'join']) assert.ok(visited.includes(id), `${id} is not reached by Tab: ${visited}`);
});

test('a coordinator that is away is said, and the page comes back with it', async () => {
  let coordinator = await fleet.serve(federation, {state: 'away'});
  const {port, url} = coordinator;
  const tab = await openPage(await browser.newContext(), url);
  await until('connected', async () => /waiting/.test(await text(tab, '#connection')));
  coordinator.kill('SIGKILL');
  await coordinator.ended;
  await until('said', async () => /no answer, again in/.test(await text(tab, '#connection')));
  coordinator = await fleet.serve(federation, {port, state: 'away'});
  await until('back', async () => /waiting/.test(await text(tab, '#connection')));
});

test('a model that reads no pictures hides the paper and says why', async () => {
  const coordinator = await fleet.serve({
    name: 'numbers',
    model: {builtin: 'softmax-regression'},
    evaluate: {data: `csv:${join(root, 'native/examples/birds.csv')}?label=species`},
  }, {state: 'numbers'});
  const tab = await openPage(await browser.newContext(), coordinator.url);
  await until('said', async () => /not a picture of a digit/.test(await text(tab, '#pad-off')));
  assert.ok(!(await tab.locator('#pad-body').isVisible()));
  assert.ok(await tab.locator('#join').isDisabled());
});
