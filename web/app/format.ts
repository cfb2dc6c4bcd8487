// Numbers for people.

export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    ++unit;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)}\u00a0${units[unit]}`;
}

export function percent(fraction: number | null | undefined): string {
  return typeof fraction === 'number' ? `${(fraction * 100).toFixed(1)}\u00a0%` : '–';
}

export function decimal(value: number | null | undefined, digits = 3): string {
  return typeof value === 'number' ? value.toFixed(digits) : '–';
}

export function count(value: number): string {
  return value.toLocaleString('en');
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** "eden/1" as words. */
export function codec(name: string): string {
  const [kind, bits] = name.split('/');
  if (kind === 'eden') return `EDEN, ${bits} ${bits === '1' ? 'bit' : 'bits'} per weight`;
  if (kind === 'int8') return '8 bits per weight';
  if (kind === 'bf16') return '16 bits per weight';
  return kind === 'f32' ? 'uncompressed, 32 bits per weight' : name;
}
