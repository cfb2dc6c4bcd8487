// Aggregation plugins as standalone .wasm (linnet/plugin.h): each module has its own memory and may ask for little.
import {checkModule} from './check.ts';
import {PluginError, PluginMemory, statusQuota, statusTrap} from './memory.ts';
import {PluginInstance} from './instance.ts';

export {PluginError} from './memory.ts';
export {PluginInstance} from './instance.ts';
export type {Round, Tensor, Update} from './structs.ts';

const abiMajor = 1;
const maxText = 1 << 20;
const maxLine = 1000;
const decoder = new TextDecoder('utf-8', {fatal: true});
const encoder = new TextEncoder();

export interface Strategy {
  id: string;
  version: string;
  licence: string;
  config: unknown;
}
export interface PluginOptions {
  /** level: 0 debug to 3 error; the text is a stranger's: show it, never run it. */
  log?(level: number, text: string): void;
  /** Asked by the plugin during long work; true = leave soon. */
  cancelled?(): boolean;
  /** Refused beyond. Default 256 MiB. */
  maxMemoryBytes?: number;
}

type Call = (...values: (number | bigint)[]) => number;

/** A loaded module. After a trap it is poisoned: load it anew and restore the state. */
export class PluginModule {
  readonly memory: PluginMemory;
  private readonly exports: WebAssembly.Exports;
  private readonly maxMemoryBytes: number;
  private readonly raw: WebAssembly.Memory;
  private poisoned = '';

  private constructor(instance: WebAssembly.Instance, raw: WebAssembly.Memory, options: PluginOptions) {
    this.exports = instance.exports;
    this.raw = raw;
    this.memory = new PluginMemory(raw);
    this.maxMemoryBytes = options.maxMemoryBytes ?? 256 << 20;
  }

  static async load(bytes: BufferSource, options: PluginOptions = {}): Promise<PluginModule> {
    const module = await WebAssembly.compile(bytes);
    checkModule(bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    const memory: {now: WebAssembly.Memory | null} = {now: null};
    const imports = admittedImports(options, () => memory.now);
    for (const {module: from, name, kind} of WebAssembly.Module.imports(module)) {
      if (kind !== 'function' || !imports[from]?.[name]) {
        throw new PluginError(statusTrap, `the plugin asks for ${from}.${name} (${kind}), which no plugin gets`);
      }
    }
    const instance = await WebAssembly.instantiate(module, imports);
    const {memory: raw} = instance.exports;
    if (!(raw instanceof WebAssembly.Memory) || !(raw.buffer instanceof ArrayBuffer)) {
      throw new PluginError(statusTrap, 'the plugin has no memory of its own, or shares it');
    }
    memory.now = raw;
    const plugin = new PluginModule(instance, raw, options);
    if (plugin.has('_initialize')) plugin.call('_initialize');
    const version = plugin.call('lnt_abi') >>> 0;
    if (version >>> 16 !== abiMajor) {
      throw new PluginError(-9, `the plugin speaks ABI ${version >>> 16}.${version & 0xffff}, wanted ${abiMajor}`);
    }
    return plugin;
  }

  has(name: string): boolean {
    return typeof this.exports[name] === 'function';
  }

  /** One export by its name. A trap poisons the module. */
  call(name: string, ...values: (number | bigint)[]): number {
    if (this.poisoned) throw new PluginError(statusTrap, `the plugin trapped before (${this.poisoned}) and is not used again`);
    const found = this.exports[name];
    if (typeof found !== 'function') throw new PluginError(-2, `the plugin does not offer ${name}`);
    let result: number;
    try {
      result = (found as Call)(...values);
    } catch (error) {
      this.poisoned = error instanceof Error ? error.message : String(error);
      throw new PluginError(statusTrap, `${name}: the plugin trapped: ${this.poisoned}`);
    }
    if (this.raw.buffer.byteLength > this.maxMemoryBytes) {
      this.poisoned = 'too much memory';
      throw new PluginError(statusQuota, `the plugin's memory has grown to ${this.raw.buffer.byteLength} bytes, the limit is ${this.maxMemoryBytes}`);
    }
    return result;
  }

  /** The same, with a negative status as an error in the plugin's words. */
  check(handle: number, name: string, ...values: (number | bigint)[]): number {
    const status = this.call(name, ...values);
    if (status >= 0) return status;
    let text = '';
    try {
      text = this.has('lnt_last_error') ? this.text((at, size, length) => this.call('lnt_last_error', handle, at, size, length)) : '';
    } catch (error) {
      if (this.poisoned) throw error;
    }
    throw new PluginError(status, `${name}: status ${status}${text ? `: ${text}` : ''}`);
  }

  /** Plugin memory for the time of `body`. */
  scoped<T>(body: (room: (size: number) => number) => T): T {
    const taken: number[] = [];
    try {
      return body((size) => {
        const at = this.call('lnt_buffer', size) >>> 0;
        if (at === 0) throw new PluginError(-3, `the plugin has no ${size} bytes left`);
        this.memory.bytes(at, size);
        taken.push(at);
        return at;
      });
    } finally {
      if (!this.poisoned) for (const at of taken) this.call('lnt_buffer_free', at);
    }
  }

  /** A text in the way of describe: asks with little room, and again when it is longer. */
  text(ask: (at: number, size: number, length: number) => number): string {
    let size = 4096;
    for (;;) {
      const found = this.scoped((room) => {
        const at = room(size);
        const length = room(4);
        const status = ask(at, size, length);
        if (status < 0) throw new PluginError(status, `status ${status}`);
        const needed = this.memory.u32(length);
        if (needed > maxText) throw new PluginError(statusTrap, `the plugin answers with a text of ${needed} bytes, the limit is ${maxText}`);
        return needed <= size ? decoder.decode(this.memory.bytes(at, needed).slice()) : needed;
      });
      if (typeof found === 'string') return found;
      if (found <= size) throw new PluginError(statusTrap, 'the plugin changes the length of its text');
      size = found;
    }
  }

  /** What is in the module. */
  strategies(): Strategy[] {
    const count = this.call('lnt_count') >>> 0;
    if (count < 1 || count > 1024) throw new PluginError(statusTrap, `the plugin claims ${count} strategies`);
    return Array.from({length: count}, (_, index) => {
      const about = JSON.parse(this.text((at, size, length) => this.check(0, 'lnt_describe', index, at, size, length))) as Partial<Strategy>;
      if (typeof about.id !== 'string') throw new PluginError(-5, `strategy ${index} has no id`);
      return {id: about.id, version: String(about.version ?? ''), licence: String(about.licence ?? ''), config: about.config ?? {}};
    });
  }

  /** `config` satisfies the strategy's schema; keys are sorted here. */
  create(index: number, config: Record<string, unknown> = {}): PluginInstance {
    const sorted = Object.fromEntries(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1)));
    return PluginInstance.create(this, index, encoder.encode(JSON.stringify(sorted)));
  }
}

function admittedImports(options: PluginOptions, memory: () => WebAssembly.Memory | null): WebAssembly.Imports {
  return {
    env: {emscripten_notify_memory_growth: () => {}},
    wasi_snapshot_preview1: {
      proc_exit: (code: number) => {
        throw new Error(`the plugin called exit(${code})`);
      },
    },
    linnet: {
      log: (level: number, at: number, size: number) => {
        const raw = memory();
        if (!raw) return;
        options.log?.(level >>> 0, new TextDecoder().decode(new PluginMemory(raw).bytes(at, Math.min(size >>> 0, maxLine)).slice()));
      },
      cancelled: () => Number(options.cancelled?.() ?? false),
    },
  };
}
