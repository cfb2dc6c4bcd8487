// Makes dist/ (the page and the package) and copies it to where `linnet serve` finds it.
//   LINNET_WEB_OUT      default ../build/web
//   LINNET_WASM, LINNET_WASM_RELAXED, LINNET_WASM_THREADS
//                       folders of the engine's builds, default ../build/wasm, ../build/wasm-relaxed, ../build/wasm-threads
import {execFileSync} from 'node:child_process';
import {cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {dirname, join, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {gzipSync} from 'node:zlib';
import {readFileSync} from 'node:fs';
import * as esbuild from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');
const out = resolve(here, process.env.LINNET_WEB_OUT ?? '../build/web');
const plain = resolve(here, process.env.LINNET_WASM ?? '../build/wasm');
const relaxed = resolve(here, process.env.LINNET_WASM_RELAXED ?? '../build/wasm-relaxed');
const threads = resolve(here, process.env.LINNET_WASM_THREADS ?? '../build/wasm-threads');
// name here: where it was built, as what, by which preset and target
const engines = {
  'linnet': [plain, 'linnet', 'wasm', 'linnet_wasm'],
  'linnet-relaxed': [relaxed, 'linnet', 'wasm-relaxed', 'linnet_wasm'],
  'linnet-threads': [threads, 'linnet', 'wasm-threads', 'linnet_wasm'],
  'simulate': [plain, 'simulate', 'wasm', 'linnet_wasm_simulate'],
};

rmSync(dist, {recursive: true, force: true});
mkdirSync(join(dist, 'engine'), {recursive: true});

for (const [name, [folder, file, preset, target]] of Object.entries(engines)) {
  for (const ending of ['mjs', 'wasm']) {
    const from = join(folder, `${file}.${ending}`);
    if (!existsSync(from)) {
      console.error(`web: found no ${from}: build the target ${target} with the preset ${preset} first`);
      process.exit(1);
    }
    // The loader names its files by itself; all variants lie in one folder.
    if (ending === 'mjs') writeFileSync(join(dist, 'engine', `${name}.mjs`), readFileSync(from, 'utf8').replaceAll(`${file}.wasm`, `${name}.wasm`).replaceAll(`${file}.mjs`, `${name}.mjs`));
    else cpSync(from, join(dist, 'engine', `${name}.wasm`));
  }
}

await esbuild.build({
  entryPoints: {
    linnet: join(here, 'src/index.ts'),
    plugin: join(here, 'src/plugin/module.ts'),
    worker: join(here, 'src/worker/worker.ts'),
    app: join(here, 'app/main.ts'),
  },
  outdir: dist,
  bundle: true,
  minify: true,
  sourcemap: true,
  format: 'esm',
  target: ['es2022'],
  legalComments: 'eof',
  logLevel: 'warning',
});
await esbuild.build({
  stdin: {contents: '@import "uplot/dist/uPlot.min.css"; @import "./style.css";', resolveDir: join(here, 'app'), loader: 'css'},
  outfile: join(dist, 'app.css'),
  bundle: true,
  minify: true,
  logLevel: 'warning',
});
for (const file of ['index.html', 'linnet.svg']) cpSync(join(here, 'app', file), join(dist, file));

// Types of the package.
execFileSync(process.execPath, [join(here, 'node_modules/typescript/bin/tsc'), '-p', join(here, 'tsconfig.types.json')], {stdio: 'inherit'});

const sizes = readdirSync(dist, {recursive: true})
  .filter((file) => /\.(js|mjs|wasm|css|html)$/.test(file) && statSync(join(dist, file)).isFile())
  .map((file) => `${file} ${(gzipSync(readFileSync(join(dist, file))).length / 1000).toFixed(1)}`);
console.log(`web: kB after gzip: ${sizes.join(', ')}`);

if (out !== dist) {
  mkdirSync(dirname(out), {recursive: true});
  const next = `${out}.next`;
  rmSync(next, {recursive: true, force: true});
  cpSync(dist, next, {recursive: true});
  rmSync(out, {recursive: true, force: true});
  renameSync(next, out);
  console.log(`web: ${out}`);
}
