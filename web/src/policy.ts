// When a tab should do less: hidden, or on a low battery.

export interface Policy {
  /** In a hidden tab. Default "pause". */
  whenHidden?: 'pause' | 'continue';
  /** Pause below this level (0 to 1) while not charging. Default 0.2; 0 = never. Only where the browser tells. */
  batteryBelow?: number;
}

interface Battery extends EventTarget {
  level: number;
  charging: boolean;
}

/** Calls `change` with the reason to pause, "" = none, now and whenever it changes. Returns a function that ends it. */
export function follow(policy: Policy, change: (why: string) => void): () => void {
  const ended = new AbortController();
  let battery: Battery | null = null;
  let last = '';
  const look = (): void => {
    const low = battery !== null && !battery.charging && battery.level < (policy.batteryBelow ?? 0.2);
    const hidden = document.hidden && policy.whenHidden !== 'continue';
    const why = hidden ? 'the tab is hidden' : low ? 'the battery is low' : '';
    if (why !== last && !ended.signal.aborted) change((last = why));
  };
  document.addEventListener('visibilitychange', look, {signal: ended.signal});
  const {getBattery} = navigator as Navigator & {getBattery?: () => Promise<Battery>};
  if (policy.batteryBelow !== 0 && getBattery) {
    getBattery.call(navigator).then((found) => {
      battery = found;
      for (const kind of ['levelchange', 'chargingchange']) found.addEventListener(kind, look, {signal: ended.signal});
      look();
    }, () => {});
  }
  look();
  return () => ended.abort();
}
