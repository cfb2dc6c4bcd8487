// What no plugin may contain, found in the module's own bytes before anything of it runs. What is refused either gives
// other results on other machines (relaxed SIMD, threads) or goes around the limits (64-bit memories, many memories, huge
// tables). WebAssembly.compile has already found the module valid, so that what is read here is well-formed.
// Exceptions are admitted: a C++ plugin catches its own.
import {PluginError, statusTrap} from './memory.ts';

const maxTableEntries = 100_000;
const section = {import: 2, table: 4, memory: 5, code: 10} as const;

/** Throws a PluginError that names what was found. */
export function checkModule(bytes: Uint8Array): void {
  const reader = new Reader(bytes, 8);
  while (!reader.done) {
    const id = reader.byte();
    const content = reader.part(reader.u32());
    if (id === section.table) content.repeat(() => checkTable(content));
    if (id === section.memory) checkMemories(content);
    if (id === section.code) content.repeat(() => checkFunction(content.part(content.u32())));
  }
}

const refuse = (what: string): never => {
  throw new PluginError(statusTrap, `the plugin ${what}`);
};

function checkMemories(content: Reader): void {
  let count = 0;
  content.repeat(() => {
    const flags = content.byte();
    if (++count > 1) refuse('has more than one memory');
    if (flags & 2) refuse('shares its memory between threads, wanted one of its own');
    if (flags & 4) refuse('has a 64-bit memory (memory64), wanted a 32-bit one');
    content.u64();
    if (flags & 1) content.u64();
  });
}

function checkTable(content: Reader): void {
  let type = content.byte();
  const initialized = type === 0x40;
  if (initialized) {
    content.byte();
    type = content.byte();
  }
  if (type !== 0x70 && type !== 0x6f) refuse(`has a table of type 0x${type.toString(16)}, wanted functions`);
  const flags = content.byte();
  if (flags & 6) refuse('has a table that is shared or 64-bit');
  const least = content.u64();
  if (least > maxTableEntries) refuse(`has a table of ${least} entries, wanted at most ${maxTableEntries}`);
  if (flags & 1) content.u64();
  if (initialized) checkInstructions(content, true);
}

function checkFunction(body: Reader): void {
  body.repeat(() => {
    body.u32();
    body.type();
  });
  checkInstructions(body, false);
}

// ---- Instructions: only their lengths matter here.

// To the end of the body, or of one constant expression.
function checkInstructions(body: Reader, expression: boolean): void {
  let depth = 0;
  while (!body.done) {
    const code = body.byte();
    switch (code) {
      case 0x02: case 0x03: case 0x04: case 0x06:  // block, loop, if, try
        body.type();
        ++depth;
        break;
      case 0x0b:  // end
        if (depth-- === 0 && expression) return;
        break;
      case 0x18:  // delegate, which ends a try
        body.u32();
        --depth;
        break;
      case 0x1f:  // try_table
        body.type();
        body.repeat(() => {
          if (body.byte() < 2) body.u32();
          body.u32();
        });
        ++depth;
        break;
      case 0x0e:  // br_table
        body.repeat(() => body.u32());
        body.u32();
        break;
      case 0x1c:  // select with types
        body.repeat(() => body.type());
        break;
      case 0x11: case 0x13:  // call_indirect and its tail call
        body.u32();
        body.u32();
        break;
      case 0x40:  // memory.grow
      case 0x3f:  // memory.size
      case 0x07: case 0x08: case 0x09: case 0x0c: case 0x0d: case 0x10: case 0x12:  // labels, functions, tags
      case 0x20: case 0x21: case 0x22: case 0x23: case 0x24: case 0x25: case 0x26:  // locals, globals, tables
      case 0xd2:  // ref.func
        body.u32();
        break;
      case 0xd0: case 0x41: case 0x42:  // ref.null, i32.const, i64.const
        body.type();
        break;
      case 0x43:
        body.skip(4);
        break;
      case 0x44:
        body.skip(8);
        break;
      case 0xfc:
        checkMisc(body);
        break;
      case 0xfd:
        checkSimd(body);
        break;
      case 0xfe:
        refuse('uses atomic instructions (threads)');
        break;
      default:
        if (code >= 0x28 && code <= 0x3e) body.address();
        else if (!(code <= 0x01 || code === 0x05 || code === 0x0a || code === 0x0f || code === 0x19 || code === 0x1a ||
                   code === 0x1b || (code >= 0x45 && code <= 0xc4) || code === 0xd1)) {
          refuse(`uses the instruction 0x${code.toString(16)}, which no plugin may`);
        }
    }
  }
}

function checkMisc(body: Reader): void {
  const code = body.u32();
  const immediates = [0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 1, 2, 1, 2, 1, 1, 1][code];
  if (immediates === undefined) refuse(`uses the instruction 0xfc ${code}, which no plugin may`);
  if (code === 15) refuse('grows a table');
  for (let i = 0; i < (immediates ?? 0); ++i) body.u32();
}

function checkSimd(body: Reader): void {
  const code = body.u32();
  if (code >= 0x100) refuse('uses relaxed SIMD instructions, whose results differ between machines');
  if (code <= 11 || code === 92 || code === 93) body.address();
  else if (code === 12 || code === 13) body.skip(16);
  else if (code >= 21 && code <= 34) body.skip(1);
  else if (code >= 84 && code <= 91) {
    body.address();
    body.skip(1);
  }
}

// ---- Bytes

class Reader {
  private readonly bytes: Uint8Array;
  private at: number;
  constructor(bytes: Uint8Array, at: number) {
    this.bytes = bytes;
    this.at = at;
  }
  get done(): boolean {
    return this.at >= this.bytes.length;
  }
  byte(): number {
    const byte = this.bytes[this.at++];
    return byte ?? refuse('ends in the middle');
  }
  skip(count: number): void {
    this.at += count;
    if (this.at > this.bytes.length) refuse('ends in the middle');
  }
  part(size: number): Reader {
    const begin = this.at;
    this.skip(size);
    return new Reader(this.bytes.subarray(begin, this.at), 0);
  }
  repeat(body: () => void): void {
    for (let i = this.u32(); i > 0; --i) body();
  }
  /** LEB128, exact up to 2^53. */
  u64(): number {
    let value = 0, scale = 1, byte: number;
    do {
      byte = this.byte();
      value += (byte & 0x7f) * scale;
      scale *= 128;
    } while (byte & 0x80);
    return value;
  }
  u32(): number {
    return this.u64();
  }
  /** A signed number: a type, a block's type or a constant; only its length matters. */
  type(): void {
    this.u64();
  }
  /** Alignment and offset of a load or store. */
  address(): void {
    if (this.u32() & 64) this.u32();
    this.u64();
  }
}
