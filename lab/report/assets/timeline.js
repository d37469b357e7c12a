// The timeline as a whole: canvases, zoom, pointer and keyboard.

const lanes = [];
let drawPending = false;

const laneOf = {
  overview: overviewLane, axis: axisLane, faults: faultsLane, leaders: leadersLane,
  rate: rateLane, quantiles: quantilesLane, points: pointsLane, processes: processesLane,
  sessions: sessionsLane, watches: watchesLane, logs: logsLane,
};

function setUpLanes() {
  for (const canvas of document.querySelectorAll('canvas[data-lane]')) {
    const lane = laneOf[canvas.dataset.lane];
    if (lane.prepare && !lane.prepare()) canvas.closest('figure').hidden = true; // nothing to show
    else lanes.push({canvas, lane, name: canvas.dataset.lane});
  }
}

// Gives every lane its height at once, so that nothing moves when it is drawn.
function sizeLanes() {
  for (const {canvas, lane} of lanes) canvas.style.height = lane.height(canvas.clientWidth) + 'px';
}

function drawLane({canvas, lane}, scale) {
  const w = canvas.clientWidth || canvas.parentElement.clientWidth, h = lane.height(w);
  const width = Math.round(w * scale), height = Math.round(h * scale);
  canvas.style.height = h + 'px';
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const g = canvas.getContext('2d');
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, w, h);
  g.save();
  lane.draw(g, w, h);
  g.restore();
}

const screenScale = () => Math.min(devicePixelRatio || 1, 2);

function drawAll(scale) {
  prepareDraw();
  for (const lane of lanes) drawLane(lane, scale || screenScale());
}

function prepareDraw() {
  const box = byId('lanes');
  gutter = box.clientWidth < 600 ? 46 : 64;
  box.dataset.from = view.a;
  box.dataset.to = view.b;
  const step = (view.b - view.a) / 500;
  byId('range').textContent = instant(view.a, step) + ' to ' + instant(view.b, step) + ' (' + length(view.b - view.a) + ')';
}

// Draws in the next frame the lanes that are on the screen, and the others a
// little later, so that zooming stays smooth with very many operations.
let restTimer = 0;
function redraw() {
  if (drawPending) return;
  drawPending = true;
  clearTimeout(restTimer);
  requestAnimationFrame(() => {
    drawPending = false;
    prepareDraw();
    const rest = [];
    for (const lane of lanes) {
      const {top, bottom} = lane.canvas.getBoundingClientRect();
      if (bottom < -200 || top > innerHeight + 200) rest.push(lane);
      else drawLane(lane, screenScale());
    }
    restTimer = setTimeout(() => { for (const lane of rest) drawLane(lane, screenScale()); }, 150);
  });
}

const viewListeners = [];

// Shows a to b, kept inside the run and wide enough to divide.
function setView(a, b) {
  const least = 50;
  let span = Math.min(Math.max(b - a, least), Math.max(D.endUs, least));
  let from = Number.isFinite(a) ? a - Math.max(0, span - (b - a)) / 2 : 0;
  from = Math.min(Math.max(0, from), Math.max(0, D.endUs - span));
  if (!Number.isFinite(span)) { from = 0; span = D.endUs; }
  view.a = from;
  view.b = from + span;
  redraw();
  for (const listener of viewListeners) listener();
}

function zoomAt(t, factor) {
  setView(t - (t - view.a) * factor, t + (view.b - t) * factor);
}

function pan(share) {
  const by = (view.b - view.a) * share;
  const limited = Math.min(Math.max(by, -view.a), D.endUs - view.b);
  setView(view.a + limited, view.b + limited);
}

const zoomActions = {
  left: () => pan(-0.25), right: () => pan(0.25),
  in: () => zoomAt((view.a + view.b) / 2, 0.5), out: () => zoomAt((view.a + view.b) / 2, 2),
  reset: () => setView(0, D.endUs),
};

function showTip(event, hit) {
  const tip = byId('tip');
  if (!hit) { tip.hidden = true; return; }
  const list = element('dl');
  for (const [name, value] of hit.fields) list.append(element('dt', name), element('dd', value));
  tip.replaceChildren(element('b', hit.title), list);
  tip.hidden = false;
  const {width, height} = tip.getBoundingClientRect();
  const left = event.clientX + 16 + width < innerWidth ? event.clientX + 16 : event.clientX - 16 - width;
  tip.style.left = Math.max(6, left) + 'px';
  tip.style.top = Math.max(6, Math.min(event.clientY + 14, innerHeight - height - 8)) + 'px';
}

// Which lane the pointer is on, and what is under it.
function hitAt(event) {
  const found = lanes.find(({canvas}) => canvas === event.target);
  if (!found || !found.lane.hit) return null;
  const box = found.canvas.getBoundingClientRect(), x = event.clientX - box.left;
  return x < gutter ? null : found.lane.hit(x, event.clientY - box.top, box.width, box.height);
}

function setUpPointer() {
  const box = byId('lanes'), brush = byId('brush'), cross = byId('cross');
  let drag = null;
  const at = (event) => event.clientX - box.getBoundingClientRect().left;
  const onOverview = (event) => event.target.dataset && event.target.dataset.lane === 'overview';
  const centre = (event) => {
    const w = box.clientWidth, t = (at(event) - gutter) / (w - gutter - rightMargin) * D.endUs, half = (view.b - view.a) / 2;
    setView(t - half, t + half);
  };
  box.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 || event.target.tagName !== 'CANVAS') return;
    drag = {from: at(event), overview: onOverview(event), target: event.target, moved: false};
    if (drag.overview && (view.a > 0 || view.b < D.endUs)) centre(event);
  });
  box.addEventListener('pointermove', (event) => {
    const x = at(event);
    cross.hidden = x < gutter || x > box.clientWidth - rightMargin;
    cross.style.left = x + 'px';
    if (!drag) { showTip(event, hitAt(event)); return; }
    if (Math.abs(x - drag.from) > 5 && !drag.moved) {
      drag.moved = true;
      box.setPointerCapture(event.pointerId);
      showTip(event, null);
    }
    if (drag.overview) { if (drag.moved && (view.a > 0 || view.b < D.endUs)) centre(event); return; }
    brush.hidden = !drag.moved;
    brush.style.left = Math.min(x, drag.from) + 'px';
    brush.style.width = Math.abs(x - drag.from) + 'px';
  });
  const finish = (event, cancelled) => {
    if (!drag) return;
    const {from, moved, overview, target} = drag, to = at(event), w = box.clientWidth;
    drag = null;
    brush.hidden = true;
    if (cancelled || overview) return;
    if (moved) setView(xTime(Math.min(from, to), w), xTime(Math.max(from, to), w));
    else {
      const hit = hitAt({target, clientX: event.clientX, clientY: event.clientY});
      if (hit && hit.op !== undefined) pin(hit.op);
      if (hit && hit.line) showLogLine(hit.line);
      if (hit && hit.session) { setFilter({s: hit.session}); writeLink(); }
    }
  };
  box.addEventListener('pointerup', (event) => finish(event, false));
  box.addEventListener('pointercancel', (event) => finish(event, true));
  box.addEventListener('pointerleave', () => { cross.hidden = true; showTip(null, null); });
  box.addEventListener('dblclick', (event) => { if (event.target.tagName === 'CANVAS') zoomActions.reset(); });
  box.addEventListener('wheel', (event) => {
    const onAxis = byId('axis').contains(event.target);
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (!onAxis && !event.ctrlKey && !event.metaKey && !sideways) return; // the page scrolls
    event.preventDefault();
    if (sideways) { pan(event.deltaX / box.clientWidth); return; }
    const x = Math.min(Math.max(at(event), gutter), box.clientWidth - rightMargin);
    const t = onOverview(event) ? (view.a + view.b) / 2 : xTime(x, box.clientWidth);
    zoomAt(t, Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.006));
  }, {passive: false});
}

function setUpKeyboard() {
  const actions = {
    ArrowLeft: zoomActions.left, ArrowRight: zoomActions.right, '+': zoomActions.in, '=': zoomActions.in,
    '-': zoomActions.out, '0': zoomActions.reset, n: () => step(1), p: () => step(-1),
  };
  byId('lanes').addEventListener('keydown', (event) => {
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && pinned >= 0) pin(-1);
    if (event.key !== '/' || event.target.matches('input, select, textarea')) return;
    event.preventDefault();
    byId('f-key').focus();
  });
  for (const button of document.querySelectorAll('button[data-zoom]')) {
    button.addEventListener('click', () => zoomActions[button.dataset.zoom]());
  }
}

// Paper is white and narrow: draw the canvases for it before printing.
function setUpPrint() {
  let before, opened = [];
  addEventListener('beforeprint', () => {
    before = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = 'light';
    opened = [...document.querySelectorAll('.violation[open] .others:not([open])')];
    for (const details of opened) details.open = true;
    readColours();
    drawAll(2);
  });
  addEventListener('afterprint', () => {
    for (const details of opened) details.open = false;
    if (before) document.documentElement.dataset.theme = before;
    else delete document.documentElement.dataset.theme;
    readColours();
    redraw();
  });
}
