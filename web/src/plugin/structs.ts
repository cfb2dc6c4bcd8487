// The structs of linnet/plugin.h, laid out as in memory (the same on LP64 and wasm32).

export interface Tensor {
  name: string;
  /** 0 PARAM, 1 BUFFER, 2 CONTROL, 3 AUX */
  role?: number;
  shape: number[];
}
export interface Update {
  ordinal: bigint;
  /** 1 to 2^29 - 1 */
  weight: number;
  baseVersion?: bigint;
  serverVersion?: bigint;
  examples?: number;
  steps?: number;
  l2Norm?: number;
  lossBefore?: number;
  lossAfter?: number;
}
export interface Round {
  round: bigint;
  cohort: bigint;
  expectedUpdates: bigint;
  /** Terms are rounded to multiples of 2^gridExponent. */
  gridExponent: number;
  weightUnitExponent?: number;
  serverVersion?: bigint;
  population?: bigint;
  seed?: Uint8Array;
}

export const tensorBytes = 80;
export const updateBytes = 104;
export const roundBytes = 104;
export const capsBytes = 32;
const f32 = 1;
export const maxRank = 8;

export const elements = (tensor: Tensor): number => tensor.shape.reduce((a, b) => a * b, 1);

export function writeTensor(view: DataView, tensor: Tensor, nameAt: number, nameBytes: number, first: number): void {
  const head = [tensorBytes, nameAt, nameBytes, tensor.role ?? 0, f32, tensor.shape.length];
  head.forEach((value, i) => view.setUint32(i * 4, value, true));
  for (let i = 0; i < maxRank; ++i) view.setUint32(24 + i * 4, tensor.shape[i] ?? 0, true);
  view.setUint32(56, 0, true);
  view.setUint32(60, 0, true);
  view.setBigUint64(64, BigInt(first), true);
  view.setBigUint64(72, BigInt(elements(tensor)), true);
}

export function writeUpdate(view: DataView, update: Update): void {
  view.setUint32(0, updateBytes, true);
  view.setUint32(4, 0, true);
  view.setBigUint64(8, update.ordinal, true);
  view.setBigUint64(16, 0n, true);
  view.setBigUint64(24, 0n, true);
  view.setBigUint64(32, update.baseVersion ?? 0n, true);
  view.setBigUint64(40, update.serverVersion ?? 0n, true);
  view.setUint32(48, update.weight, true);
  view.setUint32(52, 0, true);
  const known = [update.examples, update.steps, update.l2Norm, update.lossBefore, update.lossAfter, undefined];
  known.forEach((value, i) => view.setFloat64(56 + i * 8, value ?? NaN, true));
}

export function writeRound(view: DataView, round: Round): void {
  view.setUint32(0, roundBytes, true);
  view.setUint32(4, 0, true);
  const counts = [0n, 0n, round.round, round.serverVersion ?? 0n, round.population ?? 0n, round.cohort, round.expectedUpdates];
  counts.forEach((value, i) => view.setBigUint64(8 + i * 8, value, true));
  view.setInt32(64, round.gridExponent, true);
  view.setInt32(68, round.weightUnitExponent ?? 0, true);
  for (let i = 0; i < 32; ++i) view.setUint8(72 + i, round.seed?.[i] ?? 0);
}
