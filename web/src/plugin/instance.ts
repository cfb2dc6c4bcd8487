// One instance of a strategy in STREAM mode, driven through its rounds.
import {PluginError, statusTrap} from './memory.ts';
import type {PluginModule} from './module.ts';
import {capsBytes, elements, maxRank, roundBytes, tensorBytes, updateBytes, writeRound, writeTensor, writeUpdate} from './structs.ts';
import type {Round, Tensor, Update} from './structs.ts';

const modeStream = 1;
const needBase = 1 << 12;
const maxRows = 16;
const maxBlob = 1 << 30;
const window = 4096;
const encoder = new TextEncoder();

/** Kinds of blobs. */
export const blob = {state: 0, partial: 1, result: 2, client: 3} as const;

export class PluginInstance {
  private readonly plugin: PluginModule;
  private readonly handle: number;
  private readonly caps: number;
  private tensors: Tensor[] = [];
  private count = 0;
  private open = false;

  private constructor(plugin: PluginModule, handle: number, caps: number) {
    this.plugin = plugin;
    this.handle = handle;
    this.caps = caps;
  }

  static create(plugin: PluginModule, index: number, config: Uint8Array): PluginInstance {
    return plugin.scoped((room) => {
      const at = room(Math.max(config.length, 1));
      const handle = room(4);
      const caps = room(capsBytes);
      plugin.memory.bytes(at, config.length).set(config);
      plugin.memory.bytes(caps, capsBytes).fill(0);
      plugin.memory.view(caps, capsBytes).setUint32(0, capsBytes, true);
      plugin.check(0, 'lnt_create', index, at, config.length, handle, caps);
      const view = plugin.memory.view(caps, capsBytes);
      if (!(view.getUint32(8, true) & modeStream)) throw new PluginError(-2, 'the strategy has no STREAM mode');
      return new PluginInstance(plugin, plugin.memory.u32(handle), view.getUint32(12, true));
    });
  }

  destroy(): void {
    this.plugin.call('lnt_destroy', this.handle);
  }

  setLayout(tensors: Tensor[]): void {
    const names = tensors.map((tensor) => encoder.encode(tensor.name));
    const nameBytes = names.reduce((sum, name) => sum + name.length, 0);
    if (tensors.some((tensor) => tensor.shape.length > maxRank)) throw new RangeError(`a tensor has more than ${maxRank} dimensions`);
    this.plugin.scoped((room) => {
      const at = room(tensors.length * tensorBytes);
      const namesAt = room(Math.max(nameBytes, 1));
      let first = 0, nameAt = 0;
      tensors.forEach((tensor, i) => {
        const name = names[i] ?? new Uint8Array(0);
        writeTensor(this.plugin.memory.view(at + i * tensorBytes, tensorBytes), tensor, nameAt, name.length, first);
        this.plugin.memory.bytes(namesAt + nameAt, name.length).set(name);
        nameAt += name.length;
        first += elements(tensor);
      });
      this.check('lnt_set_layout', at, tensors.length, namesAt, nameBytes);
      this.count = first;
    });
    this.tensors = tensors;
  }

  /** `base`: all parameters, shown to strategies that ask for them. */
  beginRound(round: Round, base: Float32Array): void {
    this.plugin.scoped((room) => {
      const at = room(roundBytes);
      writeRound(this.plugin.memory.view(at, roundBytes), round);
      this.check('lnt_round_begin', at, roundBytes);
    });
    this.open = true;
    if (!(this.caps & needBase)) return;
    this.windows((tensor, offset, first, size, room) => {
      const at = room(size * 4);
      this.plugin.memory.floats(at, size).set(base.subarray(first, first + size));
      this.check('lnt_base_chunk', tensor, BigInt(offset), at, size);
    });
  }

  /** 1 to 16 updates at once, each all parameters long and finite. True: the strategy's buffer is full, finish is due. */
  fold(updates: readonly Update[], values: readonly Float32Array[]): boolean {
    this.needRound('fold');
    if (updates.length < 1 || updates.length > maxRows || values.length !== updates.length) {
      throw new RangeError(`found ${updates.length} updates with ${values.length} vectors, wanted 1 to ${maxRows} of each`);
    }
    values.forEach((row, i) => {
      if (row.length !== this.count) throw new RangeError(`update ${i} has ${row.length} values, wanted ${this.count}`);
      const bad = row.findIndex((value) => !Number.isFinite(value));
      if (bad >= 0) throw new RangeError(`value ${bad} of update ${i} is not finite`);
    });
    this.plugin.scoped((room) => {
      const at = room(updates.length * updateBytes);
      updates.forEach((update, i) => writeUpdate(this.plugin.memory.view(at + i * updateBytes, updateBytes), update));
      this.check('lnt_updates_begin', at, updateBytes, updates.length);
    });
    this.windows((tensor, offset, first, size, room) => {
      const at = room(values.length * size * 4);
      values.forEach((row, i) => this.plugin.memory.floats(at + i * size * 4, size).set(row.subarray(first, first + size)));
      this.check('lnt_updates_chunk', tensor, BigInt(offset), at, size * 4, size);
    });
    return this.check('lnt_updates_end') === 1;
  }

  /** The new parameters and the round's metrics. Values that are not finite are refused. */
  finish(base: Float32Array): {parameters: Float32Array<ArrayBuffer>; metrics: Record<string, number>} {
    this.needRound('finish');
    this.open = false;
    this.check('lnt_finalize');
    const parameters = new Float32Array(this.count);
    this.windows((tensor, offset, first, size, room) => {
      const at = room(size * 4);
      const out = room(size * 4);
      this.plugin.memory.floats(at, size).set(base.subarray(first, first + size));
      this.check('lnt_result_chunk', tensor, BigInt(offset), at, out, size);
      parameters.set(this.plugin.memory.floats(out, size), first);
    });
    const text = this.plugin.has('lnt_round_end')
      ? this.plugin.text((at, size, length) => this.check('lnt_round_end', at, size, length))
      : '{}';
    if (!parameters.every(Number.isFinite)) throw new PluginError(-7, 'the new parameters are not all finite');
    const metrics = Object.fromEntries(Object.entries(JSON.parse(text || '{}') as Record<string, unknown>)
      .filter((entry): entry is [string, number] => Number.isFinite(entry[1])));
    return {parameters, metrics};
  }

  readBlob(kind: number): Uint8Array<ArrayBuffer> {
    return this.plugin.scoped((room) => {
      const sizeAt = room(8);
      this.check('lnt_blob_size', kind, sizeAt);
      const size = Number(this.plugin.memory.view(sizeAt, 8).getBigUint64(0, true));
      if (size > maxBlob) throw new PluginError(statusTrap, `the plugin claims a blob of ${size} bytes`);
      const bytes = new Uint8Array(size);
      const page = room(Math.min(size, 65536) || 1);
      for (let at = 0; at < size; at += 65536) {
        const length = Math.min(65536, size - at);
        this.check('lnt_blob_read', kind, BigInt(at), page, length);
        bytes.set(this.plugin.memory.bytes(page, length), at);
      }
      return bytes;
    });
  }
  writeBlob(kind: number, bytes: Uint8Array): void {
    this.plugin.scoped((room) => {
      const page = room(Math.min(bytes.length, 65536) || 1);
      for (let at = 0; at < bytes.length; at += 65536) {
        const part = bytes.subarray(at, at + 65536);
        this.plugin.memory.bytes(page, part.length).set(part);
        this.check('lnt_blob_write', kind, BigInt(bytes.length), BigInt(at), page, part.length);
      }
    });
  }

  private needRound(what: string): void {
    if (!this.open) throw new PluginError(-4, `${what}: beginRound comes first`);
  }
  // Each window of each tensor in ascending order, with plugin memory for its time.
  private windows(body: (tensor: number, offset: number, first: number, size: number, room: (size: number) => number) => void): void {
    let first = 0;
    this.tensors.forEach((tensor, index) => {
      const length = elements(tensor);
      for (let offset = 0; offset < length; offset += window) {
        const size = Math.min(window, length - offset);
        this.plugin.scoped((room) => body(index, offset, first + offset, size, room));
      }
      first += length;
    });
  }
  private check(name: string, ...values: (number | bigint)[]): number {
    return this.plugin.check(this.handle, name, this.handle, ...values);
  }
}
