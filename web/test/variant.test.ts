import assert from 'node:assert/strict';
import {test} from 'node:test';
import {chooseVariant, engineFile} from '../src/worker/variant.ts';

test('this Node.js runs relaxed SIMD', () => {
  assert.equal(chooseVariant(), 'relaxed');
});
test('without relaxed SIMD the plain build is taken, without SIMD none', () => {
  const relaxed = (bytes: Uint8Array): boolean => bytes.includes(0x85);
  assert.equal(chooseVariant((bytes) => !relaxed(bytes) && WebAssembly.validate(bytes)), 'plain');
  assert.equal(chooseVariant(() => false), null);
});
test('each variant has files of its own', () => {
  assert.notEqual(engineFile('plain'), engineFile('relaxed'));
});
