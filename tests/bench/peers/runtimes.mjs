// The contestants in JavaScript by name, for Node and for a page alike. `base` is where the peers' packages are
// (node_modules), `linnet` where linnet_peer.mjs of a variant is.
import {ortContestant} from './ort.mjs';
import {tfjsContestant} from './tfjs.mjs';

const loaders = {
  async 'ort-node'({load, threads}) {
    return ortContestant(await load('onnxruntime-node'), {intraOpNumThreads: threads, interOpNumThreads: 1});
  },
  async 'ort-web'({load, packages}) {
    const ort = await load('onnxruntime-web/wasm');
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = `${packages}/onnxruntime-web/dist/`;
    return ortContestant(ort, {executionProviders: ['wasm']});
  },
  async 'tfjs-wasm'({load, packages}) {
    const tf = await load('@tensorflow/tfjs');
    const wasm = await load('@tensorflow/tfjs-backend-wasm');
    wasm.setWasmPaths(`${packages}/@tensorflow/tfjs-backend-wasm/dist/`.replace(/^file:\/\//, ''));
    wasm.setThreadsCount?.(1);
    await tf.setBackend('wasm');
    return tfjsContestant(tf);
  },
  async 'tfjs-cpu'({load}) {
    const tf = await load('@tensorflow/tfjs');
    await tf.setBackend('cpu');
    return tfjsContestant(tf);
  },
  'linnet-wasm': linnet,
  'linnet-wasm-relaxed': linnet,
  'linnet-wasm-threads': (environment) => linnet(environment, 2),
};

async function linnet({engine}, threads = 1) {
  const {default: create} = await import(engine);
  const module = await create();
  if (threads > 1) module.ccall('linnet_peer_threads', null, ['number'], [threads]);
  return async (work, ms) => JSON.parse(module.ccall('linnet_peer_run', 'string', ['string', 'number'], [work, ms]));
}

/** A function (work, ms) -> microseconds per call, or null for a work that is not done. */
export const makeRuntime = (name, environment) => loaders[name](environment);
