import assert from 'node:assert/strict';
import {test} from 'node:test';
import {side, toPicture} from '../app/digits.ts';

const width = 140;

// A filled box of a drawing.
function drawing(...boxes: [x: number, y: number, w: number, h: number][]): Uint8Array {
  const ink = new Uint8Array(width * width);
  for (const [x, y, w, h] of boxes) {
    for (let v = y; v < y + h; ++v) ink.fill(255, v * width + x, v * width + x + w);
  }
  return ink;
}
function picture(ink: Uint8Array): {values: Float32Array; cx: number; cy: number; columns: number; rows: number; mass: number} {
  const values = toPicture(ink, width);
  assert.ok(values);
  assert.equal(values.length, side * side);
  let mass = 0, x = 0, y = 0;
  const columns = new Set<number>(), rows = new Set<number>();
  values.forEach((value, i) => {
    assert.ok(value >= 0 && value <= 255 && Number.isInteger(value));
    mass += value;
    x += value * ((i % side) + 0.5);
    y += value * (Math.floor(i / side) + 0.5);
    if (value > 0) {
      columns.add(i % side);
      rows.add(Math.floor(i / side));
    }
  });
  return {values, cx: x / mass, cy: y / mass, columns: columns.size, rows: rows.size, mass};
}

test('nothing drawn is no picture', () => {
  assert.equal(toPicture(new Uint8Array(width * width), width), null);
});
test('the larger side of the ink is 20 pixels, wherever and however large it was drawn', () => {
  for (const [x, y, w, h] of [[60, 10, 8, 100], [2, 90, 12, 40], [100, 0, 30, 130]] as const) {
    const {rows, columns} = picture(drawing([x, y, w, h]));
    assert.equal(rows, 20);
    assert.ok(Math.abs(columns - (20 * w) / h) <= 1, `${columns} columns for ${w} x ${h}`);
  }
});
test('the centre of mass lies in the middle, to half a pixel', () => {
  // Like a seven: heavy at the top, so its middle and its centre of mass differ.
  const {cx, cy} = picture(drawing([20, 20, 80, 16], [84, 20, 16, 100]));
  assert.ok(Math.abs(cx - side / 2) <= 0.5, `${cx}`);
  assert.ok(Math.abs(cy - side / 2) <= 0.5, `${cy}`);
});
test('a drawing moved by a few pixels is the same picture', () => {
  assert.deepEqual(picture(drawing([20, 20, 14, 90])).values, picture(drawing([61, 33, 14, 90])).values);
});
test('a dot is a picture too', () => {
  const {mass} = picture(drawing([70, 70, 1, 1]));
  assert.ok(mass > 0);
});
