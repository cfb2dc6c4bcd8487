import type {Inference} from '../shared/types.ts';

/** Probabilities of each row of logits[n * classes]. */
export function softmaxRows(logits: Float32Array, classes: number): Inference {
  const probabilities = new Float32Array(logits.length);
  const labels: number[] = [];
  for (let row = 0; row < logits.length; row += classes) {
    const values = logits.subarray(row, row + classes);
    const largest = values.reduce((a, b) => Math.max(a, b), -Infinity);
    const weights = Array.from(values, (value) => Math.exp(value - largest));
    const sum = weights.reduce((a, b) => a + b, 0);
    weights.forEach((weight, i) => (probabilities[row + i] = weight / sum));
    labels.push(values.indexOf(largest));
  }
  return {probabilities, classes, labels};
}
