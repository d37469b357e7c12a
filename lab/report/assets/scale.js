// Time and drawing scales, shared by all lanes. Times are microseconds.

const view = {a: 0, b: 1};
let gutter = 64;
const rightMargin = 10, topMargin = 8;

const timeX = (t, w) => gutter + (t - view.a) / (view.b - view.a) * (w - gutter - rightMargin);
const xTime = (x, w) => view.a + (x - gutter) / (w - gutter - rightMargin) * (view.b - view.a);

function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1e-9)));
  for (const factor of [1, 2, 5, 10]) if (factor * power >= least) return factor * power;
  return 10 * power;
}

function decimals(stepUs) {
  return Math.max(0, Math.min(6, 6 - Math.floor(Math.log10(stepUs) + 1e-9)));
}

const instant = (us, stepUs) => (us / 1e6).toFixed(decimals(stepUs)) + ' s';

function length(us) {
  const [value, unit] = us >= 1e6 ? [us / 1e6, ' s'] : us >= 1e3 ? [us / 1e3, ' ms'] : [us, ' µs'];
  return (value >= 99.95 || unit === ' µs' ? value.toFixed(0) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2)) + unit;
}

function logLabel(us) {
  return us >= 1e6 ? us / 1e6 + ' s' : us >= 1e3 ? us / 1e3 + ' ms' : us + ' µs';
}

function ticks(w) {
  const step = Math.max(1, roundStep((view.b - view.a) / Math.max(2, (w - gutter) / 95)));
  const out = [];
  for (let t = Math.ceil(view.a / step) * step; t <= view.b; t += step) out.push(t);
  return {step, out};
}

// Colours follow the theme; canvases can't inherit them.
const colour = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ['paper', 'panel', 'ink', 'soft', 'line', 'faint', 'link', 'ok', 'fail', 'info', 'bad', 'q1', 'q2', 'q3', 'q4',
    'lead', 'lead2', 'hit', 'fault-0', 'fault-1', 'fault-2', 'fault-3', 'fault-4', 'fault-5']) {
    colour[name] = style.getPropertyValue('--' + name).trim();
  }
  colour.outcome = [colour.ok, colour.fail, colour.info];
  colour.font = getComputedStyle(document.body).fontFamily;
}

function setFont(g, size, weight) { g.font = `${weight || 400} ${size}px ${colour.font}`; }

function gutterLabel(g, text, y) {
  setFont(g, 11);
  g.fillStyle = colour.soft;
  g.textAlign = 'right';
  g.textBaseline = 'middle';
  g.fillText(text, gutter - 8, y);
}

// The longest start of the text that fits, with an ellipsis; empty if too
// little does.
function fit(g, text, width) {
  if (g.measureText(text).width <= width) return text;
  let keep = Math.floor(text.length * width / Math.max(1, g.measureText(text).width));
  while (keep > 0 && g.measureText(text.slice(0, keep) + '…').width > width) keep--;
  return keep < 3 ? '' : text.slice(0, keep) + '…';
}

function grid(g, w, h) {
  g.strokeStyle = colour.faint;
  g.lineWidth = 1;
  g.beginPath();
  for (const t of ticks(w).out) {
    const x = Math.round(timeX(t, w)) + 0.5;
    g.moveTo(x, 0);
    g.lineTo(x, h);
  }
  g.stroke();
}

function clipToPlot(g, w, h) {
  g.beginPath();
  g.rect(gutter, 0, w - gutter - rightMargin + 1, h);
  g.clip();
}

// Latencies share one log scale for the whole run, so that zooming never moves
// a point up or down.
const logScale = {low: 1e2, high: 1e6};
function setLogScale(D) {
  D.share = new Float32Array(D.n);
  let low = Infinity, high = 0;
  for (let i = 0; i < D.n; i++) {
    if (!D.closed[i]) continue;
    const latency = Math.max(1, D.end[i] - D.start[i]);
    if (latency < low) low = latency;
    if (latency > high) high = latency;
  }
  if (high === 0) return;
  logScale.low = 10 ** Math.floor(Math.log10(low));
  logScale.high = 10 ** Math.max(Math.ceil(Math.log10(high)), Math.log10(logScale.low) + 1);
  for (let i = 0; i < D.n; i++) D.share[i] = logShare(D.end[i] - D.start[i]);
}

const logShare = (us) => Math.log(Math.max(us, logScale.low) / logScale.low) / Math.log(logScale.high / logScale.low);
const shareY = (share, h) => h - 6 - share * (h - 6 - topMargin);
const logY = (us, h) => shareY(logShare(us), h);

function logGrid(g, w, h) {
  for (let us = logScale.low; us <= logScale.high * 1.001; us *= 10) {
    const y = Math.round(logY(us, h)) + 0.5;
    g.strokeStyle = colour.faint;
    g.beginPath();
    g.moveTo(gutter, y);
    g.lineTo(w - rightMargin, y);
    g.stroke();
    gutterLabel(g, logLabel(us), y);
  }
}
