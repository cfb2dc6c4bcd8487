// The two networks of the comparison as ONNX graphs: inference in f32 and int8 (QDQ), and one SGD step written out in
// plain operators (parameters in, parameters out), which is how a runtime without a training build trains.
import {Graph, UINT8} from './onnx.mjs';

/** The same small deterministic numbers on every side; a quality of the numbers does not matter here. */
export function numbers(count, scale, seed = 1) {
  const out = new Float32Array(count);
  let state = seed >>> 0;
  for (let i = 0; i < count; ++i) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = (state / 2 ** 32 - 0.5) * 2 * scale;
  }
  return out;
}

const learningRate = 1e-4;
const product = (dims) => dims.reduce((a, b) => a * b, 1);

// mlp: 784-256-128-10. cnn: conv 3x3x32, conv 3x3x64, max pool 2, dense 128, dense 10, on 28x28x1 without padding.
export const parameters = {
  mlp: [[784, 256], [256], [256, 128], [128], [128, 10], [10]],
  cnn: [[32, 1, 3, 3], [32], [64, 32, 3, 3], [64], [9216, 128], [128], [128, 10], [10]],
};
export const inputDims = (net, batch) => net === 'mlp' ? [batch, 784] : [batch, 1, 28, 28];
export const parameterValues = (net) => parameters[net].map((dims, i) =>
  numbers(product(dims), dims.length > 1 ? Math.sqrt(3 / (dims.length === 4 ? product(dims.slice(1)) : dims[0])) : 0, i + 1));

function forward(graph, net, batch, p) {
  const gemm = (x, i) => graph.op('Gemm', [x, p[i], p[i + 1]]);
  const tape = {x: 'x'};
  let flat = 'x', first = 0;
  if (net === 'cnn') {
    tape.a1 = graph.op('Relu', [graph.op('Conv', ['x', p[0], p[1]], {kernel_shape: [3, 3]})]);
    tape.a2 = graph.op('Relu', [graph.op('Conv', [tape.a1, p[2], p[3]], {kernel_shape: [3, 3]})]);
    return {tape, dense: (pooled) => dense(graph, gemm, tape, graph.op('Flatten', [pooled], {axis: 1}), 4)};
  }
  return {tape, dense: () => dense(graph, gemm, tape, flat, first)};
}

function dense(graph, gemm, tape, flat, first) {
  tape.flat = flat;
  if (first === 4) {
    tape.h = graph.op('Relu', [gemm(flat, 4)]);
    return gemm(tape.h, 6);
  }
  tape.h1 = graph.op('Relu', [gemm(flat, 0)]);
  tape.h2 = graph.op('Relu', [gemm(tape.h1, 2)]);
  return gemm(tape.h2, 4);
}

export function inferenceGraph(net, batch) {
  const graph = new Graph();
  graph.input('x', inputDims(net, batch));
  const values = parameterValues(net);
  const p = parameters[net].map((dims, i) => graph.constant(values[i], dims));
  const {tape, dense: finish} = forward(graph, net, batch, p);
  const logits = finish(net === 'cnn' ? graph.op('MaxPool', [tape.a2], {kernel_shape: [2, 2], strides: [2, 2]}) : undefined);
  graph.output('logits', logits, [batch, 10]);
  return graph.finish();
}

/** One step of w -= lr * gradient of the mean cross-entropy: inputs x, y (one-hot), w0..; outputs loss, n0... */
export function stepGraph(net, batch) {
  const graph = new Graph();
  graph.input('x', inputDims(net, batch));
  graph.input('y', [batch, 10]);
  const p = parameters[net].map((dims, i) => graph.input(`w${i}`, dims));
  const {tape, dense: finish} = forward(graph, net, batch, p);
  let pooled, position;
  if (net === 'cnn') [pooled, position] = graph.ops('MaxPool', [tape.a2], 2, {kernel_shape: [2, 2], strides: [2, 2]});
  const logits = finish(pooled);

  const scalar = (value) => graph.constant(Float32Array.of(value), []);
  const axis = (...axes) => graph.constant(BigInt64Array.from(axes.map(BigInt)), [axes.length]);
  const logP = graph.op('LogSoftmax', [logits], {axis: 1});
  const loss = graph.op('ReduceSum', [graph.op('Mul', [graph.op('Mul', [logP, 'y']), scalar(-1 / batch)]), axis(0, 1)], {keepdims: 0});
  let delta = graph.op('Mul', [graph.op('Sub', [graph.op('Exp', [logP]), 'y']), scalar(1 / batch)]);
  const next = [];
  const behindRelu = (gradient, activation) => graph.op('Mul', [gradient, graph.op('Sign', [activation])]);
  const bias = (i, gradient, ...axes) => {
    next[i] = graph.op('Sub', [p[i], graph.op('Mul', [graph.op('ReduceSum', [gradient, axis(...axes)], {keepdims: 0}), scalar(learningRate)])]);
  };
  const denseBackward = (i, input, needInput) => {
    const gradient = needInput ? graph.op('Gemm', [delta, p[i]], {transB: 1}) : undefined;
    next[i] = graph.op('Gemm', [input, delta, p[i]], {transA: 1, alpha: {float: -learningRate}});
    bias(i + 1, delta, 0);
    return gradient;
  };
  if (net === 'mlp') {
    delta = behindRelu(denseBackward(4, tape.h2, true), tape.h2);
    delta = behindRelu(denseBackward(2, tape.h1, true), tape.h1);
    denseBackward(0, 'x', false);
  } else {
    delta = behindRelu(denseBackward(6, tape.h, true), tape.h);
    const flat = denseBackward(4, tape.flat, true);
    delta = graph.op('Reshape', [flat, graph.constant(BigInt64Array.of(BigInt(batch), 64n, 12n, 12n), [4])]);
    delta = graph.op('MaxUnpool', [delta, position, graph.constant(BigInt64Array.of(BigInt(batch), 64n, 24n, 24n), [4])],
      {kernel_shape: [2, 2], strides: [2, 2]});
    delta = behindRelu(delta, tape.a2);
    const swap = (value) => graph.op('Transpose', [value], {perm: [1, 0, 2, 3]});
    const convolution = (i, input, size) => {
      const gradient = swap(graph.op('Conv', [swap(input), swap(delta)], {kernel_shape: [size, size]}));
      next[i] = graph.op('Sub', [p[i], graph.op('Mul', [gradient, scalar(learningRate)])]);
      bias(i + 1, delta, 0, 2, 3);
    };
    const before = graph.op('ConvTranspose', [delta, p[2]], {kernel_shape: [3, 3]});
    convolution(2, tape.a1, 24);
    delta = behindRelu(before, tape.a1);
    convolution(0, 'x', 26);
  }
  graph.output('loss', loss, []);
  parameters[net].forEach((dims, i) => graph.output(`n${i}`, next[i], dims));
  return graph.finish();
}

/**
 * int8 as QDQ: u8 activations, s8 weights per output channel, s32 biases. The scales are plausible, not calibrated: this
 * is for timing.
 */
export function int8Graph(net, batch) {
  const graph = new Graph();
  graph.input('x', inputDims(net, batch));
  const values = parameterValues(net);
  let scale = 0;  // of the activation at hand
  const activation = (value, newScale) => {
    scale = newScale;
    const s = graph.constant(Float32Array.of(scale), []), zero = graph.constant(Uint8Array.of(0), []);
    return graph.op('DequantizeLinear', [graph.op('QuantizeLinear', [value, s, zero]), s, zero]);
  };
  // Weights and bias of the layer whose parameters are i and i + 1.
  const layer = (i) => {
    const dims = parameters[net][i], axis = dims.length === 4 ? 0 : 1, channels = dims[axis];
    const inner = dims.length === 4 ? product(dims.slice(1)) : 1;
    const channelOf = (j) => dims.length === 4 ? Math.floor(j / inner) : j % channels;
    const scales = new Float32Array(channels);
    values[i].forEach((w, j) => { scales[channelOf(j)] = Math.max(scales[channelOf(j)], Math.abs(w) / 127); });
    const codes = Int8Array.from(values[i], (w, j) => Math.round(w / scales[channelOf(j)]));
    const dequantize = (data, shape, scaleValues) => graph.op('DequantizeLinear', [graph.constant(data, shape),
      graph.constant(scaleValues, [channels]), graph.constant(new data.constructor(channels), [channels])], {axis: shape.length > 1 ? axis : 0});
    return [dequantize(codes, dims, scales), dequantize(new Int32Array(channels), [channels], scales.map((s) => s * scale))];
  };
  let x = activation('x', 1 / 127);
  let i = 0;
  if (net === 'cnn') {
    for (; i < 4; i += 2) {
      x = activation(graph.op('Relu', [graph.op('Conv', [x, ...layer(i)], {kernel_shape: [3, 3]})]), 0.02);
    }
    x = activation(graph.op('MaxPool', [x], {kernel_shape: [2, 2], strides: [2, 2]}), 0.02);
    x = activation(graph.op('Flatten', [x], {axis: 1}), 0.02);
  }
  const last = parameters[net].length - 2;
  for (; i <= last; i += 2) {
    const y = graph.op('Gemm', [x, ...layer(i)]);
    x = activation(i < last ? graph.op('Relu', [y]) : y, 0.02);
  }
  graph.output('logits', x, [batch, 10]);
  return graph.finish();
}


