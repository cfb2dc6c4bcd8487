// The same work in other systems, side by side: `./dev bench peers [--group native|threads|node|node-threads|chromium]... [--only TEXT]
// [--seconds S] [--json FILE]`. Contestants are kept ready, and measured in turn, so that whatever else the machine does
// touches all of them alike. Prints fastest deciles and medians, and ratios to the best peer.
import {writeFile} from 'node:fs/promises';
import {cpus} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {tooSlow} from './peers/contestant.mjs';
import {groups} from './peers/works.mjs';
import {browserPeers, nativePeer, nodePeer} from './peers/spawn.mjs';

const here = join(dirname(fileURLToPath(import.meta.url)), 'peers');
const root = join(here, '../../..');
const {values: options} = parseArgs({options: {
  group: {type: 'string', multiple: true, default: Object.keys(groups)},
  only: {type: 'string', default: ''},
  seconds: {type: 'string', default: '2'},
  json: {type: 'string'},
  packages: {type: 'string', default: process.env.LINNET_PEERS ?? ''},
  build: {type: 'string', default: join(root, 'build')},
}});
const turns = 8;
const places = {here, root, build: options.build, packages: options.packages};

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];

async function compare(group, title, peers, works) {
  const names = [...new Set(works.map(({work}) => work))].filter((work) => work.includes(options.only));
  const results = {};
  for (const work of names) {
    const times = new Map();
    const failed = new Map();
    for (let turn = 0; turn < turns; ++turn) {
      for (const [name, peer] of peers) {
        if (failed.has(name)) continue;
        try {
          const part = await peer.run(work, (Number(options.seconds) * 1000) / turns);
          if (part !== null) times.set(name, [...(times.get(name) ?? []), ...part]);
          if (part === null || part[0] > tooSlow * 1000) failed.set(name, null);
        } catch (error) {
          failed.set(name, error.message);
        }
      }
    }
    results[work] = Object.fromEntries([...peers.keys()].flatMap((name) => {
      if (failed.get(name)) return [[name, {error: failed.get(name).slice(0, 60)}]];
      if (!times.has(name)) return [];
      const sorted = times.get(name).sort((a, b) => a - b);
      return [[name, {fast: quantile(sorted, 0.1), median: quantile(sorted, 0.5)}]];
    }));
    print(group, work, results[work]);
  }
  return judge(group, results, works);
}

const milliseconds = (us) => us >= 1e5 ? `${(us / 1e3).toFixed(0)} ms` : us >= 1e3 ? `${(us / 1e3).toFixed(2)} ms` : `${us.toFixed(1)} us`;

function print(group, work, row) {
  console.log(`\n  ${work}`);
  const best = groups[group].ours.map((name) => row[name]?.fast).find((fast) => fast);
  for (const [name, cell] of Object.entries(row)) {
    const text = cell.error ?? `${milliseconds(cell.fast).padStart(9)}  median ${milliseconds(cell.median).padStart(9)}` +
      (best && !groups[group].ours.includes(name) ? `  ${(cell.fast / best).toFixed(2)} times ours` : '');
    console.log(`    ${name.padEnd(20)} ${text}`);
  }
}

function judge(group, results, works) {
  const rows = [];
  for (const {work, bound, against} of works) {
    const row = results[work];
    const ours = groups[group].ours.map((name) => row?.[name]?.fast).find((fast) => fast);
    if (!row || !against) continue;
    const peers = against.map((name) => row[name]?.fast).filter((fast) => fast);
    const ratio = ours && peers.length ? Math.min(...peers) / ours : null;
    rows.push({work, against, bound: bound ?? null, ratio, holds: bound === undefined ? null : ratio !== null && ratio >= bound});
  }
  return {results, rows};
}

console.log(`${cpus()[0].model.trim()}, ${cpus().length} cores, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}; fastest decile`);
const report = {};
for (const name of options.group) {
  const group = groups[name];
  if (!group) throw new Error(`there is no group ${name}; there are ${Object.keys(groups).join(', ')}`);
  console.log(`\n${group.title}`);
  const peers = new Map();
  const browser = name === 'chromium' ? await browserPeers(places) : null;
  if (browser) console.log(`  Chromium ${browser.version}`);
  for (const peer of [...group.ours, ...group.peers]) {
    const make = name.startsWith('node') ? nodePeer : nativePeer;
    peers.set(peer, browser ? await browser.peer(peer) : make(peer, {...places, threads: name === 'threads' ? 2 : 1}));
  }
  try {
    report[name] = await compare(name, group.title, peers, group.works);
  } finally {
    for (const peer of peers.values()) await peer.close();
    await browser?.close();
  }
}

console.log('\nOurs against the best of those named (bound: what must hold)');
for (const [name, {rows}] of Object.entries(report)) {
  for (const {work, against, bound, ratio, holds} of rows) {
    const verdict = holds === null ? '' : holds ? 'holds' : 'MISSED';
    console.log(`  ${name.padEnd(12)} ${work.padEnd(15)} ${against.join(', ').padEnd(10)} ${(ratio?.toFixed(2) ?? '-').padStart(6)}x` +
      `  ${(bound ? `>= ${bound}` : '').padEnd(8)} ${verdict}`);
  }
}
if (options.json) await writeFile(options.json, JSON.stringify(report, null, 1));
