import assert from 'node:assert/strict';
import {test} from 'node:test';
import {chooseThreads, chooseVariant, engineFile} from '../src/worker/variant.ts';
import type {Surroundings} from '../src/worker/variant.ts';

test('this Node.js runs relaxed SIMD', () => {
  assert.equal(chooseVariant(), 'relaxed');
});
test('without relaxed SIMD the plain build is taken, without SIMD none', () => {
  const relaxed = (bytes: Uint8Array): boolean => bytes.includes(0x85);
  assert.equal(chooseVariant(4, (bytes) => !relaxed(bytes) && WebAssembly.validate(bytes)), 'plain');
  assert.equal(chooseVariant(1, () => false), null);
});
test('each variant has files of its own', () => {
  assert.equal(new Set((['plain', 'relaxed', 'threads'] as const).map(engineFile)).size, 3);
});
test('the build with threads is taken for more than one', () => {
  assert.equal(chooseVariant(2), 'threads');
});
test('threads want a page that is isolated and an engine of its own origin', () => {
  const here = (crossOriginIsolated: boolean, hardwareConcurrency: number): Surroundings =>
    ({crossOriginIsolated, origin: 'https://a.example', navigator: {hardwareConcurrency}});
  const own = 'https://a.example/linnet/';
  const rows: [number | null, string, Surroundings, number][] = [
    [8, own, here(false, 16), 1],
    [8, 'https://b.example/', here(true, 16), 1],
    [8, own, here(true, 2), 8],
    [null, own, here(true, 1), 1],
    [null, own, here(true, 6), 3],
    [null, own, here(true, 64), 4],
  ];
  for (const [wanted, assets, where, threads] of rows) assert.equal(chooseThreads(wanted, assets, where), threads);
});
