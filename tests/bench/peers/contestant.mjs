// What every contestant in JavaScript shares: names of works, and how calls are timed.

/** "train-mlp-32" | "infer-cnn-1" | "int8-mlp-32" -> {kind, net, batch} */
export function parseWork(work) {
  const [kind, net, batch] = work.split('-');
  return {kind, net, batch: Number(batch)};
}

/** Milliseconds of one call from which on a single one, the first, has to do. */
export const tooSlow = 2000;

/**
 * Calls `call` for about `ms` milliseconds after a warm-up on the first use; returns microseconds per call, one figure for
 * each sample of at least 0.5 ms (the clock of a page is coarse).
 */
export async function timed(call, ms, warm) {
  const now = () => performance.now();
  let batch = 1;
  if (!warm) {
    const start = now();
    await call();
    if (now() - start > tooSlow) return [(now() - start) * 1000];
    for (let i = 0; i < 2 || now() - start < 200; ++i) await call();
  }
  for (;;) {
    const start = now();
    for (let i = 0; i < batch; ++i) await call();
    if (now() - start >= 0.5 || batch > 4096) break;
    batch *= 2;
  }
  const times = [];
  const end = now() + ms;
  do {
    const start = now();
    for (let i = 0; i < batch; ++i) await call();
    times.push(((now() - start) * 1000) / batch);
  } while (now() < end);
  return times;
}

/** Keeps prepared works, so that a second request only measures. `prepare(work)` gives an async function, or null. */
export function contestant(prepare) {
  const prepared = new Map();
  return async (work, ms) => {
    const warm = prepared.has(work);
    if (!warm) prepared.set(work, await prepare(parseWork(work)));
    const call = prepared.get(work);
    return call === null ? null : timed(call, ms, warm);
  };
}
