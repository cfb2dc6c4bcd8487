// The packages that CPack makes: what is in them, and that they work from another place without the source tree.
import assert from 'node:assert/strict';
import {spawn, spawnSync} from 'node:child_process';
import {existsSync, mkdtempSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {createInterface} from 'node:readline';
import {after, before, test} from 'node:test';
import {plugins, program, root} from './support.mjs';

const buildFolder = dirname(program);
const folder = mkdtempSync(join(tmpdir(), 'linnet-package-'));
after(() => rmSync(folder, {recursive: true, force: true}));
function run(command, args, codes = [0], cwd = folder) {
  const {status, stdout, stderr, error} = spawnSync(command, args, {encoding: 'utf8', timeout: 200_000, cwd});
  assert.equal(error, undefined);
  assert.ok(codes.includes(status), `${command} ${args.join(' ')}\n${stdout}\n${stderr}`);
  return stdout;
}
const has = (command) => spawnSync(command, ['--version']).status === 0;
const skip = (!has('cpack') && 'there is no cpack') || (!existsSync(join(buildFolder, 'liblinnet.so')) && 'liblinnet.so is not built');
const debian = has('dpkg-deb') && has('dpkg-shlibdeps');

before(() => {
  if (!skip) run('cpack', ['-G', debian ? 'TGZ;DEB' : 'TGZ', '-B', folder], [0], buildFolder);
});
const made = (ending) => {
  const name = readdirSync(folder).find((file) => file.endsWith(ending));
  assert.ok(name, `found no ${ending} in ${readdirSync(folder)}`);
  return join(folder, name);
};

test('the Debian package names the libraries that it needs', {skip: skip || (!debian && 'no Debian')}, () => {
  const about = run('dpkg-deb', ['-I', made('.deb')]);
  for (const library of ['libc6', 'libstdc\\+\\+6', 'libsodium', 'libsqlite3-0', 'libcapnp', 'libssl']) {
    assert.match(about, new RegExp(`Depends: .*${library}`), about);
  }
  assert.match(about, /Suggests: nodejs/);
  assert.match(run('dpkg-deb', ['-c', made('.deb')]), /\.\/usr\/share\/doc\/linnet\/copyright/);
});

const unpack = {
  'tar.gz': () => {
    run('tar', ['-xzf', made('.tar.gz')]);
    return made('.tar.gz').replace(/\.tar\.gz$/, '');
  },
  deb: () => {
    run('dpkg-deb', ['-x', made('.deb'), join(folder, 'deb')]);
    return join(folder, 'deb/usr');
  },
};
for (const [kind, unpacked] of Object.entries(unpack)) {
  test(`what the .${kind} holds works where it is unpacked`, {skip: skip || (kind === 'deb' && !debian && 'no Debian'), timeout: 300_000}, async (context) => {
    const prefix = unpacked();
    const linnet = join(prefix, 'bin/linnet');
    const listed = run(linnet, ['plugin', 'list', '--json']).trim().split('\n').map((line) => JSON.parse(line).id);
    assert.ok(listed.includes('fedavg') && listed.includes('bulyan'), listed.join());
    const ended = run(linnet, ['simulate', join(prefix, 'share/linnet/examples/strokes.json'), '--data', 'strokes?writers=0-7&per=20', '--clients', '8',
                               '--rounds', '2', '--evaluate', 'strokes?writers=1000-1001&per=20', '--json'], [0, 1]);
    assert.match(ended, /"done":true/);

    if (existsSync(join(plugins, 'fedavg.wasm'))) {
      assert.match(run(linnet, ['plugin', 'check', join(plugins, 'fedavg.wasm')]), /0 failed/, 'with the sandbox of the package');
    } else context.diagnostic('no .wasm is built: the sandbox of the package is not run');

    const elsewhere = join(folder, `elsewhere-${kind}`);
    run('cmake', ['-S', join(root, 'tests/install'), '-B', elsewhere, `-DCMAKE_PREFIX_PATH=${prefix}`]);
    run('cmake', ['--build', elsewhere]);
    assert.match(run(linnet, ['plugin', 'check', join(elsewhere, 'elsewhere.so')]), /0 failed/);

    if (!existsSync(join(root, 'build/web/index.html'))) return context.diagnostic('the page is not built: it is in no package');
    const server = spawn(linnet, ['serve', join(prefix, 'share/linnet/examples/strokes.json'), '--listen', '127.0.0.1:0', '--state', join(folder, `state-${kind}`)],
                         {cwd: folder, stdio: ['ignore', 'pipe', 'ignore']});
    try {
      for await (const line of createInterface({input: server.stdout})) {
        const [, port] = /127\.0\.0\.1:(\d+)/.exec(line) ?? [];
        if (!port) continue;
        assert.match(await (await fetch(`http://127.0.0.1:${port}/`)).text(), /<title>Linnet/);
        return;
      }
      assert.fail('the coordinator ended before it listened');
    } finally {
      server.kill('SIGTERM');
    }
  });
}
