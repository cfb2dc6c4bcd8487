// What the browser tests share: Chromium, the linnet program as processes, and waiting for what must happen.
import {spawn} from 'node:child_process';
import {accessSync, constants, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {delimiter, join, resolve} from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const build = resolve(root, process.env.LINNET_BUILD ?? 'build');
export const program = process.env.LINNET_PROGRAM ?? join(build, 'native', 'linnet');
export const page = process.env.LINNET_WEB_OUT ?? join(build, 'web');
const {chromium} = createRequire(new URL('../../web/package.json', import.meta.url))('playwright-core');

function findBrowser() {
  if (process.env.LINNET_CHROMIUM) return process.env.LINNET_CHROMIUM;
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {
        continue;
      }
    }
  }
  throw new Error('found no Chromium on PATH (./dev setup tab installs it), and LINNET_CHROMIUM is not set');
}

/** A headless Chromium; --no-sandbox because tests may run as root in a container. */
export function launch() {
  return chromium.launch({
    executablePath: findBrowser(),
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--disable-background-networking',
      '--disable-background-timer-throttling', '--disable-renderer-backgrounding'],
  });
}

/** Opens the page and fails the test on any error it reports. */
export async function openPage(context, url, problems = []) {
  const tab = await context.newPage();
  tab.on('pageerror', (error) => problems.push(`page error: ${error.message}`));
  tab.on('console', (message) => {
    // A coordinator that is away is part of some tests; the browser reports each refused request by itself.
    const handled = /net::ERR_|WebSocket connection/.test(message.text());
    if (message.type() === 'error' && !handled) problems.push(`console: ${message.text()} ${message.location().url}`);
  });
  await tab.goto(url);
  return tab;
}

/** Presses Join when the page is ready for it. */
export async function joinIn(tab, name) {
  if (name) await tab.fill('#name', name);
  await tab.locator('#join:enabled').click();
  await tab.locator('#taking-part').waitFor({state: 'visible'});
}

export const text = async (tab, id) => (await tab.locator(id).textContent()) ?? '';
export const number = async (tab, id) => Number((await text(tab, id)).replaceAll(',', ''));

/** Asks until the answer is true; the deadline is only for hanging. */
export async function until(what, ask, deadlineMs = 60000) {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${deadlineMs} ms for: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** Processes and folders of one test; close() ends and removes them all. */
export class Fleet {
  processes = [];
  folder = mkdtempSync(join(tmpdir(), 'linnet-browser-'));

  start(args) {
    const child = spawn(program, args, {stdio: ['ignore', 'pipe', 'pipe']});
    child.lines = [];
    child.ended = new Promise((done) => child.on('exit', (code, signal) => done(code ?? signal)));
    for (const stream of [child.stdout, child.stderr]) createInterface({input: stream}).on('line', (line) => child.lines.push(line));
    this.processes.push(child);
    return child;
  }

  /** The coordinator of `federation` (a value); listens on `port` (0: a free one). */
  async serve(federation, {port = 0, expect = 0, state = 'serve'} = {}) {
    const file = join(this.folder, 'federation.json');
    writeFileSync(file, JSON.stringify(federation));
    const child = this.start(['serve', file, '--listen', `127.0.0.1:${port}`, '--state', join(this.folder, state), '--web', page,
      ...(expect ? ['--expect', String(expect)] : [])]);
    const line = await until('the coordinator listens', async () => {
      if (child.exitCode !== null) throw new Error(`the coordinator ended: ${child.lines.join('\n')}`);
      return child.lines.find((one) => /127\.0\.0\.1:\d+/.test(one));
    });
    child.port = Number(/127\.0\.0\.1:(\d+)/.exec(line)[1]);
    child.url = `http://127.0.0.1:${child.port}/`;
    return child;
  }
  join(port, name, data, ...more) {
    return this.start(['join', `ws://127.0.0.1:${port}`, '--name', name, '--data', data, '--state', join(this.folder, name), ...more]);
  }

  async close() {
    for (const child of this.processes) if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    const late = setTimeout(() => this.processes.forEach((child) => child.kill('SIGKILL')), 5000);
    await Promise.all(this.processes.map((child) => child.ended));
    clearTimeout(late);
    rmSync(this.folder, {recursive: true, force: true});
  }
}

export async function status(url) {
  const answer = await fetch(new URL('v1/status', url));
  return answer.json();
}
