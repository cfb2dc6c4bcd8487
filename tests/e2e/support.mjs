// Processes of `linnet` as a test sees them: events in, signals out, nothing left behind.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join, resolve} from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
export const program = process.env.LINNET ?? join(root, 'build/native/linnet');
export const plugins = process.env.LINNET_PLUGINS ?? join(root, 'build/native/plugins');
const shared = process.env.LINNET_SHARED ?? join(root, '../shared');
export const mnist = join(shared, 'data/mnist');
export const withoutMnist = existsSync(mnist) ? false : `no MNIST in ${mnist} (LINNET_SHARED names another folder)`;

const patienceMs = 120_000;

// One process. With --json its lines are objects in `events`; all text is kept for messages.
export class Process {
  constructor(args, {cwd, environment} = {}) {
    this.args = args;
    this.events = [];
    this.out = '';
    this.err = '';
    this.waiters = new Set();
    this.child = spawn(program, args, {cwd, env: {...process.env, ...environment}, stdio: ['ignore', 'pipe', 'pipe']});
    this.child.stderr.on('data', (data) => (this.err += data));
    createInterface({input: this.child.stdout}).on('line', (line) => {
      this.out += line + '\n';
      if (line.startsWith('{')) this.events.push(JSON.parse(line));
      this.wake();
    });
    this.ended = once(this.child, 'close').then(([code, signal]) => {
      this.code = code;
      this.signal = signal;
      this.over = true;
      this.wake();
      return {code, signal};
    });
  }
  wake() {
    for (const waiter of [...this.waiters]) waiter();
  }
  // The first event from `from` on that satisfies `wanted`.
  async event(wanted, from = 0) {
    let at = from;
    const look = () => {
      while (at < this.events.length) {
        const event = this.events[at++];
        if (wanted(event)) return event;
      }
      return undefined;
    };
    const found = look();
    if (found) return found;
    return new Promise((resolvePromise, reject) => {
      const end = (settle, value) => {
        clearTimeout(timer);
        this.waiters.delete(waiter);
        settle(value);
      };
      const timer = setTimeout(() => end(reject, new Error(`no such event from: ${this.describe()}`)), patienceMs);
      const waiter = () => {
        const event = look();
        if (event) end(resolvePromise, event);
        else if (this.over) end(reject, new Error(`ended (${this.code ?? this.signal}) before the event: ${this.describe()}`));
      };
      this.waiters.add(waiter);
    });
  }
  // Its exit code, or the signal's name.
  async exit() {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), patienceMs);
    const {code, signal} = await this.ended;
    clearTimeout(timer);
    return code ?? signal;
  }
  async kill(signal = 'SIGKILL') {
    if (!this.over) this.child.kill(signal);
    return this.exit();
  }
  describe() {
    return `linnet ${this.args.join(' ')}\n${this.out.slice(-3000)}${this.err.slice(-3000)}`;
  }
}

// A folder and processes that end with the test: `const site = new Site(t)`.
export class Site {
  constructor(t) {
    this.folder = mkdtempSync(join(tmpdir(), 'linnet-e2e-'));
    this.processes = [];
    t.after(async () => {
      await Promise.all(this.processes.map((each) => each.kill()));
      rmSync(this.folder, {recursive: true, force: true});
    });
  }
  path(name) {
    return join(this.folder, name);
  }
  file(name, content) {
    writeFileSync(this.path(name), typeof content === 'object' && !Buffer.isBuffer(content) ? JSON.stringify(content) : content);
    return this.path(name);
  }
  start(...args) {
    const started = new Process(args, {cwd: this.folder, environment: this.environment});
    this.processes.push(started);
    return started;
  }
  // A coordinator that listens; `port` 0 takes a free one.
  async serve(federation, {port = 0, state = 'serve', more = []} = {}) {
    const serve = this.start('serve', federation, '--listen', `127.0.0.1:${port}`, '--state', this.path(state), '--json', ...more);
    const listening = await serve.event((event) => event.event === 'listening');
    serve.address = listening.address;
    serve.http = listening.address.replace('ws:', 'http:');
    serve.port = Number(listening.address.match(/:(\d+)$/)[1]);
    serve.status = async () => (await fetch(`${serve.http}/v1/status`)).json();
    return serve;
  }
  join(address, data, name, ...more) {
    return this.start('join', address, '--data', data, '--name', name, '--state', this.path(`join-${name}`), '--json', ...more);
  }
}

// The strokes federation, small enough to be quick; `round` replaces parts of it.
export function strokes(round = {}, more = {}) {
  return {
    name: 'strokes',
    model: {builtin: 'mlp-2nn'},
    train: {optimizer: 'sgd', learningRate: 0.1, batchSize: 10, epochs: 1},
    round: {cohort: 4, minimum: 2, deadlineMs: 30000, maxRounds: 60, ...round},
    evaluate: {data: 'strokes?writers=1000-1019&per=30'},
    upload: {codec: 'eden', bits: 1},
    ...more,
  };
}

// Writers of participant `index`, `writers` each.
export const writers = (index, count = 25, per = 60) => `strokes?writers=${index * count}-${index * count + count - 1}&per=${per}`;
