// A plugin's own memory as the host sees it: every offset and length that comes from the plugin is checked, and the
// memory's base is read anew after every call (it may have grown).

/** What the plugin did that no plugin may do; its instance is not used again. */
export class PluginError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.name = 'PluginError';
    this.status = status;
  }
}

export const statusTrap = -100;
export const statusQuota = -102;

export class PluginMemory {
  private readonly memory: WebAssembly.Memory;
  constructor(memory: WebAssembly.Memory) {
    this.memory = memory;
  }

  /** [offset, offset + size), wholly inside, or an error. */
  bytes(offset: number, size: number): Uint8Array<ArrayBuffer> {
    const buffer = this.memory.buffer as ArrayBuffer;
    const at = offset >>> 0;
    if (!Number.isInteger(size) || size < 0 || at > buffer.byteLength || size > buffer.byteLength - at) {
      throw new PluginError(statusTrap, `the plugin named bytes ${at} to ${at + size}, its memory has ${buffer.byteLength}`);
    }
    return new Uint8Array(buffer, at, size);
  }
  view(offset: number, size: number): DataView {
    const {buffer, byteOffset} = this.bytes(offset, size);
    return new DataView(buffer, byteOffset, size);
  }
  floats(offset: number, count: number): Float32Array<ArrayBuffer> {
    const {buffer, byteOffset} = this.bytes(offset, count * 4);
    if (byteOffset % 4 !== 0) throw new PluginError(statusTrap, `the plugin named an address for f32 that is no multiple of 4: ${byteOffset}`);
    return new Float32Array(buffer, byteOffset, count);
  }
  u32(offset: number): number {
    return this.view(offset, 4).getUint32(0, true);
  }
}
