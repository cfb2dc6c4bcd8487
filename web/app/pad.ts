// A square of paper to draw on, with mouse, pen or finger.
import {side, toPicture} from './digits.ts';

const ink = {light: '#23282b', dark: '#f2efe9'};

export class Pad {
  private readonly canvas: HTMLCanvasElement;
  private readonly context: CanvasRenderingContext2D;
  private readonly changed: () => void;
  private strokes: {x: number; y: number}[][] = [];
  private picture: Float32Array | null = null;  // shown instead of strokes

  /** `changed` is called after each piece of a stroke. */
  constructor(canvas: HTMLCanvasElement, changed: () => void) {
    const context = canvas.getContext('2d', {willReadFrequently: true});
    if (!context) throw new Error('this browser has no canvas');
    this.canvas = canvas;
    this.context = context;
    this.changed = changed;
    canvas.addEventListener('pointerdown', (event) => this.begin(event));
    canvas.addEventListener('pointermove', (event) => this.move(event));
  }

  get empty(): boolean {
    return this.strokes.length === 0 && this.picture === null;
  }

  clear(): void {
    this.strokes = [];
    this.picture = null;
    this.paint();
    this.changed();
  }

  /** Shows a 28x28 picture of 0..255. */
  show(picture: Float32Array): void {
    this.strokes = [];
    this.picture = picture;
    this.paint();
    this.changed();
  }

  /** What the model is given: 28x28, 0..255; null while nothing is drawn. */
  read(): Float32Array | null {
    if (this.picture) return this.picture;
    if (this.strokes.length === 0) return null;
    // Drawn again, small and white on black, so that the theme has no say.
    const width = 140;
    const small = new OffscreenCanvas(width, width).getContext('2d');
    if (!small) return null;
    this.draw(small, width, '#fff');
    const {data} = small.getImageData(0, 0, width, width);
    return toPicture(Uint8Array.from({length: width * width}, (_, i) => data[i * 4 + 3] ?? 0), width);
  }

  /** Again, after the theme changed. */
  paint(): void {
    const {width} = this.canvas;
    this.context.clearRect(0, 0, width, width);
    const colour = document.documentElement.dataset['theme'] === 'dark' ? ink.dark : ink.light;
    if (this.picture) this.paintPicture(this.picture, colour);
    else this.draw(this.context, width, colour);
  }

  private draw(context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D, width: number, colour: string): void {
    context.strokeStyle = colour;
    context.lineWidth = width * 0.075;
    context.lineCap = 'round';
    context.lineJoin = 'round';
    for (const stroke of this.strokes) {
      context.beginPath();
      const [first = {x: 0, y: 0}] = stroke;
      context.moveTo(first.x * width, first.y * width);
      // Through the middles of the pieces: a smooth line.
      stroke.forEach((point, i) => {
        const next = stroke[i + 1] ?? point;
        context.quadraticCurveTo(point.x * width, point.y * width, ((point.x + next.x) / 2) * width, ((point.y + next.y) / 2) * width);
      });
      context.stroke();
    }
  }

  private paintPicture(picture: Float32Array, colour: string): void {
    const small = new OffscreenCanvas(side, side);
    const context = small.getContext('2d');
    if (!context) return;
    context.fillStyle = colour;
    picture.forEach((value, i) => {
      context.globalAlpha = value / 255;
      context.fillRect(i % side, Math.floor(i / side), 1, 1);
    });
    this.context.imageSmoothingEnabled = true;
    this.context.imageSmoothingQuality = 'high';
    this.context.drawImage(small, 0, 0, this.canvas.width, this.canvas.width);
  }

  private at(event: PointerEvent): {x: number; y: number} {
    const box = this.canvas.getBoundingClientRect();
    return {x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height};
  }
  private begin(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.picture = null;
    this.strokes.push([this.at(event)]);
    this.paint();
    this.changed();
  }
  private move(event: PointerEvent): void {
    if (!this.canvas.hasPointerCapture(event.pointerId)) return;
    const stroke = this.strokes.at(-1);
    for (const piece of event.getCoalescedEvents?.() ?? []) stroke?.push(this.at(piece));
    stroke?.push(this.at(event));
    this.paint();
    this.changed();
  }
}

/** Draws pictures x[n * 784] in 0..1 side by side. */
export function paintStrip(canvas: HTMLCanvasElement, x: Float32Array, count: number): void {
  const context = canvas.getContext('2d');
  if (!context) return;
  canvas.width = count * side;
  canvas.height = side;
  const dark = document.documentElement.dataset['theme'] === 'dark';
  context.fillStyle = dark ? ink.dark : ink.light;
  for (let i = 0; i < count * side * side; ++i) {
    const within = i % (side * side);
    context.globalAlpha = x[i] ?? 0;
    context.fillRect(Math.floor(i / (side * side)) * side + (within % side), Math.floor(within / side), 1, 1);
  }
}
