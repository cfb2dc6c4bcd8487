// From the request for a page to an engine that is ready to compute, in Chromium with nothing in its cache:
// node tests/bench/page_load.mjs [LOADS]. `./dev build` comes first.
import {readFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {extname, join} from 'node:path';
import {build, launch} from '../browser/support.mjs';

const loads = Number(process.argv[2] ?? 20);
const types = {'.mjs': 'text/javascript', '.js': 'text/javascript', '.wasm': 'application/wasm', '.html': 'text/html'};
const headers = {'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp'};
const page = `<!doctype html><script type="module">
  import {join} from './linnet.js';
  const threads = Number(new URLSearchParams(location.search).get('threads'));
  // Resolves when the engine runs; that nobody listens there does not matter.
  const participant = await join('ws://127.0.0.1:1', {threads, keepState: false, data: {kind: 'none'}});
  globalThis.ready = performance.now();
  globalThis.variant = (await participant.describe()).variant;
</script>`;

const server = createServer(async (request, response) => {
  const {pathname} = new URL(request.url, 'http://localhost');
  try {
    const body = pathname === '/' ? page : await readFile(join(build, 'web', pathname));
    response.writeHead(200, {...headers, 'Content-Type': types[extname(pathname) || '.html'] ?? 'application/octet-stream'});
    response.end(body);
  } catch {
    response.writeHead(404, headers).end();
  }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const browser = await launch();
try {
  for (const threads of [1, 2, 4]) {
    const times = [];
    let variant;
    for (let i = 0; i < loads; ++i) {
      const context = await browser.newContext();
      const tab = await context.newPage();
      await tab.goto(`http://127.0.0.1:${server.address().port}/?threads=${threads}`);
      await tab.waitForFunction(() => globalThis.variant !== undefined);
      const seen = await tab.evaluate(() => ({ready: globalThis.ready, variant: globalThis.variant}));
      times.push(seen.ready);
      variant = seen.variant;
      await context.close();
    }
    times.sort((a, b) => a - b);
    console.log(`${threads} thread${threads > 1 ? 's' : ''} (${variant}): median ${times[Math.floor(loads / 2)].toFixed(0)} ms, ` +
      `fastest ${times[0].toFixed(0)}, slowest ${times.at(-1).toFixed(0)} of ${loads} loads`);
  }
} finally {
  await browser.close();
  server.close();
}
