// GET /v1/status, again and again: seldom in a hidden tab, with growing pauses while the coordinator is away.

export interface RoundRow {
  round: number;
  accuracy: number | null;
  loss: number | null;
  counted: number;
  uplinkBytes: number;
  downlinkBytes: number;
  seconds: number;
}

export interface Person {
  device: string;
  name: string;
  runtime: string;
  connected: boolean;
  counted: number;
  examples: number;
  uplinkBytes: number;
  downlinkBytes: number;
}

export interface Status {
  federation: string;
  phase: string;
  finished: boolean;
  targetReached: boolean;
  target: {metric: string; value: number} | null;
  round: number;
  maxRounds: number;
  connected: number;
  invited: number;
  received: number;
  model: string;
  modelBytes: number;
  codec: string;
  strategy: string;
  uplinkBytes: number;
  downlinkBytes: number;
  history: RoundRow[];
  participants: Person[];
}

const shownMs = 2000;
const hiddenMs = 20000;
const longestMs = 30000;

export class StatusPoller {
  private readonly address: URL;
  private readonly found: (status: Status) => void;
  private readonly lost: (againMs: number) => void;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running: AbortController | null = null;
  private failures = 0;

  constructor(address: URL, found: (status: Status) => void, lost: (againMs: number) => void) {
    this.address = address;
    this.found = found;
    this.lost = lost;
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.now();
    });
  }

  /** Asks at once, and then by itself. */
  now(): void {
    clearTimeout(this.timer);
    this.running?.abort();
    void this.ask();
  }

  private async ask(): Promise<void> {
    const controller = new AbortController();
    this.running = controller;
    const late = setTimeout(() => controller.abort(), 10000);
    let wait = document.hidden ? hiddenMs : shownMs;
    try {
      const answer = await fetch(this.address, {signal: controller.signal, cache: 'no-store'});
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const status = (await answer.json()) as Status;
      this.failures = 0;
      this.found(status);
    } catch {
      if (this.running !== controller) return;  // a newer question is under way
      wait = Math.min(longestMs, shownMs * 2 ** this.failures++);
      this.lost(wait);
    } finally {
      clearTimeout(late);
    }
    if (this.running === controller) this.timer = setTimeout(() => this.now(), wait);
  }
}
