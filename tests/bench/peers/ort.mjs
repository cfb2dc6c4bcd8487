// ONNX Runtime, native or web: the same graphs, one session for each work.
import {contestant} from './contestant.mjs';
import {inferenceGraph, inputDims, int8Graph, numbers, parameters, parameterValues, stepGraph} from './graphs.mjs';

export function ortContestant(ort, options) {
  return contestant(async ({kind, net, batch}) => {
    if (!['train', 'infer', 'int8'].includes(kind)) return null;
    const dims = inputDims(net, batch);
    const x = new ort.Tensor('float32', numbers(dims.reduce((a, b) => a * b, 1), 1), dims);
    const bytes = kind === 'train' ? stepGraph(net, batch) : kind === 'infer' ? inferenceGraph(net, batch) : int8Graph(net, batch);
    const session = await ort.InferenceSession.create(bytes, options);
    if (kind !== 'train') return () => session.run({x});
    const y = new Float32Array(batch * 10);
    for (let i = 0; i < batch; ++i) y[i * 10 + (i % 10)] = 1;
    const values = parameterValues(net);
    const feeds = {x, y: new ort.Tensor('float32', y, [batch, 10])};
    parameters[net].forEach((shape, i) => { feeds[`w${i}`] = new ort.Tensor('float32', values[i], shape); });
    let first;
    return async () => {
      const out = await session.run(feeds);
      parameters[net].forEach((shape, i) => { feeds[`w${i}`] = out[`n${i}`]; });
      const loss = out.loss.data[0];
      first ??= loss;
      if (!(loss <= first * 1.1)) throw new Error(`the loss rose from ${first} to ${loss}`);
    };
  });
}
