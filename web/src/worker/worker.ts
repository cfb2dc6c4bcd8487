// The worker: answers the page's requests with one engine.
import type {
  EvaluateResult, FromWorker, Inference, Notice, RequestName, Requests, SessionInfo, TaskMessage,
  ToWorker, TrainResult, Variant,
} from '../shared/types.ts';
import {Driver, words} from './driver.ts';
import {Simulation} from './simulation.ts';
import type {OutsideTraining} from './driver.ts';
import {softmaxRows} from './softmax.ts';
import {DatabaseStore, MemoryStore} from './store.ts';
import type {StateStore} from './store.ts';
import {chooseThreads, chooseVariant, engineFile, maxThreads} from './variant.ts';
import {Engine, LinnetError} from './wasm.ts';
import type {CreateEngine, Model} from './wasm.ts';

let engine: Promise<{engine: Engine; variant: Variant}> | null = null;
let driver: Driver | null = null;
let model: Model | null = null;

const post = (message: FromWorker, transfer: Transferable[] = []): void => self.postMessage(message, {transfer});

async function startEngine(assets: string, wanted: number | null): Promise<{engine: Engine; variant: Variant}> {
  const threads = chooseThreads(wanted, assets);
  const variant = chooseVariant(threads);
  if (!variant) throw new LinnetError('unsupported', 'this browser has no WebAssembly SIMD: Chrome 91, Firefox 89, Safari 16.4 or newer is wanted');
  const module = (await import(`${assets}${engineFile(variant)}.mjs`)) as {default: CreateEngine};
  return {engine: await Engine.start(module.default, threads), variant};
}
// A failed download may be tried again. Threads are those of the first call.
function getEngine(assets: string, threads: number | null = 1): Promise<{engine: Engine; variant: Variant}> {
  return (engine ??= startEngine(assets, threads).catch((error: unknown) => {
    engine = null;
    throw error;
  }));
}

function need<T>(value: T | null, what: string): T {
  if (value === null) throw new LinnetError('state', what);
  return value;
}
const needDriver = (): Driver => need(driver, 'this worker takes no part in a federation');

// ---- Training in the page

const tasks = new Map<number, {resolve(result: never): void; reject(error: Error): void}>();

function inPage(own: {examples: number; evaluate: boolean}): OutsideTraining {
  const ask = <T>(message: TaskMessage): Promise<T> =>
    new Promise((resolve, reject) => {
      tasks.set(message.task, {resolve, reject});
      post(message, [message.parameters.buffer]);
    });
  const training: OutsideTraining = {
    examples: own.examples,
    train: (parameters, settings, task) => ask<TrainResult>({task, kind: 'train', settings, parameters}),
  };
  if (own.evaluate) {
    training.evaluate = (parameters, settings, task) => ask<EvaluateResult>({task, kind: 'evaluate', settings, parameters});
  }
  return training;
}

async function openStore(keep: boolean, url: string, federation: string): Promise<StateStore> {
  if (!keep) return new MemoryStore();
  try {
    return await DatabaseStore.open(`${url} ${federation}`);
  } catch (error) {
    post({notice: {kind: 'error', text: `the browser keeps nothing here (${words(error)}): a reload will be a new device`, code: 'io'}});
    return new MemoryStore();
  }
}

// ---- Requests

type Handlers = {[N in RequestName]: (payload: Requests[N]['in'], signal: AbortSignal) => Promise<Requests[N]['out']>};

const handlers: Handlers = {
  async join({assets, threads, url, session, data, own, keepState}, signal): Promise<SessionInfo> {
    if (driver) throw new LinnetError('state', 'this worker takes part already');
    if (threads !== null && !(Number.isInteger(threads) && threads >= 1 && threads <= maxThreads)) {
      throw new LinnetError('invalid', `found ${threads} threads, wanted 1 to ${maxThreads}`);
    }
    const started = await getEngine(assets, threads);
    const store = await openStore(keepState, url, session.federation);
    if (signal.aborted) {
      store.close();
      throw new LinnetError('state', 'cancelled');
    }
    driver = await Driver.start({
      ...started,
      url,
      session: {...session, runtime: `wasm/${started.variant}`},
      data,
      own: own ? inPage(own) : null,
      store,
      notice: (notice: Notice) => post({notice}),
    });
    return driver.describe();
  },
  async open({assets, bytes}) {
    const loaded = (await getEngine(assets)).engine.loadModel(bytes);
    model?.close();
    model = loaded;
    return model.info;
  },
  async infer({x, divisor}): Promise<Inference> {
    if (driver) {
      const {logits, classes} = driver.infer(x);
      return softmaxRows(logits, classes);
    }
    const reader = need(model, 'no model is open');
    return softmaxRows(reader.infer(x.map((value) => value / divisor)), reader.info.classes);
  },
  async setData({data}) {
    needDriver().setData(data);
    return needDriver().describe();
  },
  async describe() {
    return needDriver().describe();
  },
  async pause({paused}) {
    needDriver().pause(paused);
    return null;
  },
  async leave({reason}) {
    driver?.leave(reason);
    driver = null;
    for (const task of tasks.values()) task.reject(new Error('left'));
    tasks.clear();
    return null;
  },
  async draw({assets, seed, writer, count}) {
    return (await getEngine(assets)).engine.drawStrokes(seed, writer, 0, count);
  },
  async simulate({assets, settings, plugins}) {
    if (!chooseVariant()) throw new LinnetError('unsupported', 'this browser has no WebAssembly SIMD');
    // The plain build: relaxed SIMD has other bits on other machines.
    const {default: create} = (await import(`${assets}engine/simulate.mjs`)) as {default: CreateEngine};
    const simulation = await Simulation.create(await Engine.start(create), settings, plugins, (simulated) => post({simulated}));
    try {
      while (simulation.run(1)) for (const simulated of simulation.events()) post({simulated});
      for (const simulated of simulation.events()) post({simulated});
      const {summary, model: bytes} = simulation.finish();
      return {summary, bytes};
    } finally {
      simulation.close();
    }
  },
  async finishTask({task, result, error}) {
    const waiting = tasks.get(task);
    tasks.delete(task);
    if (result) waiting?.resolve(result as never);
    else waiting?.reject(new Error(error));
    return null;
  },
};

const running = new Map<number, AbortController>();

self.onmessage = async ({data}: MessageEvent<ToWorker>): Promise<void> => {
  if ('cancel' in data) {
    running.get(data.cancel)?.abort();
    return;
  }
  const controller = new AbortController();
  running.set(data.id, controller);
  try {
    const handler = handlers[data.name] as (payload: unknown, signal: AbortSignal) => Promise<unknown>;
    post({id: data.id, value: await handler(data.payload, controller.signal)});
  } catch (error) {
    post({id: data.id, error: {code: error instanceof LinnetError ? error.code : 'internal', message: words(error)}});
  } finally {
    running.delete(data.id);
  }
};
