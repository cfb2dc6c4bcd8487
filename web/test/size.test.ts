import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {test} from 'node:test';
import {gzipSync} from 'node:zlib';
import {engineFiles} from './support.ts';

// Threads cost a few kilobytes of loader and locks.
for (const [variant, limit] of [['plain', 400_000], ['relaxed', 400_000], ['threads', 420_000]] as const) {
  test(`${variant}: a page downloads less than ${limit / 1000} kB of engine`, () => {
    const bytes = engineFiles(variant).map((file) => gzipSync(readFileSync(file), {level: 9}).length);
    const sum = bytes.reduce((a, b) => a + b, 0);
    assert.ok(sum < limit, `${sum} bytes after gzip -9: ${bytes.join(' + ')}`);
  });
}
