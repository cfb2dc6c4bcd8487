// @linnet/web: take part in a federation from this page. All computing happens in a worker.
import type {
  DataSource, EventKind, Inference, LogLine, ModelInfo, Notice, OwnTraining, PublicFederation, SessionInfo, SimulatedRound,
  SimulationSettings, SimulationSummary,
} from './shared/types.ts';
import {WorkerClient} from './client.ts';
import {follow} from './policy.ts';
import type {Policy} from './policy.ts';

export type * from './shared/types.ts';
export type {Policy} from './policy.ts';
export {LinnetFailure} from './client.ts';

export interface JoinOptions {
  /** The federation wanted; default: the coordinator's only one. */
  federation?: string;
  /** Enrolment token of a federation that asks for one. */
  token?: string;
  /** For people, at most 64 bytes. */
  name?: string;
  /** Default: digits of one simulated pen. With `own`, none is needed. */
  data?: DataSource;
  /** Train with the page's own code. */
  own?: OwnTraining;
  properties?: Record<string, string>;
  /** Ends the participation when aborted. */
  signal?: AbortSignal;
  /** When to pause by itself. Default: in a hidden tab, and below 20 % of battery. */
  policy?: Policy;
  /** Keep the device key and counters for the next visit (IndexedDB). Default true. */
  keepState?: boolean;
  /** Fetch each new global model, for infer. Default true. */
  followModel?: boolean;
  /** Rounds that ask for more are declined. Default 1,000,000. */
  maxStepsPerRound?: number;
  /** Threads to train with where the page is isolated (`crossOriginIsolated`) and the assets are of its own origin;
   *  elsewhere it is one. They change no bit of the model. Default: half of the cores, at most four. */
  threads?: number;
  /** Where worker.js and engine/ lie. Default: beside this module. */
  assets?: string | URL;
}

/** A running participation of this tab. */
export class Participant {
  readonly #client: WorkerClient;
  readonly #stopFollowing: () => void;
  #left = false;
  #pausedByPage = false;
  #pausedByPolicy = '';
  #paused = false;

  constructor(client: WorkerClient, policy: Policy, signal: AbortSignal | undefined) {
    this.#client = client;
    this.#stopFollowing = follow(policy, (why) => {
      this.#pausedByPolicy = why;
      void this.#applyPause();
    });
    signal?.addEventListener('abort', () => void this.leave('cancelled'), {once: true});
  }

  /** Calls `listener` for each event of a kind, "*" for all; returns a function that ends it. */
  on<K extends EventKind>(kind: K, listener: (event: Notice<K>) => void): () => void;
  on(kind: '*', listener: (event: Notice) => void): () => void;
  on(kind: EventKind | '*', listener: (event: never) => void): () => void {
    return this.#client.on(kind, listener as (event: Notice) => void);
  }

  /** The current global model on raw x[n * inputs] (pixels as 0..255 where the data was). Rejects with code "state"
   *  while no model has arrived. */
  infer(x: Float32Array, options: {signal?: AbortSignal} = {}): Promise<Inference> {
    return this.#client.request('infer', {x, divisor: 1}, options.signal);
  }

  /** Replaces what is trained on. */
  setData(data: DataSource): Promise<SessionInfo> {
    return this.#client.request('setData', {data});
  }

  describe(): Promise<SessionInfo> {
    return this.#client.request('describe', {});
  }

  /** Invitations are declined until resume. */
  pause(): Promise<void> {
    this.#pausedByPage = true;
    return this.#applyPause();
  }
  resume(): Promise<void> {
    this.#pausedByPage = false;
    return this.#applyPause();
  }
  get paused(): boolean {
    return this.#paused;
  }

  /** Says bye and ends the worker. */
  async leave(reason = 'left the page'): Promise<void> {
    if (this.#left) return;
    this.#left = true;
    this.#stopFollowing();
    await this.#client.request('leave', {reason}).catch(() => null);
    this.#client.terminate();
  }

  async #applyPause(): Promise<void> {
    const paused = this.#pausedByPage || this.#pausedByPolicy !== '';
    if (paused === this.#paused || this.#left) return;
    this.#paused = paused;
    const why = this.#pausedByPage ? 'on request' : this.#pausedByPolicy;
    await this.#client.request('pause', {paused});
    this.#client.tell({kind: 'paused', text: paused ? `paused: ${why}` : 'goes on', paused, why});
  }
}

/** Takes part in the federation at `url` (ws:, wss:, or the page's http: address). Resolves when the engine runs; the
 *  connection is then made, and made again with growing pauses, by itself: see the events. Rejects when the engine
 *  cannot be loaded or an option is wrong. */
export async function join(url: string | URL, options: JoinOptions = {}): Promise<Participant> {
  options.signal?.throwIfAborted();
  const client = new WorkerClient(options.assets, options.own);
  try {
    await client.request('join', {
      assets: client.assets,
      threads: options.threads ?? null,
      url: socketAddress(url),
      session: {
        federation: options.federation ?? '',
        token: options.token ?? '',
        name: options.name ?? '',
        properties: options.properties ?? {},
        followModel: options.followModel ?? true,
        maxStepsPerRound: options.maxStepsPerRound ?? 1_000_000,
      },
      data: options.data ?? (options.own ? {kind: 'none'} : {kind: 'strokes', writer: randomWriter()}),
      own: options.own ? {examples: options.own.examples, evaluate: options.own.evaluate !== undefined} : null,
      keepState: options.keepState ?? true,
    }, options.signal);
  } catch (error) {
    client.terminate();
    throw error;
  }
  return new Participant(client, options.policy ?? {}, options.signal);
}

/** The engine without a federation: reads models and draws digits, in a worker of its own. */
export class LocalEngine {
  readonly #client: WorkerClient;
  #divisor = 1;

  /** The engine is loaded by the first call. */
  constructor(options: {assets?: string | URL} = {}) {
    this.#client = new WorkerClient(options.assets);
  }
  /** Opens `.linnet` bytes in place of what was open. `divisor` scales raw values as the training did: pixelDivisor(). */
  async loadModel(bytes: Uint8Array, divisor = 1, signal?: AbortSignal): Promise<ModelInfo> {
    const info = await this.#client.request('open', {assets: this.#client.assets, bytes}, signal);
    this.#divisor = divisor;
    return info;
  }
  /** Raw x[n * inputs]. */
  infer(x: Float32Array, signal?: AbortSignal): Promise<Inference> {
    return this.#client.request('infer', {x, divisor: this.#divisor}, signal);
  }
  /** The first digits of a simulated pen: x[count * 784] in 0..1, y[count]. */
  drawStrokes(writer: number, count: number, seed = 1): Promise<{x: Float32Array; y: Int32Array}> {
    return this.#client.request('draw', {assets: this.#client.assets, seed, writer, count});
  }
  close(): void {
    this.#client.terminate();
  }
}

export interface SimulateOptions extends SimulationSettings {
  /** Strategies as standalone .wasm files, at most 4; the federation names them by their id. */
  plugins?: Uint8Array<ArrayBuffer>[];
  onRound?(round: SimulatedRound): void;
  onLog?(line: LogLine): void;
  /** Ends the simulation when aborted. */
  signal?: AbortSignal;
  /** Where worker.js and engine/ lie. Default: beside this module. */
  assets?: string | URL;
}

/** Simulates a whole federation in a worker of its own: this tab is its coordinator and all its participants, without
 *  any server. The same options give the same bits in every browser. Resolves with the summary and the last model's
 *  `.linnet` bytes; rejects with code "invalid" when the federation cannot work, "unavailable" when no round closes. */
export async function simulate(options: SimulateOptions): Promise<SimulationSummary & {bytes: Uint8Array<ArrayBuffer>}> {
  const {plugins = [], onRound, onLog, signal, assets, ...settings} = options;
  signal?.throwIfAborted();
  const client = new WorkerClient(assets);
  client.simulated = (told) => ('round' in told ? onRound?.(told) : onLog?.(told));
  try {
    const {summary, bytes} = await client.request('simulate', {assets: client.assets, settings, plugins}, signal);
    return {...summary, bytes};
  } finally {
    client.terminate();
  }
}

/** What a page divides its pixels by before reading a model; null when only a participant with data can know. */
export function pixelDivisor(federation: PublicFederation): number | null {
  const scale = federation.data?.scale ?? 'unit';
  if (scale === 'standard') return null;
  return scale === 'unit' ? 255 : 1;
}

/** A pen of this device's own, apart from the ones that daemons and evaluations use. */
export function randomWriter(): number {
  return 2000 + (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) % 1_000_000;
}

function socketAddress(url: string | URL): string {
  const address = new URL(url, globalThis.location?.href);
  if (address.protocol === 'http:') address.protocol = 'ws:';
  if (address.protocol === 'https:') address.protocol = 'wss:';
  if (address.protocol !== 'ws:' && address.protocol !== 'wss:') {
    throw new TypeError(`found the address "${String(url)}", wanted ws://, wss://, http:// or https://`);
  }
  address.hash = '';
  return address.href;
}
