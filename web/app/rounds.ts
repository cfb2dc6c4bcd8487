// The cards that show the federation: rounds, and who takes part.
import {RoundChart} from './chart.ts';
import {byId, row, setText} from './dom.ts';
import * as format from './format.ts';
import type {Person, RoundRow, Status} from './status.ts';

const shownPeople = 100;
const phases: Record<string, string> = {
  waiting: 'waiting for participants',
  pausing: 'between two rounds',
  training: 'a round is under way',
  committing: 'committing the round',
  evaluating: 'evaluating the new model',
  finished: 'finished',
  failed: 'failed: the coordinator needs its operator',
};

export class RoundsView {
  private readonly chart = new RoundChart(byId('chart', HTMLElement));
  private lastRound = 0;
  private maxRounds = 0;
  private target: Status['target'] = null;
  private tableRows = 0;

  recolour(): void {
    this.chart.recolour();
  }

  show(status: Status): void {
    if (status.round < this.lastRound) this.chart.clear();
    this.maxRounds = status.maxRounds;
    this.target = status.target;
    setText(byId('federation', HTMLElement), `${status.federation} · ${status.strategy} · ${format.codec(status.codec)}`);
    const goal = status.target ? `, goal ${status.target.metric} ${status.target.metric === 'accuracy' ? format.percent(status.target.value) : status.target.value}` : '';
    const between = status.phase === 'waiting' && status.round > 0 && status.connected > 0;
    const end = status.targetReached ? 'finished: the goal is reached' : between ? 'between two rounds' : (phases[status.phase] ?? status.phase);
    setText(byId('phase', HTMLElement), status.finished ? end : end + goal);
    setText(byId('connected', HTMLElement), format.count(status.connected));
    this.add(status.history, status.round);
    this.showPeople(status);
  }

  add(rows: readonly RoundRow[], round: number): void {
    this.lastRound = round;
    const changed = this.chart.add(rows, this.target);
    setText(byId('round', HTMLElement), this.maxRounds ? `${round} of ${this.maxRounds}` : String(round));
    const {list} = this.chart;
    byId('chart-empty', HTMLElement).hidden = list.length > 0;
    const measured = list.findLast((one) => typeof one.accuracy === 'number');
    setText(byId('accuracy', HTMLElement), format.percent(measured?.accuracy));
    setText(byId('loss', HTMLElement), format.decimal(measured?.loss));
    if (changed || list.length !== this.tableRows) this.showTable(list);
  }

  private showTable(list: readonly RoundRow[]): void {
    this.tableRows = list.length;
    byId('rounds-table', HTMLElement).replaceChildren(...list.toReversed().map((one) => row([
      String(one.round), format.percent(one.accuracy), format.decimal(one.loss), String(one.counted),
      format.bytes(one.uplinkBytes), format.bytes(one.downlinkBytes), one.seconds.toFixed(1),
    ])));
  }

  private showPeople(status: Status): void {
    const people = [...status.participants].sort((a, b) => Number(b.connected) - Number(a.connected) || b.counted - a.counted);
    byId('people', HTMLElement).replaceChildren(...people.slice(0, shownPeople).map((person) => {
      const line = row([nameOf(person), runtimeOf(person.runtime), format.count(person.counted), format.bytes(person.uplinkBytes)]);
      line.classList.toggle('away', !person.connected);
      return line;
    }));
    byId('people-empty', HTMLElement).hidden = people.length > 0;
    const traffic = byId('traffic', HTMLElement);
    setText(traffic, status.uplinkBytes > 0 ? `${format.bytes(status.uplinkBytes)} up, ${format.bytes(status.downlinkBytes)} down` : '');
  }
}

function nameOf(person: Person): string {
  const name = person.name || `device ${person.device.slice(0, 8)}`;
  return person.connected ? name : `${name} (away)`;
}

function runtimeOf(runtime: string): string {
  if (runtime.startsWith('wasm')) return runtime === 'wasm/plain' ? 'browser tab' : `browser tab, relaxed SIMD${runtime === 'wasm/threads' ? ', threads' : ''}`;
  return runtime.replace('native/', 'daemon, ');
}
