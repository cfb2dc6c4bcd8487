// Where the tests find what CMake built.
import {existsSync, readFileSync} from 'node:fs';
import {dirname, join, resolve} from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';
import type {Variant} from '../src/shared/types.ts';
import {Engine} from '../src/worker/wasm.ts';
import type {CreateEngine} from '../src/worker/wasm.ts';

const here = dirname(fileURLToPath(import.meta.url));
const folders: Record<Variant, string> = {
  plain: resolve(here, '..', process.env['LINNET_WASM'] ?? '../build/wasm'),
  relaxed: resolve(here, '..', process.env['LINNET_WASM_RELAXED'] ?? '../build/wasm-relaxed'),
  threads: resolve(here, '..', process.env['LINNET_WASM_THREADS'] ?? '../build/wasm-threads'),
};
export const plainFolder = folders.plain;
export const variants: Variant[] = ['plain', 'relaxed', 'threads'];

/** The loader and the module that a page downloads. */
export const engineFiles = (variant: Variant): string[] => ['linnet.mjs', 'linnet.wasm'].map((name) => join(folders[variant], name));

/** An error when the engine is not built: the tests are about it. */
export async function startEngine(variant: Variant, threads = 1): Promise<Engine> {
  const module = (await import(pathToFileURL(join(folders[variant], 'linnet.mjs')).href)) as {default: CreateEngine};
  return Engine.start(module.default, threads);
}

/** A standalone plugin, or null when this build has none. */
export function readPlugin(name: string): Uint8Array<ArrayBuffer> | null {
  const file = join(folders.plain, 'plugins', `${name}.wasm`);
  return existsSync(file) ? new Uint8Array(readFileSync(file)) : null;
}
