// From a drawing to the 28x28 picture that models are trained on: as MNIST's, the ink fits a box of 20x20 pixels and
// its centre of mass lies in the middle. Plain numbers in, plain numbers out.

export const side = 28;
const box = 20;
/** Where the centre of mass is put: the middle of the picture, pixel centres at halves. */
const middle = side / 2;

/** Ink 0..255 of a square drawing, row by row. null: nothing was drawn. Result: 28x28 whole numbers 0..255. */
export function toPicture(ink: ArrayLike<number>, width: number): Float32Array | null {
  const bounds = inkBounds(ink, width);
  if (!bounds) return null;
  const {left, top, right, bottom} = bounds;
  const scale = box / Math.max(right - left, bottom - top);
  const boxed = shrink(ink, width, (x) => left + x / scale, (y) => top + y / scale, Math.ceil((right - left) * scale), Math.ceil((bottom - top) * scale), 1 / scale);
  const {x: cx, y: cy} = centreOfMass(boxed.values, boxed.width);
  const picture = new Float32Array(side * side);
  // Whole pixels: the picture keeps its sharpness.
  const dx = Math.round(middle - cx);
  const dy = Math.round(middle - cy);
  for (let y = 0; y < boxed.height; ++y) {
    for (let x = 0; x < boxed.width; ++x) {
      const to = {x: x + dx, y: y + dy};
      if (to.x < 0 || to.x >= side || to.y < 0 || to.y >= side) continue;
      picture[to.y * side + to.x] = Math.round(boxed.values[y * boxed.width + x] ?? 0);
    }
  }
  return picture;
}

function inkBounds(ink: ArrayLike<number>, width: number): {left: number; top: number; right: number; bottom: number} | null {
  let left = width, top = width, right = 0, bottom = 0;
  for (let i = 0; i < ink.length; ++i) {
    if ((ink[i] ?? 0) < 16) continue;
    const x = i % width;
    const y = (i - x) / width;
    left = Math.min(left, x);
    right = Math.max(right, x + 1);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y + 1);
  }
  return right > left ? {left, top, right, bottom} : null;
}

// Mean ink of the source area below each new pixel (edges of the area count by their part).
function shrink(ink: ArrayLike<number>, width: number, toX: (x: number) => number, toY: (y: number) => number, columns: number, rows: number, step: number): {values: Float32Array; width: number; height: number} {
  const values = new Float32Array(columns * rows);
  for (let y = 0; y < rows; ++y) {
    for (let x = 0; x < columns; ++x) {
      const x0 = toX(x), y0 = toY(y), x1 = x0 + step, y1 = y0 + step;
      let sum = 0;
      for (let v = Math.floor(y0); v < y1; ++v) {
        const high = Math.min(v + 1, y1) - Math.max(v, y0);
        for (let u = Math.floor(x0); u < x1; ++u) {
          if (u < 0 || u >= width || v < 0 || v >= width) continue;
          sum += high * (Math.min(u + 1, x1) - Math.max(u, x0)) * (ink[v * width + u] ?? 0);
        }
      }
      values[y * columns + x] = sum / (step * step);
    }
  }
  return {values, width: columns, height: rows};
}

function centreOfMass(values: Float32Array, width: number): {x: number; y: number} {
  let mass = 0, x = 0, y = 0;
  values.forEach((value, i) => {
    mass += value;
    x += value * ((i % width) + 0.5);
    y += value * (Math.floor(i / width) + 0.5);
  });
  return {x: x / mass, y: y / mass};
}
