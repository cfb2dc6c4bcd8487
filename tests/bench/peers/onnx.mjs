// Writes ONNX files: enough of the format (opset 13) for the graphs of graphs.mjs.
//
// Fields are numbered as in the public onnx.proto. https://onnx.ai/onnx/repo-docs/IR.html

const utf8 = new TextEncoder();

function varint(value) {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 0x80 : low);
  } while (rest > 0n);
  return Uint8Array.from(bytes);
}

function join(parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const integer = (field, value) => join([varint(field << 3), varint(value)]);
const bytes = (field, value) => join([varint((field << 3) | 2), varint(value.length), value]);
const text = (field, value) => bytes(field, utf8.encode(value));
const float = (field, value) => join([varint((field << 3) | 5), new Uint8Array(Float32Array.of(value).buffer)]);

export const FLOAT = 1, UINT8 = 2, INT8 = 3, INT32 = 6, INT64 = 7;
const typeOf = (data) => data instanceof Float32Array ? FLOAT : data instanceof Uint8Array ? UINT8 : data instanceof Int8Array ? INT8
  : data instanceof Int32Array ? INT32 : INT64;

function attribute(name, value) {
  if (Array.isArray(value)) return join([text(1, name), ...value.map((item) => integer(8, item)), integer(20, 7)]);
  if (typeof value === 'string') return join([text(1, name), text(4, value), integer(20, 3)]);
  // A number with a point is written as {float: 0.5}.
  if (typeof value === 'object') return join([text(1, name), float(2, value.float), integer(20, 1)]);
  return join([text(1, name), integer(3, value), integer(20, 2)]);
}

const valueInfo = (name, type, dims) => join([text(1, name),
  bytes(2, bytes(1, join([integer(1, type), bytes(2, join(dims.map((dim) => bytes(1, integer(1, dim)))))])))]);

/** A graph under construction. Values are named by strings; `op` returns its (first) output's name. */
export class Graph {
  #nodes = [];
  #constants = [];
  #inputs = [];
  #outputs = [];
  #count = 0;

  input(name, dims, type = FLOAT) {
    this.#inputs.push(bytes(11, valueInfo(name, type, dims)));
    return name;
  }
  output(name, value, dims, type = FLOAT) {
    this.#nodes.push(bytes(1, join([text(1, value), text(2, name), text(4, 'Identity')])));
    this.#outputs.push(bytes(12, valueInfo(name, type, dims)));
  }
  constant(data, dims) {
    const name = `c${this.#count++}`;
    const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#constants.push(bytes(5, join([...dims.map((dim) => integer(1, dim)), integer(2, typeOf(data)), text(8, name), bytes(9, raw)])));
    return name;
  }
  ops(type, inputs, outputs, attributes = {}) {
    const names = Array.from({length: outputs}, () => `v${this.#count++}`);
    this.#nodes.push(bytes(1, join([...inputs.map((input) => text(1, input)), ...names.map((name) => text(2, name)), text(4, type),
      ...Object.entries(attributes).map(([name, value]) => bytes(5, attribute(name, value)))])));
    return names;
  }
  op(type, inputs, attributes) {
    return this.ops(type, inputs, 1, attributes)[0];
  }
  finish() {
    const graph = join([...this.#nodes, text(2, 'graph'), ...this.#constants, ...this.#inputs, ...this.#outputs]);
    return join([integer(1, 8), bytes(7, graph), bytes(8, join([text(1, ''), integer(2, 13)]))]);
  }
}
