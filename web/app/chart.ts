// Accuracy and loss by round.
import uPlot from 'uplot';
import type {RoundRow} from './status.ts';

export class RoundChart {
  private readonly box: HTMLElement;
  private readonly rows = new Map<number, RoundRow>();
  private plot: uPlot | null = null;
  private target: {metric: string; value: number} | null = null;

  constructor(box: HTMLElement) {
    this.box = box;
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(box);
  }

  get list(): RoundRow[] {
    return [...this.rows.values()].sort((a, b) => a.round - b.round);
  }

  /** Adds rounds or replaces what was known of them; true when something changed. */
  add(rows: readonly RoundRow[], target: {metric: string; value: number} | null): boolean {
    let changed = false;
    for (const row of rows) {
      const known = this.rows.get(row.round);
      if (known && known.accuracy === row.accuracy && known.loss === row.loss && known.counted === row.counted) continue;
      this.rows.set(row.round, row);
      changed = true;
    }
    if (JSON.stringify(target) !== JSON.stringify(this.target)) {
      this.target = target;
      changed = true;
    }
    if (changed) this.update();
    return changed;
  }

  /** A coordinator that started anew has other rounds. */
  clear(): void {
    this.rows.clear();
    this.update();
  }

  /** Colours come from the style sheet: make it again after the theme changed. */
  recolour(): void {
    this.plot?.destroy();
    this.plot = null;
    this.update();
  }

  private update(): void {
    const {list} = this;
    this.box.hidden = list.length === 0;
    const summary = list.at(-1);
    this.box.setAttribute('aria-label', summary
      ? `Accuracy and loss by round, ${list.length} rounds; the last accuracy is ${((summary.accuracy ?? 0) * 100).toFixed(1)} percent`
      : 'Accuracy and loss by round');
    if (list.length === 0) return;
    const goal = this.target?.metric === 'accuracy' ? this.target.value : null;
    const data: uPlot.AlignedData = [
      list.map((row) => row.round),
      list.map((row) => row.accuracy),
      list.map((row) => row.loss),
      list.map(() => goal),
    ];
    if (this.plot) this.plot.setData(data);
    else this.plot = new uPlot(this.options(), data, this.box);
  }

  private size(): {width: number; height: number} {
    const width = Math.max(240, this.box.clientWidth);
    return {width, height: Math.round(Math.min(320, Math.max(200, width * 0.42)))};
  }

  private options(): uPlot.Options {
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(name).trim();
    const font = `12px ${style.getPropertyValue('--font')}`;
    const axis = (scale: string, extra: Partial<uPlot.Axis>): uPlot.Axis => ({
      scale, font, stroke: colour('--muted'), grid: {stroke: colour('--line'), width: 1}, ticks: {show: false}, gap: 6, ...extra,
    });
    const points = (u: uPlot): boolean => (u.data[0]?.length ?? 0) < 40;
    const line = (label: string, scale: string, name: string, digits: (v: number) => string): uPlot.Series => ({
      label, scale, stroke: colour(name), width: 2, spanGaps: true,
      points: {show: points, size: 5, fill: colour(name), stroke: colour(name)},
      value: (_, v: number | null) => (v === null ? '' : digits(v)),
    });
    const asPercent = (v: number): string => `${(v * 100).toFixed(1)} %`;
    return {
      ...this.size(),
      padding: [12, 6, 0, 2],
      cursor: {y: false, points: {size: 8}},
      legend: {live: true, isolate: false, markers: {width: 0, fill: (_, i) => colour(['--muted', '--teal', '--rose', '--muted'][i] ?? '--muted')}},
      scales: {
        x: {time: false, range: (_, min, max) => [Math.min(min, 1), Math.max(max, min + 5)]},
        accuracy: {range: (_, min) => [Math.max(0, Math.floor((Math.min(min, 0.85) - 0.02) * 10) / 10), 1]},
        loss: {range: (_, __, max) => [0, Math.max(max * 1.05, 0.1)]},
      },
      axes: [
        axis('x', {size: 34, grid: {show: false}, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500]}),
        axis('accuracy', {size: 46, values: (_, ticks) => ticks.map((v) => `${Math.round(v * 100)} %`)}),
        axis('loss', {side: 1, size: 44, grid: {show: false}, values: (_, ticks) => ticks.map((v) => v.toFixed(v < 1 ? 2 : 1))}),
      ],
      series: [
        {label: 'round', value: (_, v: number | null) => (v === null ? '' : String(v))},
        line('accuracy', 'accuracy', '--teal', asPercent),
        line('loss', 'loss', '--rose', (v) => v.toFixed(3)),
        {label: 'target', scale: 'accuracy', stroke: colour('--muted'), width: 1, dash: [4, 5], points: {show: false}, value: (_, v: number | null) => (v === null ? '' : asPercent(v))},
      ],
    };
  }
}
