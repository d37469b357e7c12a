// What is shown of the operations: filter, list, the pinned one, and the link
// that brings all of it back.

const filterFields = {key: 'f-key', p: 'f-process', z: 'f-zxid', s: 'f-session', f: 'f-f', o: 'f-outcome'};

function parseZxid(text) {
  try {
    const value = BigInt(text.trim());
    return [Number(value >> 32n), Number(value & 0xffffffffn)];
  } catch {
    return null;
  }
}

// A function that tells whether operation i matches the form.
function matcher() {
  const value = Object.fromEntries(Object.entries(filterFields).map(([name, id]) => [name, byId(id).value.trim()]));
  const tests = [];
  if (value.key) {
    const exact = D.strings.indexOf(value.key), used = exact > 0 && D.keys.has(exact);
    const near = new Set(used ? [exact] : [...D.keys].filter((id) => D.strings[id].includes(value.key)));
    tests.push((i) => near.has(D.key[i]));
  }
  if (value.p) {
    const wanted = new Set(value.p.split(/[\s,]+/).map((p) => Number(p.replace(/^p/, ''))));
    tests.push((i) => wanted.has(D.process[i]));
  }
  if (value.z) {
    const zxid = parseZxid(value.z);
    tests.push((i) => zxid !== null && (D.zxidHi[i] === zxid[0] && D.zxidLo[i] === zxid[1] || D.mzxidHi[i] === zxid[0] && D.mzxidLo[i] === zxid[1]));
  }
  if (value.s) {
    const near = new Set([...new Set(D.session)].filter((id) => id && D.strings[id].includes(value.s)));
    tests.push((i) => near.has(D.session[i]));
  }
  if (value.f) tests.push((i) => D.strings[D.f[i]] === value.f);
  if (value.o) {
    const outcome = outcomeNames.indexOf(value.o);
    tests.push((i) => D.outcome[i] === outcome);
  }
  return (i) => tests.every((test) => test(i));
}

function applyFilter() {
  S = select(D, matcher());
  const sampled = D.total > D.n, all = countText(D.n) + (sampled ? ' that are shown of ' + countText(D.total) : '') + ' operations';
  byId('f-count').textContent = S.all.length === D.n ? all : countText(S.all.length) + ' of ' + all;
  tellMissing(S.all.length || !sampled ? '' : 'None of the operations that the timeline carries matches, but it carries only ' +
    countText(D.n) + ' of ' + countText(D.total) + ': look for the others in history.jsonl beside this page.');
  byId('lanes').dataset.shown = S.all.length;
  redraw();
  fillList();
}

const countText = (n) => n.toLocaleString('en').replace(/,/g, '\u202f');

// Says what of a search or a link can't be shown, and why.
function tellMissing(text) {
  byId('missing').textContent = text;
  byId('missing').hidden = !text;
}

// Pins the operation of that index and zooms to it. Of one that isn't there it shows the
// time in which it must have been.
function showOp(index) {
  const {at, exact} = findOp(D, index);
  pin(exact ? at : -1);
  if (at < 0) return;
  zoomToOp(at);
  if (exact) { tellMissing(''); return; }
  tellMissing('Operation ' + index + ' is not in the timeline' +
    (D.total > D.n ? ', which carries ' + countText(D.n) + ' of ' + countText(D.total) + ' operations; history.jsonl beside this page has it' : ': no operation of a client began with that index') +
    '. Shown is the time of operation ' + D.index[at] + ', the nearest before it.');
}

function setFilter(values) {
  for (const [name, id] of Object.entries(filterFields)) {
    const input = byId(id), wanted = values[name] || '';
    input.value = wanted;
  }
  applyFilter();
}

function setUpFilter() {
  D.keys = new Set(D.key);
  D.keys.delete(0);
  const options = [...D.keys].slice(0, 1000).map((id) => { const o = element('option'); o.value = D.strings[id]; return o; });
  byId('f-keys').replaceChildren(...options);
  let timer = 0;
  const changed = () => {
    clearTimeout(timer);
    timer = setTimeout(() => { applyFilter(); writeLink(); }, 120);
  };
  for (const id of Object.values(filterFields)) byId(id).addEventListener('input', changed);
  byId('f-clear').addEventListener('click', () => { setFilter({}); writeLink(); });
  document.querySelector('form.filter').addEventListener('submit', (event) => event.preventDefault());
  byId('list').addEventListener('toggle', fillList);
  viewListeners.push(() => { clearTimeout(fillList.timer); fillList.timer = setTimeout(fillList, 150); });
}

// The list is the timeline for those who can't see it, and for copying.
function fillList() {
  const list = byId('list');
  if (!list.open) return;
  const rows = [];
  for (let k = 0; k < S.all.length && rows.length < 200; k++) {
    const i = S.all[k];
    if (D.end[i] < view.a) continue;
    if (D.start[i] > view.b) break;
    const row = element('tr'), cell = element('td', undefined, 'n'), button = element('button', String(D.index[i]));
    button.type = 'button';
    button.addEventListener('click', () => pin(i));
    cell.append(button);
    row.append(cell, element('td', instant(D.start[i], 1e3), 'n'), element('td', D.closed[i] ? length(D.end[i] - D.start[i]) : '–', 'n'),
      element('td', String(D.process[i]), 'n'), element('td', D.strings[D.node[i]]), element('td', D.strings[D.key[i]]),
      element('td', opTitle(D, i)), element('td', outcomeNames[D.outcome[i]] + (D.error[i] ? ': ' + D.strings[D.error[i]] : '')),
      element('td', hex(D.zxidHi[i], D.zxidLo[i])));
    rows.push(row);
  }
  list.querySelector('tbody').replaceChildren(...rows);
}

// Pins operation i; -1 unpins.
function pin(i) {
  pinned = i;
  byId('pin').hidden = i < 0;
  if (i >= 0) {
    byId('pin-title').textContent = opTitle(D, i);
    byId('pin').querySelector('dl').replaceChildren(...opFields(D, i).map(([name, value]) => {
      const line = element('div');
      line.append(element('dt', name), element('dd', value));
      return line;
    }));
    byId('pin-key').hidden = !D.key[i];
    byId('pin-session').hidden = !D.session[i];
    byId('pin').dataset.index = D.index[i];
  }
  redraw();
  writeLink();
}

// Pins the next operation that matches the filter, or the one before.
function step(by) {
  if (!S.all.length) return;
  const from = pinned >= 0 ? D.start[pinned] : view.a;
  let k = search(S.all.length, (m) => pinned >= 0 ? S.all[m] >= pinned : D.start[S.all[m]] >= from);
  if (pinned >= 0 && S.all[k] === pinned) k += by;
  else if (by < 0) k--;
  if (pinned < 0) k = Math.min(Math.max(k, 0), S.all.length - 1); // nothing further on: the nearest
  if (k < 0 || k >= S.all.length) return;
  const i = S.all[k];
  if (D.start[i] < view.a || D.start[i] > view.b) {
    const half = (view.b - view.a) / 2;
    setView(D.start[i] - half, D.start[i] + half);
  }
  pin(i);
}

function zoomToOp(i) {
  const end = D.closed[i] ? D.end[i] : D.start[i] + 1e4, margin = Math.max((end - D.start[i]) * 2, 2000);
  setView(D.start[i] - margin, end + margin);
}

function setUpPin() {
  byId('pin-close').addEventListener('click', () => pin(-1));
  byId('pin-prev').addEventListener('click', () => step(-1));
  byId('pin-next').addEventListener('click', () => step(1));
  byId('pin-zoom').addEventListener('click', () => zoomToOp(pinned));
  byId('pin-key').addEventListener('click', () => { setFilter({key: D.strings[D.key[pinned]]}); writeLink(); });
  byId('pin-process').addEventListener('click', () => { setFilter({p: String(D.process[pinned])}); writeLink(); });
  byId('pin-session').addEventListener('click', () => { setFilter({s: D.strings[D.session[pinned]]}); writeLink(); });
}

// The link: everything that a reader chose, in the part after #.
function linkText() {
  const parts = [];
  if (view.a > 0 || view.b < D.endUs) parts.push('t=' + (view.a / 1e6).toFixed(6) + '-' + (view.b / 1e6).toFixed(6));
  for (const [name, id] of Object.entries(filterFields)) {
    if (byId(id).value.trim()) parts.push(name + '=' + encodeURIComponent(byId(id).value.trim()));
  }
  if (pinned >= 0) parts.push('op=' + D.index[pinned]);
  return parts.join('&');
}

let lastLink = '';
function writeLink() {
  clearTimeout(writeLink.timer);
  writeLink.timer = setTimeout(() => {
    const link = linkText();
    if (link === lastLink) return;
    lastLink = link;
    history.replaceState(null, '', link ? '#' + link : location.pathname + location.search);
  }, 100);
}

function readLink() {
  const text = location.hash.slice(1);
  if (text && !text.includes('=') || text === lastLink) return;
  const values = {};
  for (const part of text.split('&')) {
    const [name, value] = [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)];
    try { values[name] = decodeURIComponent(value); } catch { /* a damaged link shows what it can */ }
  }
  lastLink = text;
  setFilter(values);
  const [, from, to] = /^([\d.]+)-([\d.]+)$/.exec(values.t || '') || [];
  if (to !== undefined) setView(from * 1e6, to * 1e6); else setView(0, D.endUs);
  if (values.op === undefined) { pin(-1); return; }
  const {at, exact} = findOp(D, Number(values.op));
  if (exact && to !== undefined && D.end[at] >= view.a && D.start[at] <= view.b) pin(at);
  else showOp(Number(values.op));
}
