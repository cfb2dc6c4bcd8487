// The engine: linnet.h in WebAssembly. Every pointer into its memory lives in this file (and those of simulate.h in
// simulation.ts).
import type {EvaluateResult, ModelInfo, Notice, SessionInfo, TrainResult} from '../shared/types.ts';

/** Errors of the engine; `code` is one of core/base/result.h's names. */
export class LinnetError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'LinnetError';
    this.code = code;
  }
}

const codeNames = [
  'ok', 'invalid', 'not-found', 'unsupported', 'data', 'limit', 'io', 'unavailable', 'version', 'state', 'permission',
  'internal',
] as const;

type Pointer = number;

// The exports that are used here. u64 is BigInt, size_t and pointers are numbers.
interface Exports {
  wasmMemory: WebAssembly.Memory;
  _malloc(size: number): Pointer;
  _free(at: Pointer): void;
  _linnet_last_error(): Pointer;
  _linnet_version(): Pointer;
  _linnet_create_pool(threads: number): Pointer;
  _linnet_pool_threads(pool: Pointer): number;
  _linnet_set_model_pool(model: Pointer, pool: Pointer): void;
  _linnet_set_session_pool(session: Pointer, pool: Pointer): number;
  _linnet_builtin_names(): Pointer;
  _linnet_create_builtin_model(name: Pointer, seed: bigint): Pointer;
  _linnet_load_model(bytes: Pointer, size: number): Pointer;
  _linnet_destroy_model(model: Pointer): void;
  _linnet_save_model(model: Pointer, bytes: Pointer, size: Pointer): number;
  _linnet_model_digest(model: Pointer, out: Pointer): number;
  _linnet_describe_model(model: Pointer): Pointer;
  _linnet_infer(model: Pointer, x: Pointer, n: number, logits: Pointer): number;
  _linnet_train_model(model: Pointer, settings: Pointer, x: Pointer, y: Pointer, n: number, loss: Pointer): number;
  _linnet_evaluate_model(model: Pointer, x: Pointer, y: Pointer, n: number, accuracy: Pointer, loss: Pointer): number;
  _linnet_draw_strokes(seed: bigint, writer: number, first: number, count: number, x: Pointer, y: Pointer): number;
  _linnet_create_session(options: Pointer, state: Pointer, size: number): Pointer;
  _linnet_destroy_session(session: Pointer): void;
  _linnet_set_data(session: Pointer, x: Pointer, y: Pointer, n: number, features: number, classes: number, max: number): number;
  _linnet_set_strokes(session: Pointer, seed: bigint, first: number, last: number, perWriter: number): number;
  _linnet_train_outside(session: Pointer, train: number, evaluate: number, examples: bigint): number;
  _linnet_next_task(session: Pointer, out: Pointer): number;
  _linnet_finish_training(session: Pointer, task: bigint, result: Pointer, now: bigint): number;
  _linnet_finish_evaluation(session: Pointer, task: bigint, result: Pointer, now: bigint): number;
  _linnet_fail_task(session: Pointer, task: bigint, reason: Pointer, now: bigint): number;
  _linnet_start(session: Pointer, now: bigint): number;
  _linnet_on_connected(session: Pointer, now: bigint): number;
  _linnet_on_disconnected(session: Pointer, now: bigint): number;
  _linnet_on_frame(session: Pointer, frame: Pointer, size: number, now: bigint): number;
  _linnet_on_timer(session: Pointer, timer: bigint, now: bigint): number;
  _linnet_on_stored(session: Pointer, ticket: bigint, ok: number, now: bigint): number;
  _linnet_run(session: Pointer, steps: number, now: bigint): number;
  _linnet_leave(session: Pointer, reason: Pointer): number;
  _linnet_pause(session: Pointer, paused: number): number;
  _linnet_next_action(session: Pointer, out: Pointer): number;
  _linnet_session_model(session: Pointer): Pointer;
  _linnet_session_infer(session: Pointer, x: Pointer, n: number, logits: Pointer, classes: number): number;
  _linnet_describe_session(session: Pointer): Pointer;
}

export type CreateEngine = (options: {wasmBinary?: Uint8Array | ArrayBuffer; threads?: number}) => Promise<unknown>;

/** What a session wants done, in order. Bytes are copies. */
export type Action =
  | {kind: 'connect'}
  | {kind: 'send'; frame: Uint8Array<ArrayBuffer>}
  | {kind: 'close'; reason: string}
  | {kind: 'set-timer'; timer: bigint; delayMs: number}
  | {kind: 'cancel-timer'; timer: bigint}
  | {kind: 'persist'; ticket: bigint; state: Uint8Array<ArrayBuffer>}
  | {kind: 'notice'; notice: Notice};

export interface Task {
  kind: 'train' | 'evaluate';
  id: bigint;
  settings: unknown;
  parameters: Float32Array<ArrayBuffer>;
}

const actionBytes = 32;
const taskBytes = 32;
const decoder = new TextDecoder();
const encoder = new TextEncoder();
// A copy, because browsers decode no memory that threads share.
const decode = (bytes: Uint8Array<ArrayBuffer>): string => decoder.decode(bytes.slice());

/** One instance of the WebAssembly module. */
export class Engine {
  readonly raw: Exports;
  /** For all its models and sessions, of which one computes at a time. Its workers end with this one. */
  readonly pool: Pointer;
  readonly threads: number;

  private constructor(raw: Exports, threads: number) {
    this.raw = raw;
    this.pool = raw._linnet_create_pool(threads);
    this.threads = raw._linnet_pool_threads(this.pool);
  }

  /** `create` is the default export of the engine's .mjs, which has started the workers when it is done: a thread could
   *  not wait for one later. A build without threads has one, whatever is asked. */
  static async start(create: CreateEngine, threads = 1): Promise<Engine> {
    return new Engine((await create({threads})) as Exports, threads);
  }

  version(): string {
    return this.text(this.raw._linnet_version());
  }
  builtinNames(): string[] {
    return this.text(this.raw._linnet_builtin_names()).split(',');
  }

  builtinModel(name: string, seed: number): Model {
    return this.scoped((scope) => new Model(this, this.handle(this.raw._linnet_create_builtin_model(scope.text(name), BigInt(seed)))));
  }
  loadModel(bytes: Uint8Array): Model {
    return this.scoped((scope) => new Model(this, this.handle(this.raw._linnet_load_model(scope.bytes(bytes), bytes.length))));
  }

  /** Owns the model behind a pointer that the engine handed out. */
  adoptModel(pointer: number): Model {
    return new Model(this, this.handle(pointer));
  }

  /** Simulated digits: x[count * 784] in 0..1. */
  drawStrokes(seed: number, writer: number, first: number, count: number): {x: Float32Array<ArrayBuffer>; y: Int32Array<ArrayBuffer>} {
    return this.scoped((scope) => {
      const x = scope.room(count * 784 * 4);
      const y = scope.room(count * 4);
      this.check(this.raw._linnet_draw_strokes(BigInt(seed), writer, first, count, x, y));
      return {x: this.floats(x, count * 784), y: new Int32Array(this.buffer(), y, count).slice()};
    });
  }

  /** `state`: bytes of an earlier persist action, or null for a new device. */
  createSession(options: object, state: Uint8Array | null): Session {
    return this.scoped((scope) => {
      const at = state ? scope.bytes(state) : 0;
      return new Session(this, this.handle(this.raw._linnet_create_session(scope.text(JSON.stringify(options)), at, state?.length ?? 0)));
    });
  }

  // ---- For Model and Session

  check(status: number): number {
    if (status >= 0) return status;
    throw new LinnetError(codeNames[-status] ?? 'internal', this.text(this.raw._linnet_last_error()));
  }
  handle(pointer: Pointer): Pointer {
    if (pointer === 0) throw new LinnetError('invalid', this.text(this.raw._linnet_last_error()));
    return pointer;
  }
  // Memory may have grown (and moved) after any call: never keep this.
  buffer(): ArrayBuffer {
    return this.raw.wasmMemory.buffer as ArrayBuffer;
  }
  text(at: Pointer): string {
    const bytes = new Uint8Array(this.buffer());
    return decode(bytes.subarray(at, bytes.indexOf(0, at)));
  }
  floats(at: Pointer, count: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.buffer(), at, count).slice();
  }
  /** Gives memory for the time of `body`. */
  scoped<T>(body: (scope: Scope) => T): T {
    const scope = new Scope(this);
    try {
      return body(scope);
    } finally {
      scope.release();
    }
  }
}

class Scope {
  private readonly engine: Engine;
  private readonly taken: Pointer[] = [];

  constructor(engine: Engine) {
    this.engine = engine;
  }
  room(size: number): Pointer {
    const at = this.engine.raw._malloc(Math.max(size, 8));
    if (at === 0) throw new LinnetError('limit', `the tab has no ${size} bytes of memory left`);
    this.taken.push(at);
    return at;
  }
  bytes(value: Uint8Array): Pointer {
    const at = this.room(value.length);
    new Uint8Array(this.engine.buffer()).set(value, at);
    return at;
  }
  numbers(value: Float32Array | Int32Array): Pointer {
    return this.bytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  }
  text(value: string): Pointer {
    return this.bytes(encoder.encode(`${value}\0`));
  }
  release(): void {
    for (const at of this.taken) this.engine.raw._free(at);
  }
}

/** A model: describe, run, train. Close it when it is no longer needed. */
export class Model {
  private readonly engine: Engine;
  private pointer: Pointer;
  readonly info: ModelInfo;
  readonly inputs: number;

  constructor(engine: Engine, pointer: Pointer) {
    this.engine = engine;
    this.pointer = pointer;
    engine.raw._linnet_set_model_pool(pointer, engine.pool);
    this.info = JSON.parse(engine.text(engine.raw._linnet_describe_model(pointer))) as ModelInfo;
    this.inputs = this.info.inputShape.reduce((a, b) => a * b, 1);
  }

  close(): void {
    if (this.pointer) this.engine.raw._linnet_destroy_model(this.pointer);
    this.pointer = 0;
  }

  digest(): Uint8Array {
    return this.engine.scoped((scope) => {
      const at = scope.room(32);
      this.engine.check(this.engine.raw._linnet_model_digest(this.pointer, at));
      return new Uint8Array(this.engine.buffer(), at, 32).slice();
    });
  }

  save(): Uint8Array {
    return this.engine.scoped((scope) => {
      const out = scope.room(8);
      this.engine.check(this.engine.raw._linnet_save_model(this.pointer, out, out + 4));
      const [at = 0, size = 0] = new Uint32Array(this.engine.buffer(), out, 2);
      return new Uint8Array(this.engine.buffer(), at, size).slice();
    });
  }

  /** Logits for x[n * inputs], scaled as in training. */
  infer(x: Float32Array): Float32Array<ArrayBuffer> {
    const n = examplesIn(x, this.inputs);
    return this.engine.scoped((scope) => {
      const logits = scope.room(n * this.info.classes * 4);
      this.engine.check(this.engine.raw._linnet_infer(this.pointer, scope.numbers(x), n, logits));
      return this.engine.floats(logits, n * this.info.classes);
    });
  }

  /** One pass; `settings` as a federation's "train". Returns the mean loss before each step. */
  train(settings: object, x: Float32Array, y: Int32Array): number {
    const n = examplesIn(x, this.inputs, y.length);
    return this.engine.scoped((scope) => {
      const loss = scope.room(8);
      const status = this.engine.raw._linnet_train_model(
        this.pointer, scope.text(JSON.stringify(settings)), scope.numbers(x), scope.numbers(y), n, loss);
      this.engine.check(status);
      return new DataView(this.engine.buffer()).getFloat64(loss, true);
    });
  }

  evaluate(x: Float32Array, y: Int32Array): {accuracy: number; loss: number} {
    const n = examplesIn(x, this.inputs, y.length);
    return this.engine.scoped((scope) => {
      const out = scope.room(16);
      this.engine.check(this.engine.raw._linnet_evaluate_model(this.pointer, scope.numbers(x), scope.numbers(y), n, out, out + 8));
      const view = new DataView(this.engine.buffer());
      return {accuracy: view.getFloat64(out, true), loss: view.getFloat64(out + 8, true)};
    });
  }
}

function examplesIn(x: Float32Array, inputs: number, wanted?: number): number {
  const n = x.length / inputs;
  if (!Number.isInteger(n) || (wanted !== undefined && n !== wanted)) {
    throw new LinnetError('invalid', `found ${x.length} values, wanted ${wanted === undefined ? 'a multiple of' : `${wanted} times`} ${inputs}`);
  }
  return n;
}

/** One participant: events in, actions out. It opens no socket and reads no clock. */
export class Session {
  private readonly engine: Engine;
  private pointer: Pointer;
  private readonly out: Pointer;

  constructor(engine: Engine, pointer: Pointer) {
    this.engine = engine;
    this.pointer = pointer;
    engine.check(engine.raw._linnet_set_session_pool(pointer, engine.pool));
    this.out = engine.raw._malloc(Math.max(actionBytes, taskBytes));
  }

  close(): void {
    if (this.pointer === 0) return;
    this.engine.raw._linnet_destroy_session(this.pointer);
    this.engine.raw._free(this.out);
    this.pointer = 0;
  }
  get closed(): boolean {
    return this.pointer === 0;
  }

  setData(x: Float32Array, y: Int32Array, features: number, classes: number, max: number): void {
    const n = examplesIn(x, features, y.length);
    this.engine.scoped((scope) => {
      const status = this.engine.raw._linnet_set_data(this.pointer, scope.numbers(x), scope.numbers(y), n, features, classes, max);
      this.engine.check(status);
    });
  }
  setStrokes(seed: number, first: number, last: number, perWriter: number): void {
    this.engine.check(this.engine.raw._linnet_set_strokes(this.pointer, BigInt(seed), first, last, perWriter));
  }
  trainOutside(train: boolean, evaluate: boolean, examples: number): void {
    this.engine.check(this.engine.raw._linnet_train_outside(this.pointer, Number(train), Number(evaluate), BigInt(examples)));
  }

  start(now: number): void {
    this.engine.check(this.engine.raw._linnet_start(this.pointer, clock(now)));
  }
  onConnected(now: number): void {
    this.engine.check(this.engine.raw._linnet_on_connected(this.pointer, clock(now)));
  }
  onDisconnected(now: number): void {
    this.engine.check(this.engine.raw._linnet_on_disconnected(this.pointer, clock(now)));
  }
  onFrame(frame: Uint8Array, now: number): void {
    this.engine.scoped((scope) => this.engine.check(this.engine.raw._linnet_on_frame(this.pointer, scope.bytes(frame), frame.length, clock(now))));
  }
  onTimer(timer: bigint, now: number): void {
    this.engine.check(this.engine.raw._linnet_on_timer(this.pointer, timer, clock(now)));
  }
  onStored(ticket: bigint, ok: boolean, now: number): void {
    this.engine.check(this.engine.raw._linnet_on_stored(this.pointer, ticket, Number(ok), clock(now)));
  }
  /** About `steps` minibatches; true while there is more. */
  run(steps: number, now: number): boolean {
    return this.engine.check(this.engine.raw._linnet_run(this.pointer, steps, clock(now))) > 0;
  }
  leave(reason: string): void {
    this.engine.scoped((scope) => this.engine.check(this.engine.raw._linnet_leave(this.pointer, scope.text(reason))));
  }
  pause(paused: boolean): void {
    this.engine.check(this.engine.raw._linnet_pause(this.pointer, Number(paused)));
  }

  nextAction(): Action | null {
    this.engine.check(this.engine.raw._linnet_next_action(this.pointer, this.out));
    const buffer = this.engine.buffer();
    const view = new DataView(buffer, this.out, actionBytes);
    const id = view.getBigUint64(8, true);
    const bytes = () => new Uint8Array(buffer, view.getUint32(24, true), view.getUint32(28, true));
    switch (view.getInt32(0, true)) {
      case 0: return null;
      case 1: return {kind: 'connect'};
      case 2: return {kind: 'send', frame: bytes().slice()};
      case 3: return {kind: 'close', reason: decode(bytes())};
      case 4: return {kind: 'set-timer', timer: id, delayMs: Number(view.getBigUint64(16, true))};
      case 5: return {kind: 'cancel-timer', timer: id};
      case 6: return {kind: 'persist', ticket: id, state: bytes().slice()};
      case 7: return {kind: 'notice', notice: JSON.parse(decode(bytes())) as Notice};
      default: throw new LinnetError('internal', `the engine asked for an action ${view.getInt32(0, true)} that this page does not know`);
    }
  }

  // ---- Training outside. A task's memory is the engine's until it is finished.

  private readonly taskMemory = new Map<bigint, {at: Pointer; count: number}>();

  nextTask(): Task | null {
    this.engine.check(this.engine.raw._linnet_next_task(this.pointer, this.out));
    const view = new DataView(this.engine.buffer(), this.out, taskBytes);
    const kind = view.getInt32(0, true);
    if (kind === 0) return null;
    const id = view.getBigUint64(8, true);
    const at = view.getUint32(20, true);
    const count = view.getUint32(24, true);
    this.taskMemory.clear();  // an older one of a round that is over is gone in the engine too
    this.taskMemory.set(id, {at, count});
    return {
      kind: kind === 1 ? 'train' : 'evaluate',
      id,
      settings: JSON.parse(this.engine.text(view.getUint32(16, true))) as unknown,
      parameters: this.engine.floats(at, count),
    };
  }
  finishTraining(task: bigint, result: TrainResult, now: number): void {
    const memory = this.taskMemory.get(task);
    if (!memory) throw new LinnetError('state', `task ${task} is not open: its round is over`);
    if (result.parameters.length !== memory.count) {
      throw new LinnetError('invalid', `training gave ${result.parameters.length} parameters, wanted ${memory.count}`);
    }
    this.taskMemory.delete(task);
    this.engine.scoped((scope) => {
      const at = scope.room(32);
      new Float32Array(this.engine.buffer(), memory.at, memory.count).set(result.parameters);
      const view = new DataView(this.engine.buffer(), at, 32);
      view.setBigUint64(0, BigInt(result.examples), true);
      view.setBigUint64(8, BigInt(result.steps), true);
      view.setFloat64(16, result.lossBefore ?? NaN, true);
      view.setFloat64(24, result.lossAfter ?? NaN, true);
      this.engine.check(this.engine.raw._linnet_finish_training(this.pointer, task, at, clock(now)));
    });
  }
  finishEvaluation(task: bigint, result: EvaluateResult, now: number): void {
    this.taskMemory.delete(task);
    this.engine.scoped((scope) => {
      const at = scope.room(24);
      const view = new DataView(this.engine.buffer(), at, 24);
      view.setBigUint64(0, BigInt(result.examples), true);
      view.setBigUint64(8, BigInt(result.correct), true);
      view.setFloat64(16, result.lossSum, true);
      this.engine.check(this.engine.raw._linnet_finish_evaluation(this.pointer, task, at, clock(now)));
    });
  }
  failTask(task: bigint, reason: string, now: number): void {
    this.taskMemory.delete(task);
    this.engine.scoped((scope) => this.engine.check(this.engine.raw._linnet_fail_task(this.pointer, task, scope.text(reason), clock(now))));
  }

  // ---- The model held here

  /** Logits of the newest global model for raw x[n * inputs]. */
  infer(x: Float32Array): {logits: Float32Array<ArrayBuffer>; classes: number} {
    const model = this.describe().model;
    if (!model) throw new LinnetError('state', 'no model has arrived yet');
    const n = examplesIn(x, model.inputShape.reduce((a, b) => a * b, 1));
    return this.engine.scoped((scope) => {
      const logits = scope.room(n * model.classes * 4);
      this.engine.check(this.engine.raw._linnet_session_infer(this.pointer, scope.numbers(x), n, logits, model.classes));
      return {logits: this.engine.floats(logits, n * model.classes), classes: model.classes};
    });
  }
  describe(): Omit<SessionInfo, 'variant' | 'threads' | 'sentBytes' | 'receivedBytes'> {
    return JSON.parse(this.engine.text(this.engine.raw._linnet_describe_session(this.pointer))) as SessionInfo;
  }
}

const clock = (now: number): bigint => BigInt(Math.floor(now));
