import assert from 'node:assert/strict';
import {test} from 'node:test';
import {PluginError, PluginModule} from '../src/plugin/module.ts';
import type {PluginInstance, Update} from '../src/plugin/module.ts';
import {readPlugin} from './support.ts';

const fedavg = readPlugin('fedavg');
const skip = fedavg ? false : 'fedavg.wasm is not built (target plugins of the preset wasm)';
const layout = [{name: 'dense1.weight', shape: [100, 50]}, {name: 'dense1.bias', shape: [50]}, {name: 'dense2.weight', shape: [50, 3]}];
const size = 5000 + 50 + 150;
const gridExponent = -32;
const round = {round: 1n, cohort: 5n, expectedUpdates: 5n, gridExponent};

// Values over many magnitudes, the same in each run.
function makeUpdates(count: number): {updates: Update[]; values: Float32Array[]} {
  let state = 12345;
  const random = (): number => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
  const updates = Array.from({length: count}, (_, i) => ({ordinal: BigInt(i), weight: 1 + Math.floor(random() * 2000)}));
  const values = updates.map(() => Float32Array.from({length: size}, () => (random() - 0.5) * 2 ** -Math.floor(random() * 30)));
  return {updates, values};
}

// The exact weighted mean as plugin.h defines it, on plain numbers.
function exactMean(updates: Update[], values: Float32Array[], base: Float32Array, grid = gridExponent): Float32Array {
  const magic = 1.5 * 2 ** (52 + grid);
  const total = updates.reduce((sum, update) => sum + update.weight, 0);
  return Float32Array.from(base, (start, i) => {
    let sum = 0;
    updates.forEach((update, row) => (sum += update.weight * (values[row]?.[i] ?? 0) + magic - magic));
    return start + Math.fround(sum / total);
  });
}

async function prepare(config: Record<string, unknown> = {}): Promise<PluginInstance> {
  const plugin = await PluginModule.load(fedavg as Uint8Array<ArrayBuffer>);
  const instance = plugin.create(0, config);
  instance.setLayout(layout);
  return instance;
}

test('the module says what it is', {skip}, async () => {
  const plugin = await PluginModule.load(fedavg as Uint8Array<ArrayBuffer>);
  const [about] = plugin.strategies();
  assert.equal(about?.id, 'fedavg');
  assert.equal(about?.licence, 'Apache-2.0');
});

test('fedavg.wasm gives the exact mean, bit by bit, in every order and grouping', {skip}, async () => {
  const {updates, values} = makeUpdates(20);
  const base = Float32Array.from({length: size}, (_, i) => Math.sin(i));
  const expected = exactMean(updates, values, base);
  const partials: Uint8Array[] = [];
  for (const [group, reversed] of [[1, false], [16, false], [7, true]] as const) {
    const instance = await prepare();
    instance.beginRound(round, base);
    const order = updates.map((_, i) => (reversed ? updates.length - 1 - i : i));
    for (let at = 0; at < order.length; at += group) {
      const part = order.slice(at, at + group);
      instance.fold(part.map((i) => updates[i] as Update), part.map((i) => values[i] as Float32Array));
    }
    partials.push(instance.readBlob(1));
    assert.deepEqual(instance.finish(base).parameters, expected);
  }
  assert.deepEqual(partials[1], partials[0]);
  assert.deepEqual(partials[2], partials[0]);
});

test('the reference can fail: on a coarser grid the mean has other bits', () => {
  const {updates, values} = makeUpdates(20);
  const base = new Float32Array(size);
  assert.notDeepEqual(exactMean(updates, values, base, -20), exactMean(updates, values, base));
});

test('values that are not finite, and too many rows, are refused before they reach the plugin', {skip}, async () => {
  const instance = await prepare();
  const {updates, values} = makeUpdates(17);
  instance.beginRound(round, new Float32Array(size));
  assert.throws(() => instance.fold(updates, values), /wanted 1 to 16/);
  (values[0] as Float32Array)[3] = Infinity;
  assert.throws(() => instance.fold(updates.slice(0, 1), values.slice(0, 1)), /value 3 of update 0 is not finite/);
  assert.throws(() => instance.fold(updates.slice(0, 1), [new Float32Array(3)]), /has 3 values, wanted 5200/);
});

test('calls out of order are errors, and a new round starts clean', {skip}, async () => {
  const instance = await prepare();
  const {updates, values} = makeUpdates(1);
  const base = new Float32Array(size);
  assert.throws(() => instance.fold(updates, values), /fold: beginRound comes first/);
  assert.throws(() => instance.finish(base), /finish: beginRound comes first/);
  instance.beginRound(round, base);
  assert.throws(() => instance.finish(base), PluginError, 'no update');
  instance.beginRound(round, base);
  instance.fold(updates, values);
  assert.deepEqual(instance.finish(base).parameters, exactMean(updates, values, base));
});

// ---- Hostile modules, made by hand.

const text = (value: string): number[] => [value.length, ...Buffer.from(value)];
const section = (id: number, bytes: number[]): number[] => [id, ...leb(bytes.length), ...bytes];
function leb(value: number): number[] {
  const bytes = [];
  do {
    bytes.push((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    value >>>= 7;
  } while (value > 0);
  return bytes;
}
// Functions of type () -> i32 or (i32) -> i32 by name, with their bodies; memory of one page is exported unless said.
function makeModule(functions: {name: string; argument?: boolean; body: number[]}[], {imports = [] as number[][], memory = true} = {}): Uint8Array<ArrayBuffer> {
  const importedFunctions = imports.filter((one) => one.at(-3) !== 2).length;
  const exported = functions.map(({name}, i) => [...text(name), 0, i + importedFunctions]);
  if (memory) exported.push([...text('memory'), 2, 0]);
  return Uint8Array.from([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [2, 0x60, 0, 1, 0x7f, 0x60, 1, 0x7f, 1, 0x7f]),
    ...(imports.length ? section(2, [imports.length, ...imports.flat()]) : []),
    ...section(3, [functions.length, ...functions.map(({argument}) => (argument ? 1 : 0))]),
    ...(memory ? section(5, [1, 0, 1]) : []),
    ...section(7, [exported.length, ...exported.flat()]),
    ...section(10, [functions.length, ...functions.flatMap(({body}) => [...leb(body.length + 2), 0, ...body, 0xb])]),
  ]);
}
const constant = (value: number): number[] => {
  // Signed LEB128 of up to 32 bits.
  const bytes = [];
  for (let more = true; more;) {
    const low = value & 0x7f;
    value >>= 7;
    more = !((value === 0 && !(low & 0x40)) || (value === -1 && low & 0x40));
    bytes.push(low | (more ? 0x80 : 0));
  }
  return [0x41, ...bytes];
};
const abi = {name: 'lnt_abi', body: constant(0x10000)};

test('imports beyond the few admitted ones are refused by name', async () => {
  const imported = [...text('wasi_snapshot_preview1'), ...text('fd_write'), 0, 0];
  await assert.rejects(PluginModule.load(makeModule([abi], {imports: [imported]})), /asks for wasi_snapshot_preview1\.fd_write/);
  const memory = [...text('env'), ...text('memory'), 2, 0, 1];
  await assert.rejects(PluginModule.load(makeModule([abi], {imports: [memory], memory: false})), /asks for env\.memory \(memory\)/);
});
test('another major version, and a module without memory, are refused', async () => {
  await assert.rejects(PluginModule.load(makeModule([{name: 'lnt_abi', body: constant(0x20000)}])), /speaks ABI 2\.0, wanted 1/);
  await assert.rejects(PluginModule.load(makeModule([abi], {memory: false})), /no memory of its own/);
});
test('a buffer outside of the plugin\'s memory is noticed', async () => {
  const plugin = await PluginModule.load(makeModule([abi, {name: 'lnt_buffer', argument: true, body: constant(65530)}, {name: 'lnt_buffer_free', argument: true, body: constant(0)}]));
  assert.throws(() => plugin.scoped((room) => room(16)), /named bytes 65530 to 65546, its memory has 65536/);
  const negative = await PluginModule.load(makeModule([abi, {name: 'lnt_buffer', argument: true, body: constant(-8)}, {name: 'lnt_buffer_free', argument: true, body: constant(0)}]));
  assert.throws(() => negative.scoped((room) => room(4)), /its memory has 65536/);
});
test('a trap poisons the module', async () => {
  const plugin = await PluginModule.load(makeModule([abi, {name: 'lnt_count', body: [0]}]));
  assert.throws(() => plugin.call('lnt_count'), /lnt_count: the plugin trapped/);
  assert.throws(() => plugin.call('lnt_abi'), /trapped before .* not used again/);
});
test('endless recursion ends in a trap, not in the page', async () => {
  const plugin = await PluginModule.load(makeModule([abi, {name: 'lnt_count', body: [0x10, 1]}]));
  assert.throws(() => plugin.call('lnt_count'), /trapped: .*call stack/i);
});
test('a memory bomb is stopped at the limit', async () => {
  const grow = {name: 'lnt_count', body: [...constant(64), 0x40, 0]};
  const plugin = await PluginModule.load(makeModule([abi, grow]), {maxMemoryBytes: 1 << 20});
  assert.throws(() => plugin.call('lnt_count'), /memory has grown to 4259840 bytes, the limit is 1048576/);
});
test('what differs between machines, or goes around the limits, is refused before anything runs', async () => {
  const relaxed = [0xfd, 12, ...new Array<number>(16).fill(0), 0xfd, 12, ...new Array<number>(16).fill(1), 0xfd, 0x80, 2, 0x1a, ...constant(0x10000)];
  const load = (module: Uint8Array<ArrayBuffer>) => PluginModule.load(module);
  await assert.rejects(load(makeModule([{name: 'lnt_abi', body: relaxed}])), /uses relaxed SIMD instructions/);
  const fence = [0xfe, 3, 0, ...constant(0x10000)];
  await assert.rejects(load(makeModule([{name: 'lnt_abi', body: fence}])), /uses atomic instructions/);
  // A table of ten million entries, and a memory that threads could share; both sections stand behind the functions'.
  const plain = makeModule([abi]);
  const functionsEnd = 8 + (2 + 10) + (2 + 2);
  const withTable = Uint8Array.from([...plain.subarray(0, functionsEnd), ...section(4, [1, 0x70, 0, ...leb(9_999_999)]), ...plain.subarray(functionsEnd)]);
  await assert.rejects(load(withTable), /has a table of 9999999 entries, wanted at most 100000/);
  const shared = Uint8Array.from([...plain.subarray(0, functionsEnd), ...section(5, [1, 3, 1, 2]), ...plain.subarray(functionsEnd + 5)]);
  await assert.rejects(load(shared), /shares its memory between threads/);
});
test('a constant that looks like a relaxed instruction is none', async () => {
  const plugin = await PluginModule.load(makeModule([{name: 'lnt_abi', body: [0xfd, 12, 0xfd, 0x80, 2, ...new Array<number>(13).fill(0xfe), 0x1a, ...constant(0x10000)]}]));
  assert.equal(plugin.call('lnt_abi'), 0x10000);
});
