// Small things that every page needs: the theme, copy buttons, making elements.

const byId = (id) => document.getElementById(id);

// Text from the run is only ever set as text content, never parsed as HTML.
function element(tag, text, className) {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

const themeListeners = [];

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

function setUpTheme() {
  const button = byId('theme');
  let stored = null;
  try { stored = localStorage.getItem('report-theme'); } catch { /* storage may be forbidden for files */ }
  if (stored === 'dark' || stored === 'light') document.documentElement.dataset.theme = stored;
  const changed = () => {
    button.textContent = isDark() ? 'Light' : 'Dark';
    button.setAttribute('aria-label', isDark() ? 'Switch to the light theme' : 'Switch to the dark theme');
    for (const listener of themeListeners) listener();
  };
  button.addEventListener('click', () => {
    const theme = isDark() ? 'light' : 'dark';
    document.documentElement.dataset.theme = theme;
    try { localStorage.setItem('report-theme', theme); } catch { /* then it lasts until the page is closed */ }
    changed();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);
  changed();
}

async function copyText(text, button) {
  const before = button.textContent;
  let done = false;
  try {
    await navigator.clipboard.writeText(text);
    done = true;
  } catch {
    // Without the clipboard API (files in some browsers) the old way works.
    const area = element('textarea', text);
    document.body.append(area);
    area.select();
    done = document.execCommand('copy');
    area.remove();
  }
  button.textContent = done ? 'Copied' : 'Press Ctrl+C';
  setTimeout(() => { button.textContent = before; }, 1500);
}

function setUpCopyButtons() {
  for (const button of document.querySelectorAll('button[data-copy]')) {
    button.addEventListener('click', () => copyText(byId(button.dataset.copy).textContent, button));
  }
}

// The first position in 0..length for which after(position) holds, if it holds
// for all later ones too.
function search(length, after) {
  let low = 0, high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (after(middle)) high = middle; else low = middle + 1;
  }
  return low;
}
