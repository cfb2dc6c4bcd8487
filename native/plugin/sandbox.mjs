// The process that runs a stranger's .wasm: node sandbox.mjs LOADER MAX_BYTES, where LOADER is the browser's own plugin
// loader (web/src/plugin/module.ts). It has no network, no files but these, and no memory beyond the cap.
//
// Descriptors: 0 requests, 1 responses, 3 shared memory, 4 the module. A request is calls to make in one go, with their
// arguments in a slot of the shared memory (sandbox_process.h has the layout), which is copied into the one buffer of
// that size that the plugin gives.
import {fstatSync, readSync, writeSync} from 'node:fs';

const [loader, maxBytes] = process.argv.slice(2);
const slotBytes = 2 << 20, slots = 4;
const maxText = 4096, maxLog = 16384;
const headBytes = 32, callBytes = 72, responseBytes = 24;
const names = ['count', 'describe', 'create', 'destroy', 'set_layout', 'round_begin', 'base_chunk', 'updates_begin',
               'updates_chunk', 'updates_end', 'pass_begin', 'pass_block', 'pass_end', 'finalize', 'result_chunk',
               'round_end', 'blob_size', 'blob_read', 'blob_write', 'last_error'].map((name) => `lnt_${name}`);
const statusTrap = -100;
const encoder = new TextEncoder();

function readAll(descriptor, bytes) {
  for (let at = 0; at < bytes.length;) {
    const n = readSync(descriptor, bytes, at, bytes.length - at);
    if (n === 0) process.exit(0);
    at += n;
  }
  return bytes;
}

// ---- What the plugin logs during a request

let lines = [], lineBytes = 0, omitted = 0;
function log(level, text) {
  const line = encoder.encode(`${level >>> 0 > 3 ? 3 : level >>> 0}${text.replaceAll(/[\x00-\x1f\x7f]/g, ' ')}\n`);
  if (lineBytes + line.length > maxLog) {
    ++omitted;
    return;
  }
  lines.push(line);
  lineBytes += line.length;
}

// What does not come from the plugin: status and text of an error, or the export's answer.
function respond(slot, status, calls, text = '', trapped = 0) {
  const bytes = encoder.encode(text).subarray(0, maxText);
  const at = slots * slotBytes + slot / slotBytes * (maxText + maxLog);
  if (bytes.length > 0) writeSync(3, bytes, 0, bytes.length, at);
  if (lineBytes > 0) writeSync(3, Buffer.concat(lines), 0, lineBytes, at + maxText);
  const response = new DataView(new ArrayBuffer(responseBytes));
  [status, calls, bytes.length, trapped, lineBytes, omitted].forEach((value, i) => response.setInt32(i * 4, value, true));
  lines = [];
  lineBytes = omitted = 0;
  writeSync(1, new Uint8Array(response.buffer));
}

let module, buffer = 0;
try {
  const {PluginModule} = await import(loader);
  const file = new Uint8Array(fstatSync(4).size);
  readSync(4, file, 0, file.length, 0);
  module = await PluginModule.load(file, {maxMemoryBytes: Number(maxBytes), log});
  buffer = module.call('lnt_buffer', slotBytes) >>> 0;
  if (buffer === 0) throw new Error(`the plugin has no ${slotBytes} bytes left for what is handed over`);
  module.memory.bytes(buffer, slotBytes);
  respond(0, 0, names.reduce((set, name, i) => set | (module.has(name) ? 1 << i : 0), 0));
} catch (error) {
  respond(0, error.status ?? statusTrap, 0, error.message, 1);
  process.exit(1);
}

function lastError(handle) {
  try {
    return module.has('lnt_last_error')
      ? module.text((at, size, length) => module.call('lnt_last_error', handle, at, size, length))
      : '';
  } catch {
    return '';
  }
}

const head = new Uint8Array(headBytes), headView = new DataView(head.buffer);
for (;;) {
  readAll(0, head);
  const count = headView.getUint32(0, true), slot = headView.getUint32(4, true), inBytes = headView.getUint32(8, true);
  const outBegin = headView.getUint32(12, true), outEnd = headView.getUint32(16, true);
  const calls = new DataView(readAll(0, new Uint8Array(count * callBytes)).buffer);
  let status = 0, done = 0;
  try {
    if (inBytes > 0) readSync(3, module.memory.bytes(buffer, inBytes), 0, inBytes, slot);
    for (; done < count && status >= 0; ++done) {
      const at = done * callBytes;
      const kinds = calls.getUint32(at + 8, true);
      const values = [];
      for (let i = 0, n = calls.getUint32(at + 4, true); i < n; ++i) {
        const kind = (kinds >> (2 * i)) & 3;
        values.push(kind === 1 ? calls.getBigUint64(at + 16 + 8 * i, true)
                               : calls.getUint32(at + 16 + 8 * i, true) + (kind === 2 ? buffer : 0));
      }
      status = module.call(names[calls.getUint32(at, true)], ...values) ?? 0;
    }
    if (outEnd > outBegin) {
      writeSync(3, module.memory.bytes(buffer + outBegin, outEnd - outBegin), 0, outEnd - outBegin, slot + outBegin);
    }
    respond(slot, status, done, status < 0 ? lastError(headView.getUint32(20, true)) : '');
  } catch (error) {
    respond(slot, error.status ?? statusTrap, done, error.message, 1);
    process.exit(1);
  }
}
