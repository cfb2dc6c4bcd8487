// The table of bad input: one line that says what was found and what was wanted, and a code for scripts.
import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {existsSync, readFileSync} from 'node:fs';
import {connect, createServer} from 'node:net';
import {join} from 'node:path';
import {test} from 'node:test';
import {plugins, Site, strokes, writers} from './support.mjs';

const usage = 2, system = 3;
const sha256 = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');

// args(site) gives the command line; `says` must stand in its one line of stderr.
const rows = [
  {name: 'no such federation file', args: () => ['serve', 'nothing.json'], says: /nothing\.json: No such file/, code: usage},
  {name: 'a folder instead of a file', args: (s) => ['serve', s.folder], says: /is not a file/, code: system},
  {name: 'no JSON', args: (s) => ['serve', s.file('f.json', '{"name": ')], says: /f\.json: .*(line|column)/, code: usage},
  {
    name: 'an unknown key, named with the nearest',
    args: (s) => ['serve', s.file('f.json', {...strokes(), raund: {}})],
    says: /raund.*nearest.* round/, code: usage,
  },
  {
    name: 'an unknown key inside',
    args: (s) => ['serve', s.file('f.json', strokes({cohrot: 3}))],
    says: /round\.cohrot.*round\.cohort/, code: usage,
  },
  {
    name: 'a wrong type',
    args: (s) => ['serve', s.file('f.json', strokes({cohort: 'ten'}))],
    says: /round\.cohort.*(string|"ten").*/, code: usage,
  },
  {
    name: 'an unknown model',
    args: (s) => ['simulate', s.file('f.json', strokes({}, {model: {builtin: 'mlp-3nn'}})), '--data', 'strokes'],
    says: /mlp-3nn.*mlp-2nn/, code: usage,
  },
  {
    name: 'a model file that is none',
    args: (s) => {
      s.file('m.linnet', 'not a model at all');
      return ['serve', s.file('f.json', strokes({}, {model: {file: 'm.linnet'}})), '--state', s.path('s'), '--listen', '127.0.0.1:0'];
    },
    says: /m\.linnet: /, code: usage,
  },
  {
    name: 'an unknown strategy',
    args: (s) => ['simulate', s.file('f.json', strokes({}, {strategy: {id: 'fedavgn'}})), '--data', 'strokes'],
    says: /fedavgn.*fedavgm?/, code: usage,
  },
  {
    name: 'a setting the strategy does not know',
    args: (s) => ['simulate', s.file('f.json', strokes({}, {strategy: {id: 'fedavgm', config: {momentun: 0.9}}})), '--data', 'strokes', '--clients', '4'],
    says: /momentun/, code: usage,
  },
  {
    name: 'caps too wide for the exact mean',
    args: (s) => ['serve', s.file('f.json', strokes({}, {limits: {maxAbs: 1e9, maxExamples: 400000000}}))],
    says: /limits|maxAbs/, code: usage,
  },
  {
    name: 'open admission beyond loopback',
    args: (s) => ['serve', s.file('f.json', strokes()), '--listen', '0.0.0.0:0', '--state', s.path('s')],
    says: /admission\.mode.*open.*0\.0\.0\.0.*token/, code: usage,
  },
  {
    name: 'an address without a port',
    args: (s) => ['serve', s.file('f.json', strokes()), '--listen', 'localhost'],
    says: /"localhost" is no address: the port is missing/, code: usage,
  },
  {
    name: 'a page folder without a page',
    args: (s) => ['serve', s.file('f.json', strokes()), '--web', s.folder],
    says: /index\.html: No such file/, code: usage,
  },
  {
    name: 'an unknown data source',
    args: (s) => ['simulate', s.file('f.json', strokes()), '--data', 'stroke?writers=1'],
    says: /stroke\?writers=1.*strokes/, code: usage,
  },
  {
    name: 'missing data files',
    args: (s) => ['simulate', s.file('f.json', strokes()), '--data', `mnist:${s.path('nowhere')}`],
    says: /nowhere/, code: usage,
  },
  {
    name: 'a truncated data file',
    args: (s) => {
      for (const name of ['train-images-idx3-ubyte', 'train-labels-idx1-ubyte', 't10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte']) {
        s.file(name, Buffer.from([0, 0, 8, 3, 0, 0, 234, 96, 0, 0, 0, 28, 0, 0, 0, 28, 1, 2, 3]));
      }
      return ['join', 'ws://127.0.0.1:1', '--data', `mnist:${s.folder}`, '--state', s.path('j')];
    },
    says: /ubyte/, code: usage,
  },
  {
    name: 'a table without its label',
    args: (s) => ['simulate', s.file('f.json', strokes()), '--data', `csv:${s.file('t.csv', 'a,b\n1,2\n')}?label=c`],
    says: /t\.csv.*"?c"?/, code: usage,
  },
  {
    name: 'more participants than rows',
    args: (s) => ['simulate', s.file('f.json', strokes()), '--data', 'strokes?writers=0-0&per=3', '--clients', '50', '--evaluate', 'strokes?writers=5-5&per=3'],
    says: /50/, code: usage,
  },
  {
    name: 'evaluation data of another shape',
    args: (s) => [
      'simulate', s.file('f.json', strokes()), '--data', 'strokes?writers=0-3&per=5', '--clients', '4',
      '--evaluate', `csv:${s.file('t.csv', 'a,label\n1,x\n2,y\n')}?label=label`,
    ],
    says: /1 features.*784|784.*1 features/, code: usage,
  },
  {
    name: 'a plugin without its hash',
    args: (s) => ['serve', s.file('f.json', strokes()), '--plugin', join(plugins, 'fedavg.so')],
    says: /#/, code: usage,
  },
  {
    name: 'a plugin with another hash',
    args: (s) => ['serve', s.file('f.json', strokes()), '--plugin', `${join(plugins, 'fedavg.so')}#${'0'.repeat(64)}`],
    says: new RegExp('0{64}'), code: usage, needs: join(plugins, 'fedavg.so'),
  },
  {
    name: 'a plugin that is no shared object',
    args: (s) => {
      const path = s.file('p.so', 'hello');
      return ['serve', s.file('f.json', strokes()), '--plugin', `${path}#${sha256(path)}`];
    },
    says: /p\.so/, code: usage,
  },
  {
    name: 'a plugin whose strategy is there already',
    args: (s) => {
      const path = join(plugins, 'fedavg.so');
      return ['serve', s.file('f.json', strokes()), '--plugin', `${path}#${sha256(path)}`];
    },
    says: /fedavg/, code: usage, needs: join(plugins, 'fedavg.so'),
  },
  {
    name: 'a part beyond the count',
    args: (s) => ['join', 'ws://127.0.0.1:1', '--data', 'strokes', '--part', '8/8', '--state', s.path('j')],
    says: /--part "8\/8" is not INDEX\/COUNT/, code: usage,
  },
  {
    name: 'another scheme',
    args: (s) => ['join', 'ftp://127.0.0.1:1', '--data', 'strokes', '--state', s.path('j')],
    says: /ftp:\/\/, wanted is ws:\/\//, code: usage,
  },
  {
    name: 'a participant state that is none',
    args: (s) => {
      s.start('--version');
      return ['join', 'ws://127.0.0.1:1', '--data', 'strokes?per=3', '--state', s.path('j')];
    },
    prepare: async (s) => {
      const {mkdirSync, writeFileSync} = await import('node:fs');
      mkdirSync(s.path('j'));
      writeFileSync(join(s.path('j'), 'participant'), 'garbage');
    },
    says: /participant: .*new device/, code: usage,
  },
  {name: 'nothing to infer', args: (s) => ['infer', s.file('m', 'x')], says: /one of --data SOURCE, --image FILE.pgm, --input FILE and --text TEXT is wanted, 0 were given/, code: usage},
  {name: 'no model to infer with', args: (s) => ['infer', s.file('m', 'x'), '--data', 'strokes'], says: /\/m: /, code: usage},
  {name: 'no coordinator to ask', args: () => ['status', '127.0.0.1:1'], says: /no coordinator answers at 127\.0\.0\.1:1: Connection refused/, code: system},
];

for (const row of rows) {
  test(`${row.name} is one line and code ${row.code}`, {skip: row.needs && !existsSync(row.needs) && `${row.needs} is not built`}, async (t) => {
    const site = new Site(t);
    await row.prepare?.(site);
    const args = row.args(site);
    const run = site.start(...args);
    assert.equal(await run.exit(), row.code, run.describe());
    assert.match(run.err, /^linnet \w+: [^\n]+\n$/, run.describe());
    assert.match(run.err, row.says);
    assert.equal(run.out, '', run.describe());
  });
}

test('a port in use is said in words', async (t) => {
  const site = new Site(t);
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  t.after(() => other.close());
  const run = site.start('serve', site.file('f.json', strokes()), '--listen', `127.0.0.1:${other.address().port}`, '--state', site.path('s'));
  assert.equal(await run.exit(), system, run.describe());
  assert.match(run.err, /^linnet serve: 127\.0\.0\.1:\d+ is in use by another program: /);
});

test('another federation\'s state is refused, naming both, and is left as it was', async (t) => {
  const site = new Site(t);
  const federation = site.file('f.json', strokes());
  const serve = await site.serve(federation);
  await serve.kill('SIGTERM');
  const other = site.start('serve', site.file('g.json', strokes({}, {name: 'letters'})), '--listen', '127.0.0.1:0', '--state', site.path('serve'));
  assert.equal(await other.exit(), usage);
  assert.match(other.err, /holds the federation "strokes", not "letters"/);
  const again = await site.serve(federation);
  assert.equal(await again.kill('SIGTERM'), 0);
});

test('a coordinator out of reach is waited for, and said so', async (t) => {
  const site = new Site(t);
  const daemon = site.join('ws://127.0.0.1:1', 'strokes?writers=0-0&per=5', 'd');
  const first = await daemon.event((event) => event.event === 'connecting' && event.delayMs > 0);
  assert.match(first.text, /127\.0\.0\.1:1: Connection refused; .*trying again in \d+ ms/);
  const second = await daemon.event((event) => event.event === 'connecting' && event.delayMs > 0, daemon.events.indexOf(first) + 1);
  assert.match(second.text, /Connection refused/);
  assert.equal(await daemon.kill('SIGTERM'), 0);
});

test('a participant that does not fit is sent away with the reason, and the coordinator lives on', async (t) => {
  const site = new Site(t);
  const token = site.file('token', 'open sesame\n');
  const federation = site.file('f.json', strokes({minimum: 2, maxRounds: 2}, {admission: {mode: 'token', tokenFile: token}}));
  const serve = await site.serve(federation, {more: ['--once', '--expect', '2']});
  const stranger = site.join(serve.address, writers(0, 1, 5), 'stranger', '--token-file', site.file('wrong', 'open barley'));
  assert.equal(await stranger.exit(), usage, stranger.describe());
  assert.match(stranger.err, /^linnet join: .*token/);
  const lost = site.join(serve.address, writers(0, 1, 5), 'lost', '--federation', 'letters', '--token-file', token);
  assert.equal(await lost.exit(), usage, lost.describe());
  assert.match(lost.err, /letters/);
  for (const i of [0, 1]) site.join(serve.address, writers(i, 2, 20), `d${i}`, '--token-file', token);
  assert.equal(await serve.exit(), 0, serve.describe());
});

test('data of another shape is the participant\'s own trouble', async (t) => {
  const site = new Site(t);
  const federation = site.file('f.json', strokes({cohort: 3, minimum: 2, maxRounds: 2}));
  const serve = await site.serve(federation, {more: ['--once', '--expect', '3']});
  const table = site.file('t.csv', 'a,label\n1,x\n2,y\n3,x\n4,y\n');
  const odd = site.join(serve.address, `csv:${table}?label=label`, 'odd');
  for (const i of [0, 1]) site.join(serve.address, writers(i, 2, 20), `d${i}`);
  assert.equal(await serve.exit(), 0, serve.describe());
  assert.ok(odd.events.some((event) => /features/.test(event.text ?? '')), odd.describe());
});

// ---- Bytes of strangers, by hand

async function upgrade(port, t) {
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.write(`GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: linnet.v1\r\n\r\n');
  await new Promise((resolve) => socket.once('data', resolve));
  return socket;
}
function frame(payload) {
  const head = payload.length < 126 ? [0x82, 0x80 | payload.length] : [0x82, 0xfe, payload.length >> 8, payload.length & 255];
  return Buffer.concat([Buffer.from(head), Buffer.alloc(4), payload]);
}

test('garbage, oversize and half frames end their connection and nothing else', async (t) => {
  const site = new Site(t);
  const federation = site.file('f.json', strokes({minimum: 2, maxRounds: 2}));
  const serve = await site.serve(federation, {more: ['--once', '--expect', '2']});
  const hostile = {
    garbage: frame(Buffer.from('certainly not a message of ours!')),
    zeros: frame(Buffer.alloc(64)),
    pointers: frame(Buffer.alloc(128, 0xff)),
    empty: frame(Buffer.alloc(0)),
    oversize: frame(Buffer.alloc(5000)),
    huge: Buffer.from([0x82, 0xff, 0x3f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0]),
  };
  for (const [name, bytes] of Object.entries(hostile)) {
    const socket = await upgrade(serve.port, t);
    const closed = new Promise((resolve) => socket.once('close', () => resolve('closed')));
    socket.resume();
    socket.write(bytes);
    socket.on('error', () => {});
    assert.equal(await closed, 'closed', name);
  }
  const half = await upgrade(serve.port, t);
  half.write(Buffer.from([0x82, 0xfe, 0x01, 0x00, 0, 0, 0, 0, 1, 2, 3]));
  half.destroy();
  assert.equal((await (await fetch(`${serve.http}/healthz`)).json()).status, 'ok');
  for (const i of [0, 1]) site.join(serve.address, writers(i, 2, 20), `d${i}`);
  assert.equal(await serve.exit(), 0, serve.describe());
});
