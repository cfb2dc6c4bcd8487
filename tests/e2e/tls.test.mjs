// wss:// through a proxy that speaks TLS: the certificate and the host's name are verified.
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {connect} from 'node:net';
import {test} from 'node:test';
import {createServer} from 'node:tls';
import {Site, strokes, writers} from './support.mjs';

const skip = spawnSync('openssl', ['version']).status === 0 ? false : 'openssl is not installed';

// A TLS front for the coordinator, certified for the name "localhost" only.
async function front(t, site, port) {
  const key = site.path('key.pem'), certificate = site.path('certificate.pem');
  const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', certificate]);
  assert.equal(made.status, 0, `${made.stderr}`);
  const server = createServer({key: readFileSync(key), cert: readFileSync(certificate)}, (socket) => {
    const behind = connect(port, '127.0.0.1');
    for (const each of [socket, behind]) each.on('error', () => {});
    socket.pipe(behind).pipe(socket);
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.after(() => server.close());
  return {port: server.address().port, certificate};
}

test('a daemon joins through TLS when it trusts the certificate', {skip}, async (t) => {
  const site = new Site(t);
  const serve = await site.serve(site.file('f.json', strokes({minimum: 1, cohort: 1, maxRounds: 2})), {more: ['--once']});
  const tls = await front(t, site, serve.port);
  site.environment = {SSL_CERT_FILE: tls.certificate};
  const daemon = site.join(`wss://localhost:${tls.port}`, writers(0, 2, 20), 'd');
  assert.equal(await serve.exit(), 0, serve.describe());
  assert.equal(await daemon.exit(), 0, daemon.describe());
  assert.equal(daemon.events.filter((event) => event.event === 'verdict').length, 2);
});

test('an unknown certificate and another host name are refused', {skip}, async (t) => {
  const site = new Site(t);
  const serve = await site.serve(site.file('f.json', strokes()));
  const tls = await front(t, site, serve.port);
  const stranger = site.join(`wss://localhost:${tls.port}`, writers(0, 1, 5), 'stranger');
  const refused = (event) => event.event === 'connecting' && event.delayMs > 0;
  assert.match((await stranger.event(refused)).text, /TLS|certificate/);
  site.environment = {SSL_CERT_FILE: tls.certificate};
  const misled = site.join(`wss://127.0.0.1:${tls.port}`, writers(0, 1, 5), 'misled');
  assert.match((await misled.event(refused)).text, /TLS|certificate/);
  for (const each of [stranger, misled]) {
    assert.ok(!each.events.some((event) => event.event === 'welcomed'), each.describe());
  }
});
