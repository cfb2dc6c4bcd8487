// TensorFlow.js: layers, trainOnBatch and predict. A convolution's gradient is not in its WASM backend.
import {contestant} from './contestant.mjs';
import {inputDims, numbers} from './graphs.mjs';

export function tfjsContestant(tf) {
  return contestant(async ({kind, net, batch}) => {
    if (kind !== 'train' && kind !== 'infer') return null;
    const {layers} = tf;
    const model = tf.sequential();
    if (net === 'mlp') {
      model.add(layers.dense({units: 256, activation: 'relu', inputShape: [784]}));
      model.add(layers.dense({units: 128, activation: 'relu'}));
    } else {
      model.add(layers.conv2d({filters: 32, kernelSize: 3, activation: 'relu', inputShape: [28, 28, 1]}));
      model.add(layers.conv2d({filters: 64, kernelSize: 3, activation: 'relu'}));
      model.add(layers.maxPooling2d({poolSize: 2}));
      model.add(layers.flatten());
      model.add(layers.dense({units: 128, activation: 'relu'}));
    }
    model.add(layers.dense({units: 10, activation: kind === 'train' ? 'softmax' : undefined}));
    const dims = inputDims(net, batch);
    const x = tf.tensor(numbers(dims.reduce((a, b) => a * b, 1), 1), net === 'mlp' ? dims : [batch, 28, 28, 1]);
    if (kind === 'infer') return async () => { const y = model.predict(x); await y.data(); y.dispose(); };
    model.compile({optimizer: tf.train.sgd(1e-4), loss: 'categoricalCrossentropy'});
    const y = tf.oneHot(tf.tensor1d(Array.from({length: batch}, (_, i) => i % 10), 'int32'), 10);
    const step = async () => { await model.trainOnBatch(x, y); };
    try {
      await step();
    } catch (error) {
      throw new Error(`impossible: ${error.message.split('\n')[0]}`);
    }
    return step;
  });
}
