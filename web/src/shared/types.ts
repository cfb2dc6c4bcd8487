// What the page and the worker say to each other. Types only: nothing here runs.

// ---- Public

/** The engine's builds: relaxed SIMD where the browser has it, and with it threads where they are wanted and possible. */
export type Variant = 'threads' | 'relaxed' | 'plain';

/** What this participant trains on. Nothing of it leaves the tab. */
export type DataSource =
  /** Digits of simulated pens, drawn here. Default: one writer of its own, 120 digits. */
  | {kind: 'strokes'; writer?: number; writers?: [first: number, last: number]; perWriter?: number; seed?: number}
  /** Raw values x[n * features] and labels y[n] in [0, classes). `max` is the source's largest value
   *  (255 for pixels); without it each feature is scaled by its own range. */
  | {kind: 'arrays'; x: Float32Array; y: Int32Array; features: number; classes: number; max?: number}
  /** Takes no part in training until data is set; sees rounds and models. */
  | {kind: 'none'};

/** A federation's "train" as the round gives it. */
export interface TrainSettings {
  round: number;
  optimizer: string;
  learningRate: number;
  momentum: number;
  weightDecay: number;
  clipNorm: number;
  batchSize: number;
  epochs: number;
  maxSteps: number;
  maxExamples: number;
  client: string;
  clientConfig: string;
}

export interface TrainResult {
  /** The new values, in the order they came. May be the array that was given. */
  parameters: Float32Array;
  examples: number;
  steps: number;
  lossBefore?: number;
  lossAfter?: number;
}

export interface EvaluateResult {
  examples: number;
  correct: number;
  lossSum: number;
}

/** Training of the page's own: parameters and settings in, new parameters out. */
export interface OwnTraining {
  /** How many examples the page holds; told to the coordinator. */
  examples: number;
  train(parameters: Float32Array, settings: TrainSettings, signal: AbortSignal): Promise<TrainResult> | TrainResult;
  evaluate?(parameters: Float32Array, settings: {round: number}, signal: AbortSignal): Promise<EvaluateResult> | EvaluateResult;
}

export interface ModelInfo {
  name: string;
  inputShape: number[];
  classes: number;
  parameters: number;
  layers: {name: string; shape: number[]; offset: number; count: number}[];
}

/** The part of the federation file that participants may see. */
export interface PublicFederation {
  name?: string;
  train?: {optimizer?: string; learningRate?: number; batchSize?: number; epochs?: number};
  data?: {scale?: string};
  strategy?: {id?: string};
  round?: {cohort?: number; minimum?: number; maxRounds?: number; target?: {metric?: string; value?: number}};
  upload?: {codec?: string; bits?: number};
}

/** Things that happen, by kind. Numbers that were not measured are null. */
export interface Events {
  connecting: {delayMs: number};
  welcomed: {federation: string; model: string; round: number; public: PublicFederation};
  disconnected: {reason: string};
  invited: {round: number; attempt: number};
  'model-ready': {digest: string; bytes: number};
  training: {round: number; examples: number};
  progress: {fraction: number};
  uploading: {round: number; bytes: number; codec: string};
  verdict: {
    round: number;
    verdict: 'counted' | 'already counted' | 'refused' | 'late' | 'void';
    message: string;
    roundsCounted: number;
    examplesCounted: number;
    sentBytes: number;
    receivedBytes: number;
  };
  'round-closed': {
    round: number;
    accuracy: number | null;
    loss: number | null;
    trainLoss: number | null;
    counted: number;
    invited: number;
    connected: number;
    seconds: number;
    uplinkBytes: number;
    downlinkBytes: number;
    targetReached: boolean;
    last: boolean;
  };
  evaluated: {round: number; examples: number; accuracy: number};
  error: {code?: string; fatal?: boolean};
  finished: {reason: string};
  /** The policy or the page paused or resumed this participant. */
  paused: {paused: boolean; why: string};
}
export type EventKind = keyof Events;
/** One event with its line for people. */
export type Notice<K extends EventKind = EventKind> = {[E in EventKind]: {kind: E; text: string} & Events[E]}[K];

export interface SessionInfo {
  /** The device's public key, hexadecimal. */
  device: string;
  roundsCounted: number;
  examplesCounted: number;
  /** Held here, and of these kept out of training. */
  examples: number;
  heldOut: number;
  /** Why the coordinator ended the session, or "". */
  ended: string;
  /** Of the training under way, 0 to 1. */
  progress: number | null;
  model: ModelInfo | null;
  variant: Variant;
  threads: number;
  /** Bytes of WebSocket messages of this session. */
  sentBytes: number;
  receivedBytes: number;
}

export interface Inference {
  /** probabilities[n * classes] */
  probabilities: Float32Array;
  classes: number;
  /** The likeliest class of each example. */
  labels: number[];
}

/** A federation to be simulated in the tab. */
export interface SimulationSettings {
  /** As a federation file; "evaluate.data" may name digits that are drawn here ("strokes?writers=1000-1009"). */
  federation: {name: string; model: {builtin: string}; [key: string]: unknown};
  /** Default 10. */
  participants?: number;
  /** How the data are divided: "iid" (default), "shards:2" or "dirichlet:0.5". */
  partition?: string;
  /** Default "strokes?writers=0-99": digits of simulated pens. */
  data?: string;
  /** The same seed gives the same bits, in every browser. Default 1. */
  seed?: number;
}
/** A round that was closed. Numbers that were not measured are null. */
export interface SimulatedRound {
  round: number;
  accuracy: number | null;
  loss: number | null;
  invited: number;
  counted: number;
  uplinkBytes: number;
  downlinkBytes: number;
  /** On the simulation's clock. */
  virtualSeconds: number;
  /** The model's digest. */
  model: string;
}
/** What a strategy logged: a stranger's text. */
export interface LogLine {
  level: number;
  line: string;
}
export interface SimulationSummary {
  rounds: number;
  accuracy: number | null;
  loss: number | null;
  targetReached: boolean;
  uplinkBytes: number;
  downlinkBytes: number;
  virtualSeconds: number;
  model: string;
}

// ---- Between page and worker

export interface SessionOptions {
  federation: string;
  token: string;
  name: string;
  properties: Record<string, string>;
  followModel: boolean;
  maxStepsPerRound: number;
}

/** Requests by name: what goes in and what comes back. */
export interface Requests {
  join: {
    in: {
      assets: string;
      threads: number | null;
      url: string;
      session: SessionOptions;
      data: DataSource;
      own: {examples: number; evaluate: boolean} | null;
      keepState: boolean;
    };
    out: SessionInfo;
  };
  /** A model by its bytes, for reading without taking part. `max` as in DataSource. */
  open: {in: {assets: string; bytes: Uint8Array}; out: ModelInfo};
  /** Raw values; `divisor` is for an opened model (a session scales as it trains). */
  infer: {in: {x: Float32Array; divisor: number}; out: Inference};
  setData: {in: {data: DataSource}; out: SessionInfo};
  describe: {in: {}; out: SessionInfo};
  pause: {in: {paused: boolean}; out: null};
  leave: {in: {reason: string}; out: null};
  /** Simulated digits to look at: x[count * 784] in 0..1. */
  draw: {in: {assets: string; seed: number; writer: number; count: number}; out: {x: Float32Array; y: Int32Array}};
  /** Rounds come as `simulated` messages meanwhile; `bytes` is the last model. */
  simulate: {
    in: {assets: string; settings: SimulationSettings; plugins: Uint8Array<ArrayBuffer>[]};
    out: {summary: SimulationSummary; bytes: Uint8Array<ArrayBuffer>};
  };
  finishTask: {in: {task: number; result: TrainResult | EvaluateResult | null; error: string}; out: null};
}
export type RequestName = keyof Requests;

export type ToWorker =
  | {[N in RequestName]: {id: number; name: N; payload: Requests[N]['in']}}[RequestName]
  | {cancel: number};

export interface Failure {
  code: string;
  message: string;
}

/** Training or evaluation that the page does itself; answered by finishTask. */
export type TaskMessage =
  | {task: number; kind: 'train'; settings: TrainSettings; parameters: Float32Array<ArrayBuffer>}
  | {task: number; kind: 'evaluate'; settings: {round: number}; parameters: Float32Array<ArrayBuffer>};

export type FromWorker = {id: number; value: unknown} | {id: number; error: Failure} | {notice: Notice} | {simulated: SimulatedRound | LogLine} | TaskMessage;
