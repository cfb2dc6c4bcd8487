// The cards of this tab's own part: joining, what it does, what left it.
import {join} from '../src/index.ts';
import type {Notice, Participant} from '../src/index.ts';
import {byId, make, setText} from './dom.ts';
import type {Examples} from './examples.ts';
import * as format from './format.ts';
import type {Status} from './status.ts';

const logLines = 40;

export interface JoiningHooks {
  /** The participation began or ended (null). */
  changed(participant: Participant | null): void;
  notice(notice: Notice): void;
}

export class JoiningView {
  private readonly examples: Examples;
  private readonly hooks: JoiningHooks;
  private participant: Participant | null = null;
  private status: Status | null = null;
  private counted = {rounds: 0, examples: 0};
  private uploads = {count: 0, bytes: 0, last: 0, codec: ''};
  private messages = {sent: 0, received: 0};
  private impossible = '';
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(examples: Examples, hooks: JoiningHooks) {
    this.examples = examples;
    this.hooks = hooks;
    byId('join-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.join();
    });
    byId('use-pen', HTMLInputElement).addEventListener('change', (event) => {
      examples.usePen = (event.target as HTMLInputElement).checked;
      this.showExamples();
    });
    byId('pause', HTMLButtonElement).addEventListener('click', () => void this.togglePause());
    byId('leave', HTMLButtonElement).addEventListener('click', () => void this.leave());
    this.showExamples();
    this.showLeft();
  }

  /** Why this page cannot take part, or "". */
  setImpossible(why: string): void {
    this.impossible = why;
    this.showExamples();
  }

  show(status: Status): void {
    this.status = status;
    this.showExamples();
    this.showLeft();
  }

  /** After the visitor taught a digit. */
  async examplesChanged(): Promise<void> {
    this.showExamples();
    await this.participant?.setData(await this.examples.source());
  }

  private showExamples(): void {
    const {ownCount, count} = this.examples;
    setText(byId('own-count', HTMLElement), ownCount === 0 ? 'No digits of your own yet.' : `${format.plural(ownCount, 'digit')} of your own.`);
    const finished = this.status?.finished ? 'This federation has finished its rounds. Its model still reads your drawings.' : '';
    const why = this.impossible || finished || (count === 0 ? 'There is nothing to train on: let the pen write, or draw and name a digit.' : '');
    byId('join', HTMLButtonElement).disabled = why !== '' || this.participant !== null;
    if (!this.participant) this.note(why, 'info');
  }

  private note(text: string, kind: 'info' | 'error'): void {
    const note = byId('join-note', HTMLElement);
    note.hidden = text === '';
    note.classList.toggle('error', kind === 'error');
    setText(note, text);
  }

  private async join(): Promise<void> {
    const button = byId('join', HTMLButtonElement);
    button.disabled = true;
    setText(button, 'Starting…');
    try {
      const name = byId('name', HTMLInputElement).value.trim() || 'a browser tab';
      const address = new URL('.', location.href);
      this.participant = await join(address, {name, data: await this.examples.source(), properties: {page: 'linnet'}});
    } catch (error) {
      this.note(error instanceof Error ? error.message : String(error), 'error');
      button.disabled = false;
      return;
    } finally {
      setText(button, 'Join');
    }
    this.participant.on('*', (notice) => this.happen(notice));
    this.showJoined(true);
    this.timer = setInterval(() => void this.refresh(), 2000);
    this.hooks.changed(this.participant);
    await this.refresh();
  }

  private async leave(): Promise<void> {
    clearInterval(this.timer);
    const {participant} = this;
    this.participant = null;
    this.hooks.changed(null);
    await participant?.leave();
    this.showJoined(false);
    this.log('left');
    this.showExamples();
  }

  private async togglePause(): Promise<void> {
    const {participant} = this;
    if (!participant) return;
    await (participant.paused ? participant.resume() : participant.pause());
    setText(byId('pause', HTMLButtonElement), participant.paused ? 'Go on' : 'Pause');
  }

  private showJoined(joined: boolean): void {
    byId('join-form', HTMLFormElement).hidden = joined;
    byId('join-lead', HTMLElement).hidden = joined;
    byId('taking-part', HTMLElement).hidden = !joined;
    byId('log-empty', HTMLElement).hidden = true;
    byId('training', HTMLProgressElement).value = 0;
    byId('pause', HTMLButtonElement).hidden = false;
    setText(byId('pause', HTMLButtonElement), 'Pause');
    this.note('', 'info');
    if (joined) byId('pause', HTMLButtonElement).focus();
    else byId('join', HTMLButtonElement).focus();
  }

  private async refresh(): Promise<void> {
    const info = await this.participant?.describe().catch(() => null);
    if (!info) return;
    this.counted = {rounds: info.roundsCounted, examples: info.examplesCounted};
    this.messages = {sent: info.sentBytes, received: info.receivedBytes};
    setText(byId('variant', HTMLElement), [
      info.variant === 'plain' ? 'SIMD' : 'relaxed SIMD',
      ...(info.threads > 1 ? [`${info.threads} threads`] : []),
    ].join(', '));
    this.showFigures();
  }

  private showFigures(): void {
    setText(byId('mine-rounds', HTMLElement), format.count(this.counted.rounds));
    setText(byId('mine-examples', HTMLElement), format.count(this.counted.examples));
    setText(byId('mine-sent', HTMLElement), format.bytes(this.messages.sent));
    setText(byId('mine-received', HTMLElement), format.bytes(this.messages.received));
    this.showLeft();
  }

  private happen(notice: Notice): void {
    this.hooks.notice(notice);
    const activity = byId('activity', HTMLElement);
    const progress = byId('training', HTMLProgressElement);
    switch (notice.kind) {
      case 'progress':
        progress.value = notice.fraction;
        return;
      case 'connecting':
        setText(activity, notice.delayMs > 0 ? `No connection. Trying again in ${Math.ceil(notice.delayMs / 1000)} s.` : 'Connecting…');
        break;
      case 'welcomed':
        setText(activity, 'Connected. Waiting for a round.');
        this.note('', 'info');
        break;
      case 'invited':
        setText(activity, `Invited to round ${notice.round}.`);
        break;
      case 'training':
        progress.value = 0;
        setText(activity, `Round ${notice.round}: training on ${format.plural(notice.examples, 'example')}.`);
        break;
      case 'uploading':
        progress.value = 1;
        this.uploads = {count: this.uploads.count + 1, bytes: this.uploads.bytes + notice.bytes, last: notice.bytes, codec: notice.codec};
        setText(activity, `Round ${notice.round}: sending ${format.bytes(notice.bytes)}.`);
        break;
      case 'verdict':
        this.counted = {rounds: notice.roundsCounted, examples: notice.examplesCounted};
        this.messages = {sent: notice.sentBytes, received: notice.receivedBytes};
        setText(activity, `Round ${notice.round}: this tab’s update is ${notice.verdict}.`);
        break;
      case 'paused':
        setText(activity, notice.paused ? `Paused: ${notice.why}.` : 'Going on. Waiting for a round.');
        break;
      case 'finished':
        byId('pause', HTMLButtonElement).hidden = true;
        setText(activity, 'The federation has finished. Thank you for taking part.');
        break;
      case 'error':
        this.note(notice.text, 'error');
        if (notice.fatal) setText(activity, 'Stopped by an error.');
        break;
      default:
        break;
    }
    const line = logLine(notice);
    if (line) this.log(line);
    this.showFigures();
  }

  private log(text: string): void {
    const list = byId('log', HTMLElement);
    const line = make('li', '');
    const time = make('time', 'muted', new Date().toLocaleTimeString('en', {hour12: false}));
    line.append(time, make('span', '', text));
    list.prepend(line);
    while (list.childElementCount > logLines) list.lastElementChild?.remove();
  }

  private showLeft(): void {
    const list = byId('left-list', HTMLElement);
    const codec = this.uploads.codec || this.status?.codec || '';
    const whole = this.status?.modelBytes ?? 0;
    const lines: [string, string][] = this.uploads.count === 0
      ? [['nothing', 'No update has left this tab in this visit.']]
      : [[format.bytes(this.uploads.bytes), `${format.plural(this.uploads.count, 'update')} of ${format.bytes(this.uploads.last)}${whole > this.uploads.last * 1.5 ? `, each ${Math.round(whole / this.uploads.last)} times smaller than the model` : ''}`]];
    if (codec) lines.push(['how', `${format.codec(codec)}: changes of the model’s numbers, never examples`]);
    lines.push(['stays', `${format.plural(this.examples.count, 'example')} and their labels; the device’s secret key`]);
    list.replaceChildren(...lines.map(([term, text]) => {
      const line = make('li', '');
      line.append(make('strong', '', term), make('span', '', text));
      return line;
    }));
  }
}

// Notices in the page's own numbers; "" = not worth a line.
function logLine(notice: Notice): string {
  switch (notice.kind) {
    case 'model-ready':
      return '';
    case 'round-closed':
      return `round ${notice.round} closed: ${notice.counted} updates, accuracy ${format.percent(notice.accuracy)}`;
    case 'uploading':
      return `round ${notice.round}: sending ${format.bytes(notice.bytes)}`;
    case 'evaluated':
      return `round ${notice.round}: ${format.percent(notice.accuracy)} on the examples kept aside here`;
    default:
      return notice.text;
  }
}
