// The page of all runs: filters that the address keeps, and two to compare.

const runFilters = {q: 'r-text', verdict: 'r-verdict', workload: 'r-workload', fault: 'r-fault'};

function filterRuns() {
  const value = Object.fromEntries(Object.entries(runFilters).map(([name, id]) => [name, byId(id).value.trim()]));
  const text = value.q.toLowerCase(), rows = [...document.querySelectorAll('table.runs tbody tr')];
  let shown = 0;
  for (const row of rows) {
    const has = (list, word) => !word || row.dataset[list].split(' ').includes(word);
    row.hidden = !(has('verdict', value.verdict) && has('workloads', value.workload) && has('faults', value.fault) &&
      (!text || row.textContent.toLowerCase().includes(text)));
    if (!row.hidden) shown++;
  }
  byId('r-count').textContent = shown + ' of ' + rows.length + ' runs';
  const parts = Object.entries(value).filter(([, v]) => v).map(([name, v]) => name + '=' + encodeURIComponent(v));
  history.replaceState(null, '', parts.length ? '#' + parts.join('&') : location.pathname + location.search);
}

function setRunFilters(values) {
  for (const [name, id] of Object.entries(runFilters)) byId(id).value = values[name] || '';
  filterRuns();
}

function readRunLink() {
  const values = {};
  for (const part of location.hash.slice(1).split('&')) {
    const at = part.indexOf('=');
    try { if (at > 0) values[part.slice(0, at)] = decodeURIComponent(part.slice(at + 1)); } catch { /* a damaged link shows what it can */ }
  }
  if (Object.keys(values).length || !location.hash) setRunFilters(values);
}

function setUpCompare() {
  const button = byId('r-compare');
  if (!button) return;
  const chosen = () => [...document.querySelectorAll('input.choose:checked')].map((box) => box.value);
  document.addEventListener('change', (event) => {
    if (event.target.classList.contains('choose')) button.disabled = chosen().length !== 2;
  });
  // The list has the newest first; what is older stands on the left.
  button.addEventListener('click', () => {
    const [b, a] = chosen();
    location.href = 'compare?a=' + encodeURIComponent(a) + '&b=' + encodeURIComponent(b);
  });
}

function setUpRuns() {
  if (!byId('r-text')) return;
  for (const id of Object.values(runFilters)) byId(id).addEventListener('input', filterRuns);
  byId('r-clear').addEventListener('click', () => setRunFilters({}));
  for (const cell of document.querySelectorAll('button.cell')) {
    cell.addEventListener('click', () => {
      setRunFilters({workload: cell.dataset.workload, fault: cell.dataset.fault});
      byId('runs').scrollIntoView();
    });
  }
  document.addEventListener('keydown', (event) => {
    if (event.key !== '/' || event.target.matches('input, select, textarea')) return;
    event.preventDefault();
    byId('r-text').focus();
  });
  setUpCompare();
  readRunLink();
  addEventListener('hashchange', readRunLink);
}
