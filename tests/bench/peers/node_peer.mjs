// A contestant in JavaScript under Node: node node_peer.mjs NAME PACKAGES ENGINE THREADS; one JSON line in, one out.
import {createInterface} from 'node:readline';
import {createRequire} from 'node:module';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {makeRuntime} from './runtimes.mjs';

const [name, packages, engine, threads] = process.argv.slice(2);
const require = createRequire(join(packages, 'peers.cjs'));
console.log = console.warn = () => {};  // some of them greet
const runtime = await makeRuntime(name, {
  load: async (id) => {
    const module = await import(pathToFileURL(require.resolve(id)).href);
    return module.default ?? module;
  },
  packages: pathToFileURL(packages).href,
  engine: pathToFileURL(engine).href,
  threads: Number(threads),
});
for await (const line of createInterface({input: process.stdin})) {
  const {work, ms} = JSON.parse(line);
  let answer;
  try {
    answer = {times: await runtime(work, ms)};
  } catch (error) {
    answer = {error: String(error.message ?? error).split('\n')[0]};
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
