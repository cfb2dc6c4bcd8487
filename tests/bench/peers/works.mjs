// What is compared with whom, and what must hold: the least ratio of the best peer's time to ours (fastest deciles).

/** Works of the native group. `bound` may be missing: then the ratio is only printed. */
export const nativeWorks = [
  {work: 'train-mlp-32', bound: 1.4, against: ['ort-node']},
  {work: 'train-mlp-128', bound: 1.25, against: ['ort-node']},
  {work: 'train-cnn-32', bound: 1.5, against: ['torch']},
  {work: 'infer-mlp-1', bound: 2, against: ['ort-node']},
  {work: 'infer-mlp-32', bound: 1.1, against: ['ort-node']},
  {work: 'infer-cnn-1', bound: 1.05, against: ['ort-node']},
  {work: 'infer-cnn-32', bound: 1.1, against: ['ort-node']},
  {work: 'int8-mlp-1', bound: 1.3, against: ['ort-node']},
  {work: 'int8-mlp-32', bound: 1.3, against: ['ort-node']},
  {work: 'int8-cnn-1', bound: 1.3, against: ['ort-node']},
  {work: 'int8-cnn-32', bound: 1.3, against: ['ort-node']},
  {work: 'gemm-32-256-784'},
  {work: 'gemm-128-128-128'},
  {work: 'gemm-512-512-512'},
  {work: 'gemm-1-256-784'},
  {work: 'u8s8-32-256-784'},
  {work: 'u8s8-128-128-128'},
];

export const threadsWorks = [
  {work: 'train-cnn-32', bound: 1.8, against: ['linnet-1-thread']},
  {work: 'train-cnn-32', against: ['torch']},
  {work: 'train-mlp-128', against: ['ort-node']},
];

export const webWorks = [
  {work: 'train-mlp-32', bound: 1.7, against: ['ort-web']},
  {work: 'train-mlp-32', bound: 10, against: ['tfjs-wasm']},
  {work: 'train-mlp-128', against: ['ort-web']},
  {work: 'train-cnn-32', bound: 2, against: ['ort-web']},
  {work: 'infer-mlp-1', bound: 1.5, against: ['ort-web']},
  {work: 'infer-mlp-32', bound: 1.5, against: ['ort-web']},
  {work: 'infer-cnn-1', bound: 1.5, against: ['ort-web']},
  {work: 'infer-cnn-32', bound: 1.5, against: ['ort-web']},
  {work: 'int8-mlp-1', bound: 1.5, against: ['ort-web']},
  {work: 'int8-mlp-32', bound: 1.2, against: ['ort-web']},
  {work: 'int8-cnn-1', bound: 1.5, against: ['ort-web']},
  {work: 'int8-cnn-32', bound: 1.5, against: ['ort-web']},
];

export const webThreadsWorks = [
  {work: 'train-cnn-32', against: ['linnet-wasm-relaxed']},
  {work: 'train-mlp-128', against: ['linnet-wasm-relaxed']},
  {work: 'infer-cnn-32', against: ['linnet-wasm-relaxed']},
];

export const groups = {
  native: {title: 'Native, one thread', works: nativeWorks, ours: ['linnet'], peers: ['ort-node', 'torch', 'onednn', 'openblas']},
  threads: {title: 'Native, two threads', works: threadsWorks, ours: ['linnet'], peers: ['linnet-1-thread', 'ort-node', 'torch']},
  node: {title: 'WASM under Node', works: webWorks, ours: ['linnet-wasm-relaxed', 'linnet-wasm'], peers: ['ort-web', 'tfjs-wasm', 'tfjs-cpu']},
  'node-threads': {title: 'WASM under Node, two threads', works: webThreadsWorks, ours: ['linnet-wasm-threads'], peers: ['linnet-wasm-relaxed']},
  chromium: {title: 'WASM in Chromium', works: webWorks, ours: ['linnet-wasm-relaxed', 'linnet-wasm'], peers: ['ort-web', 'tfjs-wasm', 'tfjs-cpu']},
};
