// Contestants as processes and as pages; each answers run(work, ms) with microseconds per call, or null.
import {spawn} from 'node:child_process';
import {createServer} from 'node:http';
import {readFile} from 'node:fs/promises';
import {createInterface} from 'node:readline';
import {createRequire} from 'node:module';
import {extname, join} from 'node:path';

/** One JSON line in, one out. */
function processPeer(command, parameters) {
  const child = spawn(command, parameters, {stdio: ['pipe', 'pipe', 'ignore'], env: {...process.env, OMP_NUM_THREADS: '1'}});
  const lines = createInterface({input: child.stdout})[Symbol.asyncIterator]();
  child.on('error', () => {});
  child.stdin.on('error', () => {});
  return {
    async run(work, ms) {
      child.stdin.write(`${JSON.stringify({work, ms})}\n`);
      const {value, done} = await lines.next();
      if (done) throw new Error(`${command} ended`);
      const answer = JSON.parse(value);
      if (answer.error) throw new Error(answer.error);
      return answer.times;
    },
    close: () => child.kill(),
  };
}

export function nativePeer(name, {here, build, packages, threads}) {
  if (name === 'linnet-1-thread') return processPeer(join(build, 'native/peers/linnet_peer'), ['1']);
  if (name === 'linnet') return processPeer(join(build, 'native/peers/linnet_peer'), [String(threads)]);
  if (name === 'onednn' || name === 'openblas') return processPeer(join(build, 'native/peers/products_peer'), [name]);
  if (name === 'torch') return processPeer('/usr/bin/python3', [join(here, 'torch_peer.py'), String(threads)]);
  return nodePeer(name, {here, build, packages, threads});
}

const variantOf = (name) => name.startsWith('linnet-wasm') ? name.slice('linnet-'.length) : 'wasm-relaxed';

export function nodePeer(name, {here, build, packages, threads}) {
  return processPeer(process.execPath, [join(here, 'node_peer.mjs'), name, packages, join(build, variantOf(name), 'peers/linnet_peer.mjs'), String(threads)]);
}

const types = {'.mjs': 'text/javascript', '.js': 'text/javascript', '.wasm': 'application/wasm', '.html': 'text/html'};

/** Headless Chromium with one isolated page for each contestant. */
export async function browserPeers({here, build, packages, root}) {
  const {chromium} = createRequire(join(root, 'web/package.json'))('playwright-core');
  const folders = {packages, peers: here, build};
  const server = createServer(async (request, response) => {
    const [, folder, ...rest] = new URL(request.url, 'http://localhost').pathname.split('/');
    // Isolated pages have a clock of 5 microseconds.
    const headers = {'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp'};
    try {
      const path = join(folders[folder], ...rest);
      response.writeHead(200, {...headers, 'Content-Type': types[extname(path)] ?? 'application/octet-stream'});
      response.end(await readFile(path));
    } catch {
      response.writeHead(404, headers);
      response.end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${server.address().port}`;
  const browser = await chromium.launch({executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage']});
  return {
    version: browser.version(),
    async peer(name) {
      const page = await browser.newPage();
      await page.goto(`${origin}/peers/page.html`);
      await page.evaluate(([peer, engine]) => globalThis.prepare(peer, engine), [name, `${origin}/build/${variantOf(name)}/peers/linnet_peer.mjs`]);
      return {run: (work, ms) => page.evaluate(([w, t]) => globalThis.run(w, t), [work, ms]), close: () => page.close()};
    },
    async close() {
      await browser.close();
      server.close();
    },
  };
}
