import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {test} from 'node:test';
import {gzipSync} from 'node:zlib';
import {engineFiles, variants} from './support.ts';

for (const variant of variants) {
  test(`${variant}: a page downloads less than 400 kB of engine`, () => {
    const bytes = engineFiles(variant).map((file) => gzipSync(readFileSync(file), {level: 9}).length);
    const sum = bytes.reduce((a, b) => a + b, 0);
    assert.ok(sum < 400_000, `${sum} bytes after gzip -9: ${bytes.join(' + ')}`);
  });
}
