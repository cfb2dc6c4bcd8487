// Drives one Session: carries its actions out (socket, timers, store, own training) and computes in slices, so that
// frames are looked at in between.
import type {DataSource, EvaluateResult, Notice, SessionInfo, TrainResult, TrainSettings, Variant} from '../shared/types.ts';
import type {StateStore} from './store.ts';
import {LinnetError, Session} from './wasm.ts';
import type {Engine} from './wasm.ts';

export const subprotocol = 'linnet.v1';
const sliceMs = 12;
const progressEveryMs = 150;
const maxSteps = 4096;

/** How own training is reached; rejected promises give the assignment up. */
export interface OutsideTraining {
  examples: number;
  train(parameters: Float32Array<ArrayBuffer>, settings: TrainSettings, task: number): Promise<TrainResult>;
  evaluate?(parameters: Float32Array<ArrayBuffer>, settings: {round: number}, task: number): Promise<EvaluateResult>;
}

export interface DriverOptions {
  engine: Engine;
  variant: Variant;
  url: string;
  /** As linnet_create_session. */
  session: object;
  data: DataSource;
  own: OutsideTraining | null;
  store: StateStore;
  notice(notice: Notice): void;
}

export class Driver {
  private readonly options: DriverOptions;
  private readonly session: Session;
  private readonly timers = new Map<bigint, ReturnType<typeof setTimeout>>();
  private readonly slices = new MessageChannel();
  private socket: WebSocket | null = null;
  private computing = false;
  private steps = 4;
  private progressAt = 0;
  private sentBytes = 0;
  private receivedBytes = 0;
  private stopped = false;

  private constructor(options: DriverOptions, session: Session) {
    this.options = options;
    this.session = session;
    this.slices.port1.onmessage = () => this.guard(() => this.slice());
  }

  /** A damaged state makes a new device; it is said in a notice. */
  static async start(options: DriverOptions): Promise<Driver> {
    let state = await options.store.load();
    let session: Session;
    try {
      session = options.engine.createSession(options.session, state);
    } catch (error) {
      if (!state) throw error;
      options.notice({kind: 'error', text: `the kept state is unusable, this is a new device now: ${words(error)}`, code: 'data'});
      state = null;
      session = options.engine.createSession(options.session, null);
    }
    const driver = new Driver(options, session);
    driver.setData(options.data);
    if (options.own) session.trainOutside(true, options.own.evaluate !== undefined, options.own.examples);
    driver.event((now) => session.start(now));
    return driver;
  }

  setData(data: DataSource): void {
    if (data.kind === 'strokes') {
      const [first, last] = data.writers ?? [data.writer ?? 0, data.writer ?? 0];
      this.session.setStrokes(data.seed ?? 1, first, last, data.perWriter ?? 120);
    } else if (data.kind === 'arrays') {
      this.session.setData(data.x, data.y, data.features, data.classes, data.max ?? 0);
    }
  }

  describe(): SessionInfo {
    return {...this.session.describe(), variant: this.options.variant, threads: this.options.engine.threads, sentBytes: this.sentBytes, receivedBytes: this.receivedBytes};
  }
  infer(x: Float32Array): {logits: Float32Array<ArrayBuffer>; classes: number} {
    return this.session.infer(x);
  }
  pause(paused: boolean): void {
    this.session.pause(paused);
  }

  /** Says bye; the session is over. */
  leave(reason: string): void {
    if (this.stopped) return;
    this.session.leave(reason);
    this.carryOut();
    this.session.close();
    this.stop();
  }

  private stop(): void {
    this.stopped = true;
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
    this.slices.port1.close();
    this.socket?.close(1000);
    this.socket = null;
    this.options.store.close();
  }

  // An error of the engine ends the session and is told; a trap leaves the module undefined.
  private guard(body: () => void): void {
    if (this.stopped) return;
    try {
      body();
    } catch (error) {
      this.options.notice({kind: 'error', text: words(error), code: error instanceof LinnetError ? error.code : 'internal', fatal: true});
      this.stop();
    }
  }

  private event(body: (now: number) => void): void {
    this.guard(() => {
      body(performance.now());
      this.carryOut();
      this.compute();
    });
  }

  private carryOut(): void {
    for (let action = this.session.nextAction(); action; action = this.session.nextAction()) {
      switch (action.kind) {
        case 'connect':
          this.connect();
          break;
        case 'send':
          this.sentBytes += action.frame.length;
          this.socket?.send(action.frame);
          break;
        case 'close':
          this.socket?.close(1000, cut(action.reason));
          break;
        case 'set-timer': {
          const {timer, delayMs} = action;
          clearTimeout(this.timers.get(timer));
          this.timers.set(timer, setTimeout(() => {
            this.timers.delete(timer);
            this.event((now) => this.session.onTimer(timer, now));
          }, Math.min(delayMs, 0x7fffffff)));
          break;
        }
        case 'cancel-timer':
          clearTimeout(this.timers.get(action.timer));
          this.timers.delete(action.timer);
          break;
        case 'persist': {
          const {ticket, state} = action;
          this.options.store.save(state).then(
            () => this.event((now) => this.session.onStored(ticket, true, now)),
            () => this.event((now) => this.session.onStored(ticket, false, now)));
          break;
        }
        case 'notice':
          this.options.notice(action.notice);
          break;
      }
    }
    if (this.options.own) this.handOutTasks(this.options.own);
  }

  private connect(): void {
    let socket: WebSocket;
    try {
      socket = new WebSocket(this.options.url, subprotocol);
    } catch (error) {
      // Refused before it was tried (mixed content, a port that browsers block): the machine backs off all the same.
      this.options.notice({kind: 'error', text: words(error), code: 'invalid'});
      queueMicrotask(() => this.event((now) => this.session.onDisconnected(now)));
      return;
    }
    this.socket = socket;
    socket.binaryType = 'arraybuffer';
    const mine = (body: (now: number) => void): void => {
      if (this.socket === socket) this.event(body);
    };
    socket.onopen = () => mine((now) => this.session.onConnected(now));
    socket.onmessage = ({data}) => mine((now) => {
      if (!(data instanceof ArrayBuffer)) return socket.close(1003, 'only binary frames');
      this.receivedBytes += data.byteLength;
      this.session.onFrame(new Uint8Array(data), now);
    });
    const ended = (): void => mine((now) => {
      this.socket = null;
      this.session.onDisconnected(now);
    });
    socket.onclose = ended;
    // An error is followed by the close, but Node.js leaves that out when the connection was refused.
    socket.onerror = () => setTimeout(() => {
      if (socket.readyState !== WebSocket.OPEN) ended();
    });
  }

  // ---- Computing

  // The next slice, after the frames and timers that are due. It finds out whether there is anything to do.
  private compute(): void {
    if (this.computing || this.stopped) return;
    this.computing = true;
    this.slices.port2.postMessage(0);
  }

  private slice(): void {
    this.computing = false;
    const start = performance.now();
    const more = this.session.run(this.steps, start);
    this.carryOut();
    if (!more) return;
    // Towards sliceMs per slice, at most a factor of two at a time.
    const factor = Math.min(2, Math.max(0.5, sliceMs / Math.max(performance.now() - start, 0.1)));
    this.steps = Math.min(maxSteps, Math.max(1, Math.round(this.steps * factor)));
    this.tellProgress(start);
    this.compute();
  }

  private tellProgress(now: number): void {
    if (now - this.progressAt < progressEveryMs) return;
    this.progressAt = now;
    const fraction = this.session.describe().progress;
    if (fraction !== null) this.options.notice({kind: 'progress', text: `${Math.round(fraction * 100)} % of this round's training`, fraction});
  }

  private handOutTasks(own: OutsideTraining): void {
    for (let task = this.session.nextTask(); task; task = this.session.nextTask()) {
      const {id, kind, parameters, settings} = task;
      const fail = (error: unknown): void => this.event((now) => this.lenient(() => this.session.failTask(id, words(error), now)));
      if (kind === 'train') {
        own.train(parameters, settings as TrainSettings, Number(id)).then(
          (result) => this.event((now) => this.lenient(() => this.session.finishTraining(id, result, now), () => fail(`own training: ${describeResult(result)}`))), fail);
      } else if (own.evaluate) {
        own.evaluate(parameters, settings as {round: number}, Number(id)).then(
          (result) => this.event((now) => this.lenient(() => this.session.finishEvaluation(id, result, now))), fail);
      }
    }
  }

  // A result for a round that is over is dropped; a wrong one gives the assignment up.
  private lenient(body: () => void, otherwise?: () => void): void {
    try {
      body();
    } catch (error) {
      if (!(error instanceof LinnetError)) throw error;
      if (error.code === 'state') return;
      this.options.notice({kind: 'error', text: error.message, code: error.code});
      otherwise?.();
    }
  }
}

const describeResult = (result: TrainResult): string => `${result.parameters.length} parameters, ${result.examples} examples`;

export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// A close reason may have 123 bytes.
function cut(reason: string): string {
  let text = reason;
  while (new TextEncoder().encode(text).length > 123) text = text.slice(0, -1);
  return text;
}
