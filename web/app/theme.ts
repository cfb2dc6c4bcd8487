// Light or dark: the system's wish until the visitor says otherwise.

const key = 'linnet-theme';
const wish = matchMedia('(prefers-color-scheme: dark)');

/** Sets data-theme on the root now and whenever it changes; `changed` is called after each change. */
export function startTheme(button: HTMLButtonElement, changed: () => void): void {
  let chosen = readChoice();
  const apply = (): void => {
    const theme = chosen ?? (wish.matches ? 'dark' : 'light');
    document.documentElement.dataset['theme'] = theme;
    button.setAttribute('aria-label', theme === 'dark' ? 'Switch to light' : 'Switch to dark');
    changed();
  };
  button.addEventListener('click', () => {
    chosen = document.documentElement.dataset['theme'] === 'dark' ? 'light' : 'dark';
    try {
      localStorage.setItem(key, chosen);
    } catch {
      // Storage is refused: the choice lasts as long as the page.
    }
    apply();
  });
  wish.addEventListener('change', apply);
  apply();
}

function readChoice(): 'light' | 'dark' | null {
  try {
    const found = localStorage.getItem(key);
    return found === 'light' || found === 'dark' ? found : null;
  } catch {
    return null;
  }
}
