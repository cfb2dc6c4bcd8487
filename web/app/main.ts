// The page: what the coordinator tells, what this tab does, and a digit to draw.
import {LocalEngine, pixelDivisor} from '../src/index.ts';
import type {Inference, ModelInfo, Notice, Participant, PublicFederation} from '../src/index.ts';
import {byId, setText} from './dom.ts';
import {Examples} from './examples.ts';
import {JoiningView} from './joining.ts';
import {paintStrip} from './pad.ts';
import {ReadingView} from './reading.ts';
import {RoundsView} from './rounds.ts';
import {SimulatingView} from './simulating.ts';
import {StatusPoller} from './status.ts';
import type {Status} from './status.ts';
import {startTheme} from './theme.ts';

const base = new URL('.', location.href);
const engine = new LocalEngine({assets: base});
const examples = new Examples(engine);
const rounds = new RoundsView();
const simulating = new SimulatingView(base);

let participant: Participant | null = null;
let status: Status | null = null;
let federation: PublicFederation | null = null;
// The model that the tab can read with: by digest, from the session or by HTTP.
let modelDigest = '';
let model: ModelInfo | null = null;
let loading = '';
let samples = 0;

const joining = new JoiningView(examples, {
  changed(next) {
    participant = next;
    if (!next) modelDigest = '';  // the local engine's may be older
    joiningChanged();
  },
  notice: onNotice,
});

const reading = new ReadingView({
  infer(picture): Promise<Inference> {
    return participant && modelDigest.startsWith('session') ? participant.infer(picture) : engine.infer(picture);
  },
  teach(picture, label) {
    examples.add(picture, label);
    void joining.examplesChanged();
  },
  async sample() {
    const {x} = await engine.drawStrokes(examples.writer, ++samples);
    return x.slice((samples - 1) * 784).map((value) => Math.round(value * 255));
  },
});

function onNotice(notice: Notice): void {
  if (notice.kind === 'round-closed') {
    rounds.add([notice], notice.round);
    poller.now();
  } else if (notice.kind === 'model-ready') {
    void participant?.describe().then((info) => {
      if (!info.model) return;
      model = info.model;
      modelDigest = `session ${notice.digest}`;
      showModel();
    }, () => {});
  }
}

function joiningChanged(): void {
  if (!participant && status) void loadModel(status);
}

// ---- The coordinator

const connection = byId('connection', HTMLElement);
const poller = new StatusPoller(new URL('v1/status', base), (found) => {
  status = found;
  setText(connection, found.finished ? 'finished' : found.phase === 'waiting' && (found.round === 0 || found.connected === 0) ? 'waiting for participants' : 'live');
  connection.className = 'pill good';
  rounds.show(found);
  joining.show(found);
  if (!participant) void loadModel(found);
  else showModel();
}, (againMs) => {
  setText(connection, `no answer, again in ${Math.round(againMs / 1000)} s`);
  connection.className = 'pill bad';
  showModel();
});

// Without a participation the current model comes by HTTP: a digit can be read before joining, and after the end.
async function loadModel(now: Status): Promise<void> {
  if (now.model === modelDigest || loading === now.model || document.hidden) return showModel();
  loading = now.model;
  try {
    federation ??= (await (await fetch(new URL('v1/federation', base))).json()) as PublicFederation;
    const answer = await fetch(new URL('v1/models/current', base));
    if (!answer.ok) throw new Error(`the coordinator answered ${answer.status}`);
    const digest = answer.headers.get('etag')?.replaceAll('"', '') ?? now.model;
    const info = await engine.loadModel(new Uint8Array(await answer.arrayBuffer()), pixelDivisor(federation) ?? 1);
    if (participant) return;
    model = info;
    modelDigest = digest;
  } catch (error) {
    reading.describe('', `The model cannot be read here: ${error instanceof Error ? error.message : String(error)}`);
    return;
  } finally {
    loading = '';
  }
  showModel();
}

function showModel(): void {
  if (!model) {
    reading.describe('', status ? 'The model is on its way.' : 'The model comes with the coordinator.');
    return;
  }
  const inputs = model.inputShape.reduce((a, b) => a * b, 1);
  const isDigits = inputs === 784 && model.classes === 10;
  reading.hidePaper(!isDigits);
  joining.setImpossible(isDigits ? '' : `This model reads ${inputs} numbers and tells ${model.classes} classes apart; this page has pictures of digits only. A daemon (linnet join) or a page of your own with @linnet/web can take part.`);
  if (!isDigits) {
    reading.describe('', `There is nothing to draw: the model reads ${inputs} numbers, not a picture of a digit.`);
    return;
  }
  const scaled = federation === null || pixelDivisor(federation) !== null || participant !== null;
  const round = status?.round ?? 0;
  reading.describe(
    `${model.name}, ${round === 0 ? 'not trained yet' : `after round ${round}`}`,
    scaled ? '' : 'This federation standardizes its data: join, and the model can read here.');
  reading.refresh();
}

// ---- Start

startTheme(byId('theme', HTMLButtonElement), () => {
  rounds.recolour();
  simulating.recolour();
  reading.pad.paint();
  showPen();
});

function showPen(): void {
  examples.penPictures().then(({x}) => paintStrip(byId('pen-preview', HTMLCanvasElement), x, 10), (error: unknown) => {
    joining.setImpossible(error instanceof Error ? error.message : String(error));
  });
}

poller.now();
