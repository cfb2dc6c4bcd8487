// What this tab trains on: the digits of its simulated pen, and those the visitor drew and named.
import {randomWriter} from '../src/index.ts';
import type {DataSource, LocalEngine} from '../src/index.ts';

const pixels = 784;
const penDigits = 120;
const key = 'linnet-pen';

export class Examples {
  readonly writer: number;
  private readonly own: {picture: Float32Array; label: number}[] = [];
  private pen: Promise<{x: Float32Array; y: Int32Array}> | null = null;
  private readonly engine: LocalEngine;
  usePen = true;

  constructor(engine: LocalEngine) {
    this.engine = engine;
    this.writer = keptWriter();
  }

  get ownCount(): number {
    return this.own.length;
  }
  get count(): number {
    return this.own.length + (this.usePen ? penDigits : 0);
  }

  /** A picture of 0..255 and what it shows. */
  add(picture: Float32Array, label: number): void {
    this.own.push({picture: picture.slice(), label});
  }

  /** The pen's digits, x[120 * 784] in 0..1. */
  penPictures(): Promise<{x: Float32Array; y: Int32Array}> {
    return (this.pen ??= this.engine.drawStrokes(this.writer, penDigits).catch((error: unknown) => {
      this.pen = null;
      throw error;
    }));
  }

  async source(): Promise<DataSource> {
    if (this.own.length === 0) {
      return this.usePen ? {kind: 'strokes', writer: this.writer, perWriter: penDigits} : {kind: 'none'};
    }
    const pen = this.usePen ? await this.penPictures() : {x: new Float32Array(0), y: new Int32Array(0)};
    const x = new Float32Array(pen.x.length + this.own.length * pixels);
    const y = new Int32Array(pen.y.length + this.own.length);
    x.set(pen.x.map((value) => Math.round(value * 255)));
    y.set(pen.y);
    this.own.forEach(({picture, label}, i) => {
      x.set(picture, pen.x.length + i * pixels);
      y[pen.y.length + i] = label;
    });
    return {kind: 'arrays', x, y, features: pixels, classes: 10, max: 255};
  }
}

// The same hand at the next visit.
function keptWriter(): number {
  try {
    const kept = Number(localStorage.getItem(key));
    if (Number.isInteger(kept) && kept >= 2000 && kept < 1 << 20) return kept;
    const writer = randomWriter();
    localStorage.setItem(key, String(writer));
    return writer;
  } catch {
    return randomWriter();
  }
}
