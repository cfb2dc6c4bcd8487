// The card where a digit is drawn and the current model reads it, inside the tab.
import type {Inference} from '../src/index.ts';
import {byId, make, setText} from './dom.ts';
import * as format from './format.ts';
import {Pad} from './pad.ts';

const digits = 10;

export interface ReadingHooks {
  /** The current model on one picture of 0..255. Rejects while there is none. */
  infer(picture: Float32Array): Promise<Inference>;
  /** The visitor said what the picture shows. */
  teach(picture: Float32Array, label: number): void;
  /** A picture 0..255 drawn by a simulated pen. */
  sample(): Promise<Float32Array>;
}

export class ReadingView {
  readonly pad: Pad;
  private readonly hooks: ReadingHooks;
  private readonly bars: {item: HTMLElement; fill: HTMLElement; text: HTMLElement}[] = [];
  private readonly buttons: HTMLButtonElement[] = [];
  private reading = false;
  private again = false;
  private available = false;

  constructor(hooks: ReadingHooks) {
    this.hooks = hooks;
    this.pad = new Pad(byId('pad', HTMLCanvasElement), () => this.drawn());
    for (let digit = 0; digit < digits; ++digit) this.addDigit(digit);
    byId('clear', HTMLButtonElement).addEventListener('click', () => this.pad.clear());
    byId('sample', HTMLButtonElement).addEventListener('click', () => void hooks.sample().then((picture) => this.pad.show(picture), () => {}));
    this.drawn();
  }

  /** Says which model reads, or why none can. */
  describe(model: string, why: string): void {
    this.available = why === '';
    setText(byId('pad-model', HTMLElement), model);
    const off = byId('pad-off', HTMLElement);
    off.hidden = why === '';
    setText(off, why);
  }
  /** Hides the paper, for models that read no pictures. */
  hidePaper(hidden: boolean): void {
    byId('pad-body', HTMLElement).hidden = hidden;
  }

  /** Reads again, with a newer model. */
  refresh(): void {
    this.drawn();
  }

  private addDigit(digit: number): void {
    const item = make('li', '');
    const fill = make('span', 'fill');
    const text = make('span', 'value');
    const track = make('span', 'track');
    track.append(fill);
    item.append(make('span', 'digit', String(digit)), track, text);
    byId('bars', HTMLElement).append(item);
    this.bars.push({item, fill, text});
    const button = make('button', '', String(digit));
    button.type = 'button';
    button.setAttribute('aria-label', `It is a ${digit}: keep it as an example`);
    button.addEventListener('click', () => {
      const picture = this.pad.read();
      if (!picture) return;
      this.hooks.teach(picture, digit);
      this.pad.clear();
    });
    byId('label-buttons', HTMLElement).append(button);
    this.buttons.push(button);
  }

  // One reading at a time; what is drawn meanwhile is read after it.
  private drawn(): void {
    byId('pad-hint', HTMLElement).hidden = !this.pad.empty;
    for (const button of this.buttons) button.disabled = this.pad.empty;
    byId('clear', HTMLButtonElement).disabled = this.pad.empty;
    if (this.reading) {
      this.again = true;
      return;
    }
    this.reading = true;
    requestAnimationFrame(() => void this.read().finally(() => {
      this.reading = false;
      if (this.again) {
        this.again = false;
        this.drawn();
      }
    }));
  }

  private async read(): Promise<void> {
    const picture = this.pad.read();
    if (!picture || !this.available) return this.showNothing();
    try {
      const {probabilities, labels} = await this.hooks.infer(picture);
      this.show(probabilities, labels[0] ?? 0);
    } catch {
      this.showNothing();
    }
  }

  private show(probabilities: Float32Array, best: number): void {
    this.bars.forEach(({item, fill, text}, digit) => {
      const value = probabilities[digit] ?? 0;
      fill.style.setProperty('transform', `scaleX(${value.toFixed(4)})`);
      setText(text, `${Math.round(value * 100)}\u00a0%`);
      item.classList.toggle('best', digit === best);
    });
    const sure = probabilities[best] ?? 0;
    setText(byId('answer', HTMLElement), `${sure < 0.5 ? 'Perhaps a' : 'A'} ${best}, says the model (${format.percent(sure)})`);
  }

  private showNothing(): void {
    for (const {item, fill, text} of this.bars) {
      fill.style.setProperty('transform', 'scaleX(0)');
      setText(text, '');
      item.classList.remove('best');
    }
    setText(byId('answer', HTMLElement), this.available ? 'The model reads while you draw.' : 'The model’s reading appears here.');
  }
}
