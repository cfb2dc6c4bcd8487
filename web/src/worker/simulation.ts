// A federation simulated in this worker: linnet/simulate.h, and strategies as .wasm modules beside the engine. Pointers
// into the engine's memory are here and in wasm.ts, nowhere else.
import {PluginModule} from '../plugin/module.ts';
import type {LogLine, SimulatedRound, SimulationSummary} from '../shared/types.ts';
import type {Engine} from './wasm.ts';

type Pointer = number;
interface Exports {
  _linnet_strategies(remote: number, count: Pointer): Pointer;
  _linnet_create_simulation(options: Pointer, strategies: Pointer, count: number): Pointer;
  _linnet_destroy_simulation(simulation: Pointer): void;
  _linnet_run_simulation(simulation: Pointer, maxEvents: number): number;
  _linnet_next_simulation_event(simulation: Pointer): Pointer;
  _linnet_finish_simulation(simulation: Pointer): Pointer;
  _linnet_simulation_model(simulation: Pointer): Pointer;
  remoteCall(slot: number, member: number, words: Pointer): number;
  remoteHas(slot: number, member: number): boolean;
}

export const maxPlugins = 4;
const maxLines = 1000;

/** Owns one simulation; close it. */
export class Simulation {
  private readonly engine: Engine;
  private readonly raw: Exports;
  private pointer: Pointer;

  private constructor(engine: Engine, raw: Exports, pointer: Pointer) {
    this.engine = engine;
    this.raw = raw;
    this.pointer = pointer;
  }

  /** `options` as linnet_create_simulation; `plugins`: modules whose strategies the federation may name as well. */
  static async create(engine: Engine, options: object, plugins: readonly Uint8Array<ArrayBuffer>[], log: (line: LogLine) => void): Promise<Simulation> {
    if (plugins.length > maxPlugins) throw new RangeError(`found ${plugins.length} plugins, wanted at most ${maxPlugins}`);
    const raw = engine.raw as unknown as Exports;
    let lines = 0;
    const remotes: RemotePlugin[] = [];
    for (const bytes of plugins) {
      const module = await PluginModule.load(bytes, {log: (level, line) => {
        if (++lines <= maxLines) log({level: Math.min(level, 3), line});
      }});
      remotes.push(new RemotePlugin(engine, module));
    }
    raw.remoteCall = (slot, member, words) => remotes[slot]?.call(member, words) ?? -2;
    raw.remoteHas = (slot, member) => remotes[slot]?.has(member) ?? false;
    return engine.scoped((scope) => {
      const count = scope.room(8);
      const strategies = raw._linnet_strategies(remotes.length, count);
      const found = new DataView(engine.buffer()).getUint32(count, true);
      return new Simulation(engine, raw, engine.handle(raw._linnet_create_simulation(scope.text(JSON.stringify(options)), strategies, found)));
    });
  }

  /** True while there is more. */
  run(maxEvents: number): boolean {
    return this.engine.check(this.raw._linnet_run_simulation(this.pointer, maxEvents)) === 1;
  }
  /** What happened since the last call. */
  events(): (SimulatedRound | LogLine)[] {
    const events = [];
    for (let at = this.raw._linnet_next_simulation_event(this.pointer); at !== 0; at = this.raw._linnet_next_simulation_event(this.pointer)) {
      events.push(JSON.parse(this.engine.text(at)) as SimulatedRound | LogLine);
    }
    return events;
  }
  /** After the end, once; the model's `.linnet` bytes beside it. */
  finish(): {summary: SimulationSummary; model: Uint8Array<ArrayBuffer>} {
    const summary = JSON.parse(this.engine.text(this.engine.handle(this.raw._linnet_finish_simulation(this.pointer)))) as SimulationSummary;
    const model = this.engine.adoptModel(this.raw._linnet_simulation_model(this.pointer));
    try {
      return {summary, model: new Uint8Array(model.save())};
    } finally {
      model.close();
    }
  }
  close(): void {
    if (this.pointer) this.raw._linnet_destroy_simulation(this.pointer);
    this.pointer = 0;
  }
}

// ---- A module that the engine sees as a plugin table (wasm/remote_plugin.h)

// How each parameter crosses: a number, a BigInt, or so many bytes that are copied in, and back when they are `back`.
type Bytes = {bytes(words: readonly number[]): number; back: boolean};
type Parameter = 'u32' | 'u64' | 'rows' | Bytes;
const to = (bytes: Bytes['bytes']): Bytes => ({bytes, back: false});
const from = (bytes: Bytes['bytes']): Bytes => ({bytes, back: true});
const word = (i: number, times = 1) => (words: readonly number[]): number => (words[i] ?? 0) * times;
const u = 'u32', l = 'u64';

// In the order of lnt_plugin. A row's stride and the structs' sizes come from the engine.
const members: [name: string, ...parameters: Parameter[]][] = [
  ['count'],
  ['describe', u, from(word(2)), u, from(() => 4)],
  ['create', u, to(word(2)), u, from(() => 4), from(() => 32)],
  ['destroy', u],
  ['set_layout', u, to(word(2, 80)), u, to(word(4)), u],
  ['round_begin', u, to(word(2)), u],
  ['base_chunk', u, u, l, to(word(4, 4)), u],
  ['updates_begin', u, to((words) => (words[2] ?? 0) * (words[3] ?? 0)), u, u],
  ['updates_chunk', u, u, l, 'rows', u, u],
  ['updates_end', u],
  ['pass_begin', u, u, to((words) => (words[3] ?? 0) * (words[4] ?? 0)), u, u],
  ['pass_block', u, u, l, 'rows', u, u, from(word(5, 4))],
  ['pass_end', u],
  ['finalize', u],
  ['result_chunk', u, u, l, to(word(5, 4)), from(word(5, 4)), u],
  ['round_end', u, from(word(2)), u, from(() => 4)],
  ['blob_size', u, u, from(() => 8)],
  ['blob_read', u, u, l, from(word(4)), u],
  ['blob_write', u, u, l, l, to(word(5)), u],
  ['last_error', u, from(word(2)), u, from(() => 4)],
];
const lastError = members.length - 1;
const stride = 4;  // of the arguments `rows`: its own place and the next
const align = (bytes: number): number => (bytes + 15) & ~15;

class RemotePlugin {
  private readonly engine: Engine;
  private readonly module: PluginModule;
  private readonly rows = new Map<number, number>();  // of the last begin, by handle
  private room = 0;
  private roomBytes = 0;
  private trap = '';

  constructor(engine: Engine, module: PluginModule) {
    this.engine = engine;
    this.module = module;
  }
  has(member: number): boolean {
    return this.module.has(`lnt_${members[member]?.[0]}`);
  }

  /** The status. A trap is one: the module is not used again, and last_error has its words. */
  call(member: number, at: Pointer): number {
    const [name, ...parameters] = members[member] ?? ['?'];
    const view = new DataView(this.engine.buffer());
    const words = parameters.map((_, i) => Number(view.getBigUint64(at + 8 * i, true)));
    try {
      if (this.trap && member === lastError) return this.tell(words);
      return this.forward(`lnt_${name}`, parameters, words);
    } catch (error) {
      this.trap ||= error instanceof Error ? error.message : String(error);
      return -100;
    }
  }

  private forward(name: string, parameters: readonly Parameter[], words: readonly number[]): number {
    const handle = words[0] ?? 0;
    if (name === 'lnt_updates_begin') this.rows.set(handle, words[3] ?? 0);
    if (name === 'lnt_pass_begin') this.rows.set(handle, words[4] ?? 0);
    const rows = this.rows.get(handle) ?? 0;
    const rowBytes = (words[5] ?? 0) * 4;
    const sizes = parameters.map((parameter) =>
      parameter === 'rows' ? rows * rowBytes : typeof parameter === 'string' ? 0 : parameter.bytes(words));
    this.reserve(sizes.reduce((sum, size) => sum + align(size), 0));
    let free = this.room;
    const values = parameters.map((parameter, i): number | bigint => {
      const value = words[i] ?? 0;
      if (parameter === 'u64') return BigInt(value);
      if (parameter === 'u32') return i === stride && parameters[i - 1] === 'rows' ? rowBytes : value;
      if (value === 0) return 0;
      const size = sizes[i] ?? 0, place = free;
      free += align(size);
      const target = this.module.memory.bytes(place, size);
      if (parameter !== 'rows') target.set(this.engineBytes(value, size));
      else for (let r = 0; r < rows; ++r) target.set(this.engineBytes(value + r * (words[stride] ?? 0), rowBytes), r * rowBytes);
      return place;
    });
    const status = this.module.call(name, ...values) | 0;
    parameters.forEach((parameter, i) => {
      if (typeof parameter === 'string' || !parameter.back || words[i] === 0) return;
      this.engineBytes(words[i] ?? 0, sizes[i] ?? 0).set(this.module.memory.bytes(Number(values[i]), sizes[i] ?? 0));
    });
    return status;
  }

  // One buffer of the plugin's, for the arguments of a call.
  private reserve(bytes: number): void {
    if (bytes <= this.roomBytes) return;
    if (this.room) this.module.call('lnt_buffer_free', this.room);
    this.room = this.module.call('lnt_buffer', bytes) >>> 0;
    this.roomBytes = bytes;
    if (this.room === 0) throw new Error(`the plugin has no ${bytes} bytes left`);
    this.module.memory.bytes(this.room, bytes);
  }

  private tell([, text = 0, cap = 0, length = 0]: readonly number[]): number {
    const bytes = new TextEncoder().encode(this.trap);
    this.engineBytes(text, Math.min(cap, bytes.length)).set(bytes.subarray(0, cap));
    new DataView(this.engine.buffer()).setUint32(length, bytes.length, true);
    return 0;
  }

  private engineBytes(at: Pointer, size: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.engine.buffer(), at, size);
  }
}
