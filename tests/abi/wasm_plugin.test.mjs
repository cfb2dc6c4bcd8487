// The standalone .wasm of each strategy: no imports but the allowed ones, and the bits of golden.json, which
// the static entries and the .so files have too. The folder of the files is in LINNET_PLUGINS.
import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {test} from 'node:test';

const folder = process.env.LINNET_PLUGINS ?? 'build/native/plugins';
const golden = JSON.parse(readFileSync(new URL('golden.json', import.meta.url), 'utf8'));
const OK = 0, E_INVALID = -1, E_DATA = -7;
const STATE = 0, PARTIAL = 1;
const counts = [5, 300, 4097];
const size = counts.reduce((a, b) => a + b);

const load = (name) => {
  const module = new WebAssembly.Module(readFileSync(`${folder}/${name}.wasm`));
  const instance = new WebAssembly.Instance(module, {
    env: {emscripten_notify_memory_growth() {}},
    wasi_snapshot_preview1: {proc_exit(code) { throw new Error(`proc_exit(${code})`); }},
  });
  instance.exports._initialize();
  return {module, exports: instance.exports};
};

// The same numbers as Numbers in harness.h.
class Numbers {
  constructor(seed) { this.state = seed >>> 0; }
  next() { return this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0; }
  value() {
    const a = this.next(), b = this.next();
    const exponent = 127 - 40 + (a >>> 8) % 46;
    return new Float32Array(new Uint32Array([((a & 0x80000000) | (exponent << 23) | (b >>> 9)) >>> 0]).buffer)[0];
  }
  weight() { return 1 + (this.next() >>> 8) % 65536; }
}
const makeCohort = (seed, n = 20) => {
  const numbers = new Numbers(seed);
  const updates = [], weights = [];
  for (let i = 0; i < n; ++i) {
    updates.push(Float32Array.from({length: size}, () => numbers.value()));
    weights.push(i === 0 ? 1 : i === 1 ? 65536 : numbers.weight());
  }
  return {updates, weights, gridExp: Math.floor(Math.log2(64 * 65536 * n)) - 50};
};

// Drives one instance through the exports, reading the memory's base anew after every call.
class Plugin {
  constructor(exports) {
    this.x = exports;
    this.buffer = exports.lnt_buffer(1 << 20);
    assert.notEqual(this.buffer, 0);
  }
  view(type, offset, length) { return new type(this.x.memory.buffer, this.buffer + offset, length); }
  put(bytes, offset = 0) {
    this.view(Uint8Array, offset, bytes.byteLength).set(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    return this.buffer + offset;
  }
  expect(status) { assert.equal(status, OK, this.lastError()); }
  lastError() {
    const at = this.buffer + (1 << 19);
    this.x.lnt_last_error(this.handle ?? 0, at, 1000, at + 1000);
    const length = this.view(Uint32Array, (1 << 19) + 1000, 1)[0];
    return new TextDecoder().decode(this.view(Uint8Array, 1 << 19, Math.min(length, 1000)));
  }
  create(config) {
    this.put(new TextEncoder().encode(config), 64);
    this.put(new Uint32Array([32, 0, 0, 0]), 16);
    this.expect(this.x.lnt_create(0, this.buffer + 64, config.length, this.buffer, this.buffer + 16));
    this.handle = this.view(Uint32Array, 0, 1)[0];
    const rows = new DataView(new ArrayBuffer(80 * counts.length));
    let offset = 0;
    counts.forEach((count, i) => {
      const row = [80, i, 1, 0, 1, 1, count];
      row.forEach((value, j) => rows.setUint32(80 * i + 4 * j, value, true));
      rows.setBigUint64(80 * i + 64, BigInt(offset), true);
      rows.setBigUint64(80 * i + 72, BigInt(count), true);
      offset += count;
    });
    const names = this.put(new TextEncoder().encode('abc'), 4096);
    this.expect(this.x.lnt_set_layout(this.handle, this.put(new Uint8Array(rows.buffer)), counts.length, names, 3));
    return this;
  }
  begin(gridExp) {
    const round = new DataView(new ArrayBuffer(104));
    round.setUint32(0, 104, true);
    round.setInt32(64, gridExp, true);
    this.expect(this.x.lnt_round_begin(this.handle, this.put(new Uint8Array(round.buffer)), 104));
  }
  fold(cohort, order, rows = 7, chunk = 512) {
    for (let first = 0; first < order.length; first += rows) {
      const group = order.slice(first, first + rows);
      const metas = new DataView(new ArrayBuffer(104 * group.length));
      group.forEach((k, r) => {
        metas.setUint32(104 * r, 104, true);
        metas.setBigUint64(104 * r + 8, BigInt(k), true);
        metas.setUint32(104 * r + 48, cohort.weights[k], true);
      });
      this.expect(this.x.lnt_updates_begin(this.handle, this.put(new Uint8Array(metas.buffer)), 104, group.length));
      this.windows(chunk, (tensor, offset, at, count) => {
        group.forEach((k, r) => this.put(cohort.updates[k].subarray(at, at + count), 4 * chunk * r));
        this.expect(this.x.lnt_updates_chunk(this.handle, tensor, BigInt(offset), this.buffer, 4 * chunk, count));
      });
      this.expect(this.x.lnt_updates_end(this.handle));
    }
  }
  finish(model, chunk = 512) {
    this.expect(this.x.lnt_finalize(this.handle));
    this.windows(chunk, (tensor, offset, at, count) => {
      this.put(model.subarray(at, at + count));
      this.expect(this.x.lnt_result_chunk(this.handle, tensor, BigInt(offset), this.buffer, this.buffer, count));
      model.set(this.view(Float32Array, 0, count), at);
    });
    this.expect(this.x.lnt_round_end(this.handle, this.buffer + 16, 1000, this.buffer));
  }
  windows(chunk, body) {
    let at = 0;
    counts.forEach((total, tensor) => {
      for (let offset = 0; offset < total; offset += chunk) {
        const count = Math.min(chunk, total - offset);
        body(tensor, offset, at, count);
        at += count;
      }
    });
  }
  blob(kind) {
    this.expect(this.x.lnt_blob_size(this.handle, kind, this.buffer));
    const length = Number(this.view(BigUint64Array, 0, 1)[0]);
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += 10000) {
      const n = Math.min(10000, length - at);
      this.expect(this.x.lnt_blob_read(this.handle, kind, BigInt(at), this.buffer, n));
      bytes.set(this.view(Uint8Array, 0, n), at);
    }
    return bytes;
  }
  merge(bytes) {
    for (let at = 0; at < bytes.length; at += 10000) {
      const page = bytes.slice(at, at + 10000);
      const status =
          this.x.lnt_blob_write(this.handle, PARTIAL, BigInt(bytes.length), BigInt(at), this.put(page), page.length);
      if (status !== OK) return status;
    }
    return OK;
  }
}

const sha256 = (array) =>
    createHash('sha256').update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength)).digest('hex');
const inOrder = [...Array(20).keys()];

for (const name of Object.keys(golden)) {
  test(`${name}.wasm imports nothing but what is allowed`, () => {
    const {module} = load(name);
    const allowed = ['env.emscripten_notify_memory_growth', 'wasi_snapshot_preview1.proc_exit'];
    for (const entry of WebAssembly.Module.imports(module)) {
      assert.ok(allowed.includes(`${entry.module}.${entry.name}`), `${entry.module}.${entry.name}`);
    }
  });

  test(`${name}.wasm exports the ABI`, () => {
    const {exports} = load(name);
    assert.equal(exports.lnt_abi(), 0x10000);
    for (const member of ['count', 'describe', 'create', 'destroy', 'set_layout', 'round_begin', 'updates_begin',
                          'updates_chunk', 'updates_end', 'finalize', 'result_chunk', 'round_end', 'blob_size',
                          'blob_read', 'blob_write', 'last_error', 'buffer', 'buffer_free']) {
      assert.equal(typeof exports[`lnt_${member}`], 'function', member);
    }
    assert.equal(exports.lnt_count(), 1);
    const plugin = new Plugin(exports);
    plugin.expect(exports.lnt_describe(0, plugin.buffer + 16, 8192, plugin.buffer));
    const length = plugin.view(Uint32Array, 0, 1)[0];
    assert.equal(JSON.parse(new TextDecoder().decode(plugin.view(Uint8Array, 16, length))).id, name);
  });

  test(`${name}.wasm gives the golden bits`, () => {
    const plugin = new Plugin(load(name).exports).create('{}');
    const model = new Float32Array(size);
    let partial;
    for (let round = 1; round <= 3; ++round) {
      const cohort = makeCohort(round);
      plugin.begin(cohort.gridExp);
      plugin.fold(cohort, inOrder);
      partial = plugin.blob(PARTIAL);
      plugin.finish(model);
    }
    assert.equal(sha256(partial), golden[name].partial, 'accumulator');
    assert.equal(sha256(model), golden[name].result, 'result');
    assert.equal(sha256(plugin.blob(STATE)), golden[name].state, 'state');
  });

  test(`${name}.wasm gives the same bits for other orders, windows and trees`, () => {
    const cohort = makeCohort(5);
    const {exports} = load(name);
    const accumulate = (order, rows, chunk) => {
      const plugin = new Plugin(exports).create('{}');
      plugin.begin(cohort.gridExp);
      plugin.fold(cohort, order, rows, chunk);
      return plugin;
    };
    const flat = sha256(accumulate(inOrder, 16, 4096).blob(PARTIAL));
    assert.equal(sha256(accumulate([...inOrder].reverse(), 1, 4096).blob(PARTIAL)), flat);
    assert.equal(sha256(accumulate(inOrder, 16, 7).blob(PARTIAL)), flat);
    const root = accumulate([17, 3, 8], 2, 512);
    const edge = accumulate(inOrder.filter((k) => ![17, 3, 8].includes(k)), 5, 512).blob(PARTIAL);
    assert.equal(root.merge(edge), OK, root.lastError());
    assert.equal(sha256(root.blob(PARTIAL)), flat);
    const other = accumulate([], 1, 1);
    other.begin(cohort.gridExp + 1);
    assert.equal(other.merge(edge), E_DATA);
  });

  test(`${name}.wasm refuses handles that are not its own`, () => {
    const {exports} = load(name);
    for (const handle of [0, 1, 0x7fffffff, -1]) assert.equal(exports.lnt_finalize(handle), E_INVALID);
  });
}

// The golden accumulator is not only what we once computed: plain JavaScript arithmetic gives it too.
test('the sums of fedavg are those of doubles rounded to the grid', () => {
  const cohort = makeCohort(3);
  const magic = 1.5 * 2 ** (52 + cohort.gridExp);
  const sums = new Float64Array(size);
  cohort.updates.forEach((x, k) => {
    for (let i = 0; i < size; ++i) sums[i] += (cohort.weights[k] * x[i] + magic) - magic;
  });
  const plugin = new Plugin(load('fedavg').exports).create('{}');
  plugin.begin(cohort.gridExp);
  plugin.fold(cohort, inOrder);
  const partial = plugin.blob(PARTIAL);
  assert.equal(sha256(partial), golden.fedavg.partial);
  assert.deepEqual(partial.subarray(partial.length - 8 * size), new Uint8Array(sums.buffer));
});
