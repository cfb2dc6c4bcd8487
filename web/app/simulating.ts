// The card where this tab simulates a whole federation, without any server.
import {PluginModule} from '../src/plugin/module.ts';
import {simulate} from '../src/index.ts';
import type {SimulatedRound, SimulationSettings} from '../src/index.ts';
import {RoundChart} from './chart.ts';
import {byId, setText} from './dom.ts';
import * as format from './format.ts';

const codecs: Record<string, object> = {
  eden: {codec: 'eden', bits: 1},
  int8: {codec: 'int8'},
  f32: {codec: 'f32'},
};

export class SimulatingView {
  private readonly assets: URL;
  private readonly form = byId('simulate-form', HTMLFormElement);
  private readonly chart = new RoundChart(byId('simulate-chart', HTMLElement));
  private readonly state = byId('simulate-state', HTMLElement);
  private readonly strategies = byId('simulate-strategy', HTMLSelectElement);
  private readonly plugins: Uint8Array<ArrayBuffer>[] = [];
  private running: AbortController | null = null;

  constructor(assets: URL) {
    this.assets = assets;
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.running) this.running.abort();
      else void this.run();
    });
    byId('simulate-plugin', HTMLInputElement).addEventListener('change', (event) => void this.addPlugin(event.target as HTMLInputElement));
  }

  recolour(): void {
    this.chart.recolour();
  }

  private settings(): SimulationSettings {
    const number = (id: string): number => byId(id, HTMLInputElement).valueAsNumber;
    const participants = number('simulate-participants');
    const cohort = Math.max(1, Math.min(participants, 8));
    return {
      federation: {
        name: 'simulated',
        model: {builtin: 'mlp-2nn'},
        train: {optimizer: 'sgd', learningRate: 0.1, batchSize: 10, epochs: 1},
        strategy: {id: this.strategies.value},
        round: {cohort, minimum: Math.max(1, cohort - 2), maxRounds: number('simulate-rounds')},
        upload: codecs[byId('simulate-codec', HTMLSelectElement).value] ?? {},
        evaluate: {data: 'strokes?writers=1000-1009&per=40'},
      },
      participants,
      partition: byId('simulate-partition', HTMLSelectElement).value,
      data: `strokes?writers=0-${participants - 1}&per=60`,
      seed: 1,
    };
  }

  private async run(): Promise<void> {
    const settings = this.settings();
    this.running = new AbortController();
    this.show(true);
    this.chart.clear();
    setText(this.state, 'drawing digits for everybody');
    let rounds = 0;
    const began = performance.now();
    try {
      const result = await simulate({...settings, assets: this.assets, plugins: this.plugins, signal: this.running.signal, onRound: (round) => {
        ++rounds;
        this.add(round);
      }});
      setText(this.state, `${format.plural(result.rounds, 'round')} in ${((performance.now() - began) / 1000).toFixed(1)} s, ${format.percent(result.accuracy)} right, `
        + `${format.bytes(result.uplinkBytes)} up; model ${result.model.slice(0, 12)}`);
    } catch (error) {
      const stopped = this.running.signal.aborted;
      setText(this.state, stopped ? `stopped after ${format.plural(rounds, 'round')}` : error instanceof Error ? error.message : String(error));
    } finally {
      this.running = null;
      this.show(false);
    }
  }

  private add(round: SimulatedRound): void {
    this.chart.add([{...round, seconds: round.virtualSeconds}], null);
    setText(this.state, `round ${round.round}: ${format.percent(round.accuracy)} right, ${format.plural(round.counted, 'update')}, ${format.bytes(round.uplinkBytes)} up`);
  }

  private show(running: boolean): void {
    setText(byId('simulate-start', HTMLButtonElement), running ? 'Stop' : 'Simulate');
    for (const field of this.form.querySelectorAll<HTMLInputElement | HTMLSelectElement>('input, select')) field.disabled = running;
  }

  // A stranger's strategy: its names are shown as text, and it runs in a memory of its own.
  private async addPlugin(input: HTMLInputElement): Promise<void> {
    const [file] = input.files ?? [];
    if (!file) return;
    try {
      const bytes = new Uint8Array(await file.arrayBuffer());
      for (const {id} of (await PluginModule.load(bytes)).strategies()) {
        if ([...this.strategies.options].some((option) => option.value === id)) throw new Error(`a strategy ${id} is there already`);
        this.strategies.add(new Option(`${id} (${file.name})`, id, false, true));
      }
      this.plugins.push(bytes);
      setText(this.state, `${file.name} is loaded`);
    } catch (error) {
      setText(this.state, `${file.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
    input.value = '';
  }
}
