// Small helpers around the document.

/** The element with this id, of the type wanted; a missing one is our own mistake. */
export function byId<T extends HTMLElement>(id: string, type: abstract new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return found;
}

/** Sets text only when it changes, so that screen readers are not told twice. */
export function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function make<K extends keyof HTMLElementTagNameMap>(tag: K, className: string, text = ''): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** A table row; the first cell is its header. */
export function row(cells: string[]): HTMLTableRowElement {
  const line = document.createElement('tr');
  cells.forEach((cell, i) => {
    const element = document.createElement(i === 0 ? 'th' : 'td');
    if (i === 0) element.setAttribute('scope', 'row');
    element.textContent = cell;
    line.append(element);
  });
  return line;
}
