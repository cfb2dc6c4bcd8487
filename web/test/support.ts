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
};
export const plainFolder = folders.plain;
export const variants: Variant[] = ['plain', 'relaxed'];

/** An error when the engine is not built: the tests are about it. */
export async function startEngine(variant: Variant): Promise<Engine> {
  const module = (await import(pathToFileURL(join(folders[variant], 'linnet.mjs')).href)) as {default: CreateEngine};
  return Engine.start(module.default);
}

/** A standalone plugin, or null when this build has none. */
export function readPlugin(name: string): Uint8Array<ArrayBuffer> | null {
  const file = join(folders.plain, 'plugins', `${name}.wasm`);
  return existsSync(file) ? new Uint8Array(readFileSync(file)) : null;
}
