// The page's side of the worker: every request has an id and may be cancelled.
import type {EventKind, Failure, FromWorker, Notice, OwnTraining, LogLine, RequestName, Requests, SimulatedRound, TaskMessage} from './shared/types.ts';

/** An error of the engine or the worker, with the code that says what may be done about it. */
export class LinnetFailure extends Error {
  readonly code: string;
  constructor({code, message}: Failure) {
    super(message);
    this.name = 'LinnetFailure';
    this.code = code;
  }
}

interface Waiting {
  resolve(value: never): void;
  reject(error: unknown): void;
}
type Listener = (event: Notice) => void;

export class WorkerClient {
  /** The folder of worker.js and engine/, ending in a slash. */
  readonly assets: string;
  private readonly worker: Worker;
  private readonly own: OwnTraining | undefined;
  private readonly ended = new AbortController();
  private readonly waiting = new Map<number, Waiting>();
  private readonly listeners = new Map<EventKind | '*', Set<Listener>>();
  private lastId = 0;
  /** Called with what a simulation tells. */
  simulated: (told: SimulatedRound | LogLine) => void = () => {};

  constructor(assets: string | URL | undefined, own?: OwnTraining) {
    this.assets = new URL('.', new URL(assets ?? import.meta.url, globalThis.location?.href)).href;
    this.own = own;
    this.worker = startWorker(new URL('worker.js', this.assets));
    this.worker.onmessage = ({data}: MessageEvent<FromWorker>) => this.receive(data);
    this.worker.onerror = (event) => {
      const error = new LinnetFailure({code: 'internal', message: event.message || `the worker at ${this.assets} cannot be loaded`});
      for (const one of this.waiting.values()) one.reject(error);
      this.waiting.clear();
      this.tell({kind: 'error', text: error.message, code: 'internal', fatal: true});
    };
  }

  request<N extends RequestName>(name: N, payload: Requests[N]['in'], signal?: AbortSignal): Promise<Requests[N]['out']> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    if (this.ended.signal.aborted) return Promise.reject(new LinnetFailure({code: 'state', message: 'this participation has ended'}));
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      const cancel = (): void => {
        this.waiting.delete(id);
        this.worker.postMessage({cancel: id});
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', cancel, {once: true});
      const done = <T extends unknown[]>(body: (...values: T) => void) => (...values: T): void => {
        signal?.removeEventListener('abort', cancel);
        body(...values);
      };
      this.waiting.set(id, {resolve: done(resolve), reject: done(reject)});
      this.worker.postMessage({id, name, payload});
    });
  }

  on(kind: EventKind | '*', listener: Listener): () => void {
    let set = this.listeners.get(kind);
    if (!set) this.listeners.set(kind, (set = new Set()));
    set.add(listener);
    return () => set.delete(listener);
  }

  tell(notice: Notice): void {
    for (const kind of [notice.kind, '*'] as const) {
      for (const listener of this.listeners.get(kind) ?? []) listener(notice);
    }
  }

  terminate(): void {
    this.ended.abort();
    this.worker.terminate();
    for (const one of this.waiting.values()) one.reject(new LinnetFailure({code: 'state', message: 'this participation has ended'}));
    this.waiting.clear();
  }

  private receive(data: FromWorker): void {
    if ('notice' in data) return this.tell(data.notice);
    if ('simulated' in data) return this.simulated(data.simulated);
    if ('task' in data) return void this.runTask(data);
    const waiting = this.waiting.get(data.id);
    this.waiting.delete(data.id);
    if ('error' in data) waiting?.reject(new LinnetFailure(data.error));
    else waiting?.resolve(data.value as never);
  }

  private async runTask(message: TaskMessage): Promise<void> {
    const {task} = message;
    const {own} = this;
    try {
      if (!own) throw new Error('this page has no training of its own');
      const result = message.kind === 'train'
        ? await own.train(message.parameters, message.settings, this.ended.signal)
        : await own.evaluate?.(message.parameters, message.settings, this.ended.signal);
      await this.request('finishTask', {task, result: result ?? null, error: 'no evaluation'});
    } catch (error) {
      if (this.ended.signal.aborted) return;
      await this.request('finishTask', {task, result: null, error: error instanceof Error ? error.message : String(error)});
    }
  }
}

// A worker must be of the page's own origin; from another one it is imported by a one-line script.
function startWorker(url: URL): Worker {
  if (url.origin === globalThis.location?.origin) return new Worker(url, {type: 'module', name: 'linnet'});
  const script = URL.createObjectURL(new Blob([`import ${JSON.stringify(url.href)};`], {type: 'text/javascript'}));
  return new Worker(script, {type: 'module', name: 'linnet'});
}
