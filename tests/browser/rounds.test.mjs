// Real tabs in real rounds with native participants.
import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {Fleet, joinIn, launch, number, openPage, status, text, until} from './support.mjs';

const federation = {
  name: 'browser-test',
  model: {builtin: 'mlp-2nn'},
  train: {learningRate: 0.1, batchSize: 10, epochs: 1},
  round: {cohort: 4, minimum: 3, deadlineMs: 20000, maxRounds: 400},
  evaluate: {data: 'strokes?writers=1000-1009&per=20'},
  upload: {codec: 'eden', bits: 1},
};

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

async function withFleet(body) {
  const fleet = new Fleet();
  const problems = [];
  const context = await browser.newContext();
  try {
    await body(fleet, context, problems);
    assert.deepEqual(problems, []);
  } catch (error) {
    for (const child of fleet.processes) console.error(child.spawnargs.slice(1, 3).join(' '), '\n', child.lines.slice(-15).join('\n'));
    throw error;
  } finally {
    await context.close();
    await fleet.close();
  }
}

test('two tabs and two daemons train in the same rounds, and the updates of both tabs are counted', () => withFleet(async (fleet, context, problems) => {
  const coordinator = await fleet.serve({...federation, round: {...federation.round, minimum: 4, maxRounds: 12}}, {expect: 4});
  fleet.join(coordinator.port, 'daemon-1', 'strokes?writers=0-9');
  fleet.join(coordinator.port, 'daemon-2', 'strokes?writers=10-19');
  const tabs = await Promise.all([1, 2].map(() => openPage(context, coordinator.url, problems)));
  await Promise.all(tabs.map((tab, i) => joinIn(tab, `tab-${i + 1}`)));
  await until('the federation has finished', async () => (await status(coordinator.url)).finished);
  const {history, participants} = await status(coordinator.url);
  assert.equal(history.length, 12);
  assert.ok(history.every((round) => round.counted === 4), JSON.stringify(history.map((round) => round.counted)));
  assert.equal(participants.length, 4, 'each tab is a participant of its own');
  for (const tab of tabs) {
    await until('the tab has heard of the last round', async () => (await number(tab, '#mine-rounds')) === 12);
    assert.match(await text(tab, '#activity'), /finished/);
    assert.equal(await text(tab, '#round'), '12 of 12');
    assert.match(await text(tab, '#left-list'), /12 updates of 25\.5\skB/);
  }
  const runtimes = participants.map((person) => person.runtime).filter((runtime) => runtime.startsWith('wasm/'));
  assert.equal(runtimes.length, 2);
  for (const runtime of runtimes) assert.match(runtime, /^wasm\/(relaxed|threads)$/);
}));

test('a tab that is closed in mid-round costs nothing but its own update, and is taken again as the same device', () => withFleet(async (fleet, context, problems) => {
  const coordinator = await fleet.serve(federation, {expect: 4});
  for (let i = 0; i < 3; ++i) fleet.join(coordinator.port, `daemon-${i}`, `strokes?writers=${i * 10}-${i * 10 + 9}`);
  let tab = await openPage(context, coordinator.url, problems);
  await joinIn(tab, 'returning');
  await until('an update of the tab is counted', async () => (await number(tab, '#mine-rounds')) >= 1);
  await until('the tab trains', async () => /training/.test(await text(tab, '#activity')));
  const before = await status(coordinator.url);
  const counted = (await status(coordinator.url)).participants.find((person) => person.name === 'returning').counted;
  await tab.close();
  await until('rounds go on without the tab', async () => (await status(coordinator.url)).round > before.round + 2);
  tab = await openPage(context, coordinator.url, problems);
  await joinIn(tab, 'returning');
  await until('the returned tab is counted again', async () =>
    (await status(coordinator.url)).participants.find((person) => person.name === 'returning' && person.counted > counted));
  const people = (await status(coordinator.url)).participants;
  assert.equal(people.filter((person) => person.name === 'returning').length, 1, 'the device key was kept in IndexedDB');
  await until('the counters were kept too', async () => (await number(tab, '#mine-rounds')) >= 2);
}));

test('a coordinator that is restarted finds its tab again, and the page says so meanwhile', () => withFleet(async (fleet, context, problems) => {
  let coordinator = await fleet.serve({...federation, round: {...federation.round, cohort: 2, minimum: 2}}, {expect: 2});
  const {port, url} = coordinator;
  fleet.join(port, 'daemon-1', 'strokes?writers=0-9');
  const tab = await openPage(context, url, problems);
  await joinIn(tab, 'patient');
  await until('a round is counted', async () => (await number(tab, '#mine-rounds')) >= 1);
  coordinator.kill('SIGKILL');
  await coordinator.ended;
  await until('the page says that nobody answers', async () => /no answer/.test(await text(tab, '#connection')));
  await until('and the participant backs off', async () => /Trying again/.test(await text(tab, '#activity')));
  const counted = await number(tab, '#mine-rounds');
  coordinator = await fleet.serve({...federation, round: {...federation.round, cohort: 2, minimum: 2}}, {port});
  await until('rounds go on', async () => (await number(tab, '#mine-rounds')) > counted);
}));
