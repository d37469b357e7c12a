// Lanes that summarize: overview, axis, faults, leaders, throughput, quantiles.
// A lane has height(w), draw(g, w, h) and, for the pointer, hit(x, y, w, h),
// which gives {title, fields, op} or null.

let D = null;   // the run
let S = null;   // its operations that match the filter
let pinned = -1; // position of the pinned operation

const faultColours = new Map();
function faultColour(name) {
  if (!faultColours.has(name)) faultColours.set(name, faultColours.size % 6);
  return colour['fault-' + faultColours.get(name)];
}

const faultEnd = (f) => f.endUs < 0 ? D.endUs : f.endUs;
const faultHealed = (f) => Math.max(faultEnd(f), f.healedUs);

// Faults that overlap stand in different rows, the earliest on top.
function packFaults() {
  const order = D.faults.map((f, i) => i).sort((a, b) => D.faults[a].startUs - D.faults[b].startUs);
  const free = [];
  for (const i of order) {
    const f = D.faults[i];
    let row = free.findIndex((until) => until <= f.startUs);
    if (row < 0) row = free.push(0) - 1;
    free[row] = faultHealed(f);
    f.row = row;
  }
  D.faultOrder = order;
  D.faultRows = Math.max(1, free.length);
}

// A faint tint in every lane below says when a fault was on.
function shadeFaults(g, w, h) {
  for (const f of D.faults) {
    const left = timeX(f.effectiveUs < 0 ? f.startUs : f.effectiveUs, w), right = timeX(faultEnd(f), w);
    if (right < gutter || left > w) continue;
    g.globalAlpha = 0.07;
    g.fillStyle = faultColour(f.name);
    g.fillRect(left, 0, Math.max(1, right - left), h);
  }
  g.globalAlpha = 1;
}

const overviewLane = {
  height: () => 36,
  draw(g, w, h) {
    const inner = w - gutter - rightMargin;
    const buckets = new Float64Array(Math.max(1, Math.floor(inner / 2)));
    for (const i of S.byEnd) {
      if (D.outcome[i] === OK) buckets[Math.min(buckets.length - 1, Math.floor(D.end[i] / D.endUs * buckets.length))] += D.weight[i];
    }
    const most = Math.max(1, ...buckets);
    const at = (t) => gutter + t / D.endUs * inner;
    g.fillStyle = colour.panel;
    g.fillRect(gutter, 0, inner, h - 4);
    g.fillStyle = colour.ok;
    g.globalAlpha = 0.55;
    buckets.forEach((count, i) => {
      const height = count / most * (h - 12);
      g.fillRect(gutter + i * inner / buckets.length, h - 8 - height, inner / buckets.length, height);
    });
    g.globalAlpha = 1;
    for (const f of D.faults) {
      g.fillStyle = faultColour(f.name);
      g.fillRect(at(f.startUs), h - 8, Math.max(1, at(faultEnd(f)) - at(f.startUs)), 3);
    }
    gutterLabel(g, gutter < 60 ? 'run' : 'whole run', h / 2 - 2);
    if (view.a > 0 || view.b < D.endUs) {
      g.fillStyle = colour.paper;
      g.globalAlpha = 0.7;
      g.fillRect(gutter, 0, at(view.a) - gutter, h - 4);
      g.fillRect(at(view.b), 0, w - rightMargin - at(view.b), h - 4);
      g.globalAlpha = 1;
      g.strokeStyle = colour.link;
      g.strokeRect(at(view.a) + 0.5, 0.5, Math.max(2, at(view.b) - at(view.a) - 1), h - 5);
    }
  },
};

const axisHeight = 24;
const axisLane = {
  height: () => axisHeight + (D.phases.length ? 14 : 0),
  draw(g, w) {
    this.drawPhases(g, w);
    const h = axisHeight, {step, out} = ticks(w);
    setFont(g, 11);
    g.textAlign = 'center';
    g.textBaseline = 'middle';
    for (const t of out) {
      const x = timeX(t, w);
      g.fillStyle = colour.line;
      g.fillRect(Math.round(x), h - 5, 1, 5);
      const text = instant(t, step), half = g.measureText(text).width / 2;
      g.fillStyle = colour.soft;
      g.fillText(text, Math.min(Math.max(x, half), w - half), h / 2 - 2);
    }
  },
  // Where each phase of the run begins, below the times.
  drawPhases(g, w) {
    setFont(g, 10);
    g.textBaseline = 'middle';
    g.textAlign = 'left';
    g.fillStyle = colour.soft;
    let free = gutter;
    for (const phase of D.phases) {
      const x = timeX(phase.startUs, w);
      if (x < gutter - 1 || x > w - rightMargin) continue;
      g.fillRect(Math.round(x), axisHeight, 1, 12);
      const width = g.measureText(phase.name).width, at = x + 4 + width < w ? x + 4 : x - 4 - width;
      if (at < free) continue;
      g.fillText(phase.name, at, axisHeight + 7);
      free = at + width + 8;
    }
  },
};

const faultRow = 24;
const faultsLane = {
  height: () => D.faultRows * faultRow + 2,
  // The box of a fault: from the injection to the proof of its end.
  box(f, w) {
    const left = timeX(f.startUs, w), right = timeX(faultHealed(f), w);
    return {left, right: Math.max(right, left + 3), top: f.row * faultRow + 2};
  },
  draw(g, w, h) {
    grid(g, w, h);
    if (!D.faults.length) {
      setFont(g, 12);
      g.fillStyle = colour.soft;
      g.textBaseline = 'middle';
      g.fillText('no fault was injected', gutter + 8, h / 2);
    }
    clipToPlot(g, w, h);
    const next = new Array(D.faultRows).fill(w - rightMargin);
    for (const i of [...D.faultOrder].reverse()) {
      const f = D.faults[i], {left, right, top} = this.box(f, w), limit = next[f.row];
      next[f.row] = left;
      if (right < gutter || left > w) continue;
      this.drawBand(g, f, w, top);
      this.drawLabel(g, f, left, right, limit, top);
    }
  },
  // Inside the band if it fits, else beside it if there is room, else shorter.
  drawLabel(g, f, left, right, limit, top) {
    setFont(g, 12);
    g.textAlign = 'left';
    g.textBaseline = 'middle';
    g.fillStyle = colour.ink;
    const full = f.targets.length ? f.label + ' · ' + f.targets.join(', ') : f.label;
    const inside = Math.max(left, gutter) + 8, y = top + (faultRow - 4) / 2 + 0.5;
    for (const text of [full, f.label]) {
      const width = g.measureText(text).width;
      if (inside + width + 4 <= right) { g.fillText(text, inside, y); return; }
      if (right + 6 + width <= limit) { g.fillText(text, right + 6, y); return; }
    }
    g.fillText(fit(g, f.label, Math.min(right, limit) - inside - 4), inside, y);
  },
  drawBand(g, f, w, top) {
    const height = faultRow - 5;
    const start = timeX(f.startUs, w), on = timeX(f.effectiveUs < 0 ? faultEnd(f) : f.effectiveUs, w);
    const end = timeX(faultEnd(f), w), healed = timeX(faultHealed(f), w);
    g.fillStyle = g.strokeStyle = faultColour(f.name);
    g.globalAlpha = 0.38;
    g.fillRect(on, top, Math.max(0, end - on), height);
    g.globalAlpha = 0.14;
    g.fillRect(end, top, Math.max(0, healed - end), height);
    g.globalAlpha = 1;
    g.lineWidth = 1;
    g.setLineDash(f.effectiveUs < 0 ? [3, 3] : []);
    g.strokeRect(start + 0.5, top + 0.5, Math.max(2, end - start) - 1, height - 1);
    g.setLineDash([]);
    g.fillRect(start, top, 3, height);
  },
  hit(x, y, w) {
    for (const f of D.faults) {
      const {left, right, top} = this.box(f, w);
      if (x < left - 2 || x > right + 2 || y < top || y > top + faultRow - 4) continue;
      return {title: f.label, fields: [
        ['targets', f.targets.join(', ') || '–'], ['began', instant(f.startUs, 1e3)],
        ['in effect', f.effectiveUs < 0 ? 'not proved' : 'after ' + length(f.effectiveUs - f.startUs)],
        ['taken back', f.endUs < 0 ? 'never' : instant(f.endUs, 1e3)],
        ['healed', f.healedUs < 0 ? 'not proved' : 'after ' + length(f.healedUs - f.endUs)],
        ['detail', f.detail],
      ].filter(([, value]) => value)};
    }
    return null;
  },
};

const memberRow = 22;
const leadersLane = {
  members() {
    if (!this.names) {
      this.names = [...D.members];
      for (const l of D.leaders) if (!this.names.includes(l.member)) this.names.push(l.member);
    }
    return this.names;
  },
  height() { return Math.max(1, this.members().length) * memberRow + 2; },
  draw(g, w, h) {
    grid(g, w, h);
    this.members().forEach((name, row) => {
      setFont(g, 11);
      gutterLabel(g, fit(g, name, gutter - 12), row * memberRow + memberRow / 2);
      g.fillStyle = colour.faint;
      g.fillRect(gutter, (row + 1) * memberRow, w - gutter - rightMargin, 1);
    });
    clipToPlot(g, w, h);
    for (const l of D.leaders) {
      const left = Math.max(timeX(l.startUs, w), gutter), right = Math.min(timeX(l.endUs, w), w - rightMargin);
      if (right < gutter || left > w) continue;
      const top = this.members().indexOf(l.member) * memberRow + 3;
      g.fillStyle = l.epoch % 2 ? colour.lead : colour.lead2;
      g.fillRect(left, top, Math.max(2, right - left), memberRow - 9);
      setFont(g, 10, 600);
      g.textAlign = 'left';
      g.textBaseline = 'middle';
      g.fillStyle = colour.paper;
      const room = right - left - 10, text = 'epoch ' + l.epoch;
      const shown = g.measureText(text).width <= room ? text : String(l.epoch);
      if (g.measureText(shown).width <= room) g.fillText(shown, left + 5, top + (memberRow - 9) / 2 + 0.5);
    }
    for (const f of D.faults) {
      for (const target of f.targets) {
        const row = this.members().indexOf(target);
        if (row < 0) continue;
        const left = timeX(f.startUs, w), right = timeX(faultEnd(f), w);
        g.fillStyle = faultColour(f.name);
        g.fillRect(left, row * memberRow + memberRow - 5, Math.max(1, right - left), 3);
      }
    }
  },
  hit(x, y, w) {
    const name = this.members()[Math.floor(y / memberRow)], t = xTime(x, w);
    if (!name) return null;
    const span = D.leaders.find((l) => l.member === name && t >= l.startUs && t <= l.endUs);
    const faults = D.faults.filter((f) => f.targets.includes(name) && t >= f.startUs && t <= faultEnd(f));
    if (!span && !faults.length) return null;
    const fields = faults.map((f) => ['fault', f.label]);
    if (span) fields.push(['leads', 'epoch ' + span.epoch], ['from', instant(span.startUs, 1e3)], ['to', instant(span.endUs, 1e3)], ['for', length(span.endUs - span.startUs)]);
    return {title: name, fields};
  },
};

// The buckets of a lane, at least `pixels` wide, aligned to whole multiples so
// that panning doesn't change them.
function bucketsOf(w, pixels) {
  const step = Math.max(1, roundStep((view.b - view.a) / Math.max(1, w - gutter - rightMargin) * pixels));
  const first = Math.floor(view.a / step), count = Math.floor(view.b / step) - first + 1;
  const from = search(S.byEnd.length, (i) => D.end[S.byEnd[i]] >= first * step);
  const to = search(S.byEnd.length, (i) => D.end[S.byEnd[i]] >= (first + count) * step);
  return {step, first, count, from, to};
}

const rateLane = {
  height: () => 120,
  count(w) {
    const b = bucketsOf(w, w < 600 ? 1.6 : 3);
    b.sums = [new Float64Array(b.count), new Float64Array(b.count), new Float64Array(b.count)];
    for (let k = b.from; k < b.to; k++) {
      const i = S.byEnd[k];
      b.sums[D.outcome[i]][Math.floor(D.end[i] / b.step) - b.first] += D.weight[i];
    }
    return b;
  },
  draw(g, w, h) {
    const b = this.b = this.count(w), perSecond = 1e6 / b.step;
    let most = 0;
    for (let k = 0; k < b.count; k++) most = Math.max(most, b.sums[0][k] + b.sums[1][k] + b.sums[2][k]);
    const step = Math.max(roundStep(most * perSecond / 3.2), 1e-3), top = Math.max(step, Math.ceil(most * perSecond / step) * step);
    const y = (rate) => h - 1 - rate / top * (h - 1 - topMargin);
    grid(g, w, h);
    for (let rate = 0; rate <= top * 1.001; rate += step) {
      g.fillStyle = rate ? colour.faint : colour.line;
      g.fillRect(gutter, Math.round(y(rate)), w - gutter - rightMargin, 1);
      if (rate) gutterLabel(g, (rate >= 1e4 ? rate / 1e3 + 'k' : +rate.toPrecision(3)) + ' /s', y(rate));
    }
    byId('bucket').textContent = 'operations per second, in steps of ' + length(b.step);
    clipToPlot(g, w, h);
    shadeFaults(g, w, h);
    for (let k = 0; k < b.count; k++) {
      const left = timeX((b.first + k) * b.step, w), right = timeX((b.first + k + 1) * b.step, w);
      let below = 0;
      for (let outcome = 0; outcome < 3; outcome++) {
        const sum = b.sums[outcome][k];
        if (!sum) continue;
        const from = y(below * perSecond), to = y((below + sum) * perSecond);
        g.fillStyle = colour.outcome[outcome];
        g.fillRect(left, to, Math.max(1, right - left - (right - left > 5 ? 1 : 0)), from - to);
        below += sum;
      }
    }
    this.drawGap(g, w);
  },
  // The longest time without a successful write, as a bracket on top.
  drawGap(g, w) {
    const [from, to] = D.gapUs, left = timeX(from, w), right = timeX(to, w);
    if (to <= from || right < gutter || left > w - rightMargin) return;
    g.fillStyle = colour.ink;
    g.fillRect(left, 3, Math.max(1, right - left), 1);
    g.fillRect(left, 0, 1, 7);
    g.fillRect(right, 0, 1, 7);
    setFont(g, 11);
    const text = 'no write for ' + length(to - from), width = g.measureText(text).width;
    const onRight = right + 6 + width < w - rightMargin;
    const x = onRight ? Math.max(right, gutter) + 6 : Math.max(left - 6 - width, gutter);
    g.fillStyle = colour.paper;
    g.globalAlpha = 0.8;
    g.fillRect(x - 3, 0, width + 6, 13);
    g.globalAlpha = 1;
    g.fillStyle = colour.ink;
    g.textAlign = 'left';
    g.textBaseline = 'top';
    g.fillText(text, x, 0);
  },
  hit(x, y, w) {
    const b = this.b, k = b ? Math.floor(xTime(x, w) / b.step) - b.first : -1;
    if (k < 0 || k >= b.count) return null;
    const fields = b.sums.map((sum, outcome) => [outcomeNames[outcome], sum[k] + ' · ' + +(sum[k] * 1e6 / b.step).toPrecision(3) + ' /s']);
    return {title: 'from ' + instant((b.first + k) * b.step, b.step) + ', ' + length(b.step), fields};
  },
};

const quantilesLane = {
  height: () => 150,
  count(w) {
    const b = bucketsOf(w, 7);
    b.q = [0, 1, 2, 3].map(() => new Float64Array(b.count).fill(NaN));
    b.n = new Float64Array(b.count);
    for (let k = b.from; k < b.to;) {
      const bucket = Math.floor(D.end[S.byEnd[k]] / b.step);
      let until = k;
      while (until < b.to && Math.floor(D.end[S.byEnd[until]] / b.step) === bucket) until++;
      const latencies = new Float64Array(until - k);
      for (let m = k; m < until; m++) latencies[m - k] = D.end[S.byEnd[m]] - D.start[S.byEnd[m]];
      latencies.sort();
      [0.5, 0.95, 0.99, 1].forEach((share, q) => {
        b.q[q][bucket - b.first] = latencies[Math.max(0, Math.ceil(share * latencies.length) - 1)];
      });
      b.n[bucket - b.first] = until - k;
      k = until;
    }
    return b;
  },
  draw(g, w, h) {
    const b = this.b = this.count(w);
    grid(g, w, h);
    logGrid(g, w, h);
    clipToPlot(g, w, h);
    shadeFaults(g, w, h);
    const x = (k) => timeX((b.first + k + 0.5) * b.step, w);
    [colour.q1, colour.q2, colour.q3].forEach((stroke, q) => {
      g.strokeStyle = g.fillStyle = stroke;
      g.lineWidth = 1.75;
      g.lineJoin = 'round';
      g.beginPath();
      for (let k = 0; k < b.count; k++) {
        if (Number.isNaN(b.q[q][k])) continue;
        const yy = logY(b.q[q][k], h);
        if (k > 0 && !Number.isNaN(b.q[q][k - 1])) g.lineTo(x(k), yy);
        else { g.moveTo(x(k) - 1, yy); g.lineTo(x(k), yy); }
      }
      g.stroke();
    });
    g.fillStyle = colour.q4;
    for (let k = 0; k < b.count; k++) {
      if (!Number.isNaN(b.q[3][k])) g.fillRect(x(k) - 1.25, logY(b.q[3][k], h) - 1.25, 2.5, 2.5);
    }
  },
  hit(x, y, w) {
    const b = this.b, k = b ? Math.floor(xTime(x, w) / b.step) - b.first : -1;
    if (k < 0 || k >= b.count || !b.n[k]) return null;
    return {title: 'from ' + instant((b.first + k) * b.step, b.step) + ', ' + length(b.step),
      fields: [['operations', String(b.n[k])], ...['p50', 'p95', 'p99', 'max'].map((name, q) => [name, length(b.q[q][k])])]};
  },
};
