// Which build of the engine this JavaScript engine can run.
import type {Variant} from '../shared/types.ts';

// (module (func (param v128 v128 v128) (result v128) local.get 0 1 2 f32x4.relaxed_madd))
const relaxedModule = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 8, 1, 0x60, 3, 0x7b, 0x7b, 0x7b, 1, 0x7b, 3, 2, 1, 0, 0xa, 0xd, 1, 0xb, 0, 0x20, 0,
  0x20, 1, 0x20, 2, 0xfd, 0x85, 2, 0xb,
]);
// (module (func (result v128) i32.const 0 i8x16.splat))
const simdModule = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7b, 3, 2, 1, 0, 0xa, 8, 1, 6, 0, 0x41, 0, 0xfd, 0xf, 0xb,
]);

/** null: no SIMD at all, the engine cannot run here. */
export function chooseVariant(threads = 1, validate: (bytes: Uint8Array<ArrayBuffer>) => boolean = WebAssembly.validate): Variant | null {
  if (validate(relaxedModule)) return threads > 1 ? 'threads' : 'relaxed';
  return validate(simdModule) ? 'plain' : null;
}

/** The engine's file, without its ending, below the folder of assets. */
export function engineFile(variant: Variant): string {
  return variant === 'plain' ? 'engine/linnet' : `engine/linnet-${variant}`;
}

/** What a worker sees of where it runs. */
export interface Surroundings {
  crossOriginIsolated?: boolean;
  origin: string;
  navigator: {hardwareConcurrency: number};
}
export const maxThreads = 16;

/** Threads of the engine, the worker's own included. One where the page is not isolated, so that memory cannot be shared,
 *  and where the engine lies on another origin, whose scripts start no workers. Otherwise those wanted, and by default
 *  half of the cores: the page, the browser and the machine's owner have the others. */
export function chooseThreads(wanted: number | null, assets: string, here: Surroundings = self): number {
  if (!here.crossOriginIsolated || new URL(assets).origin !== here.origin) return 1;
  return wanted ?? Math.max(1, Math.min(4, Math.floor(here.navigator.hardwareConcurrency / 2)));
}
