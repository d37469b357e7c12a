// Lanes that show single operations: latency points and bars per process.

function visibleByEnd() {
  return [
    search(S.byEnd.length, (k) => D.end[S.byEnd[k]] >= view.a),
    search(S.byEnd.length, (k) => D.end[S.byEnd[k]] > view.b),
  ];
}

// Shapes tell the outcomes apart where colours don't: square, cross, triangle.
function mark(g, outcome, x, y, size) {
  if (outcome === OK) {
    g.fillRect(x - size / 2, y - size / 2, size, size);
  } else if (outcome === FAIL) {
    const r = size * 0.8;
    g.moveTo(x - r, y - r); g.lineTo(x + r, y + r);
    g.moveTo(x - r, y + r); g.lineTo(x + r, y - r);
  } else {
    const r = Math.max(3, size * 1.1);
    g.moveTo(x, y - r); g.lineTo(x + r, y + r * 0.8); g.lineTo(x - r, y + r * 0.8); g.closePath();
  }
}

const pointsLane = {
  height: () => 170,
  draw(g, w, h) {
    grid(g, w, h);
    logGrid(g, w, h);
    clipToPlot(g, w, h);
    shadeFaults(g, w, h);
    const [from, to] = visibleByEnd(), many = to - from > 8000;
    const size = many ? 2 : to - from > 1500 ? 2.5 : 4;
    for (const outcome of [OK, FAIL, INFO]) this.drawOutcome(g, w, h, outcome, from, to, size, many);
    if (pinned >= 0 && D.closed[pinned]) {
      g.globalAlpha = 1;
      g.strokeStyle = colour.ink;
      g.lineWidth = 2;
      g.beginPath();
      g.arc(timeX(D.end[pinned], w), shareY(D.share[pinned], h), 7, 0, 7);
      g.stroke();
    }
  },
  // Of points that would cover one another only the first is drawn.
  drawOutcome(g, w, h, outcome, from, to, size, many) {
    const cellSize = many ? 2 : 1, across = Math.ceil(w / cellSize) + 1;
    const taken = new Uint8Array(across * (Math.ceil(h / cellSize) + 1));
    g.fillStyle = g.strokeStyle = colour.outcome[outcome];
    g.globalAlpha = outcome === INFO ? 1 : many ? 0.5 : 0.75;
    g.lineWidth = 1.25;
    g.beginPath();
    for (let k = from; k < to; k++) {
      const i = S.byEnd[k];
      if (D.outcome[i] !== outcome) continue;
      const x = timeX(D.end[i], w), y = shareY(D.share[i], h);
      const cell = Math.floor(y / cellSize) * across + Math.floor(x / cellSize);
      if (taken[cell]) continue;
      taken[cell] = 1;
      mark(g, outcome, x, y, size);
    }
    if (outcome !== OK) g.stroke();
    g.globalAlpha = 1;
  },
  hit(x, y, w, h) {
    const reach = (view.b - view.a) / (w - gutter - rightMargin) * 8, t = xTime(x, w);
    let best = -1, distance = 81;
    for (let k = search(S.byEnd.length, (m) => D.end[S.byEnd[m]] >= t - reach); k < S.byEnd.length; k++) {
      const i = S.byEnd[k];
      if (D.end[i] > t + reach) break;
      const dx = timeX(D.end[i], w) - x, dy = shareY(D.share[i], h) - y;
      if (dx * dx + dy * dy < distance) { distance = dx * dx + dy * dy; best = i; }
    }
    return best < 0 ? null : {op: best, title: opTitle(D, best), fields: opFields(D, best)};
  },
};

const processesLane = {
  rowHeight() { return D.rows.length > 60 ? 8 : D.rows.length > 30 ? 12 : 18; },
  height() { return Math.max(1, D.rows.length) * this.rowHeight() + 2; },
  // The part of a row that may be seen, one operation early because it may
  // reach in.
  visible(ops) {
    const from = search(ops.length, (k) => D.start[ops[k]] >= view.a);
    return [Math.max(0, from - 1), search(ops.length, (k) => D.start[ops[k]] > view.b)];
  },
  draw(g, w, h) {
    const rowHeight = this.rowHeight();
    grid(g, w, h);
    let single = 0, merged = 0;
    const labelEvery = rowHeight < 12 ? 2 : 1;
    D.rows.forEach((row, r) => {
      if (r % labelEvery === 0) gutterLabel(g, 'p' + row.processes[0] + (row.processes.length > 1 && gutter > 60 ? ' +' + (row.processes.length - 1) : ''), r * rowHeight + rowHeight / 2);
    });
    clipToPlot(g, w, h);
    shadeFaults(g, w, h);
    const bars = [[], [], []], marks = [[], [], []];
    S.rows.forEach((ops, r) => {
      const top = r * rowHeight + 2, [from, to] = this.visible(ops);
      const cells = new Uint16Array(3 * Math.ceil(w));
      for (let k = from; k < to; k++) {
        const i = ops[k], left = timeX(D.start[i], w), right = timeX(D.end[i], w), outcome = D.outcome[i];
        if (outcome === INFO) this.tail(g, right, top, rowHeight - 4, this.room(ops, k, w));
        if (right < gutter) continue;
        if (right - left < 2 && left >= 0 && left < w) {
          cells[3 * Math.floor(left) + outcome]++;
          merged++;
        } else {
          bars[outcome].push(i, left, right, top);
          single++;
        }
      }
      this.collectCells(marks, cells, w, top, rowHeight - 4);
    });
    this.drawCells(g, marks);
    this.drawBars(g, bars, rowHeight - 4);
    byId('density').textContent = merged > single ? 'narrower than a pixel at this zoom: zoom in to see each' : '';
    if (pinned >= 0) this.drawPinned(g, w, rowHeight);
  },
  // Where the next operation of the row begins.
  room(ops, k, w) { return k + 1 < ops.length ? timeX(D.start[ops[k + 1]], w) : w; },
  // All bars of one colour together: changing a canvas's colour is what costs.
  drawBars(g, bars, height) {
    bars.forEach((list, outcome) => {
      g.fillStyle = colour.outcome[outcome];
      g.globalAlpha = 0.42;
      for (let k = 0; k < list.length; k += 4) {
        const from = Math.max(list[k + 1], gutter - 2), width = Math.min(list[k + 2], 8192) - from;
        if (width > 0) g.fillRect(from, list[k + 3], width, height);
      }
      g.globalAlpha = 1;
      for (let k = 0; k < list.length; k += 4) {
        const [, left, right, top] = list.slice(k, k + 4);
        g.fillRect(left, top, Math.min(1.5, Math.max(1, right - left)), height);
        if (outcome === FAIL && right - left > 6 && height > 6 && !this.labelled(left, right, height)) g.fillRect(left, top + height / 2, right - left, 1);
      }
    });
    setFont(g, 10);
    g.fillStyle = colour.ink;
    g.textAlign = 'left';
    g.textBaseline = 'middle';
    for (const list of bars) {
      for (let k = 0; k < list.length; k += 4) {
        const [i, left, right, top] = list.slice(k, k + 4), from = Math.max(left, gutter - 2);
        if (this.labelled(from, right, height)) g.fillText(fit(g, opTitle(D, i), right - from - 8), from + 4, top + height / 2 + 0.5);
      }
    }
  },
  labelled: (left, right, height) => right - left > 44 && height >= 8,
  // The open end of an operation with unknown outcome: an edge that fades.
  tail(g, right, top, height, next) {
    const width = Math.min(44, next - right);
    if (right + width < gutter) return;
    g.fillStyle = colour.info;
    for (let step = 0; step < 6 && width > 0; step++) {
      g.globalAlpha = 0.42 * (1 - (step + 0.5) / 6);
      g.fillRect(right + width * step / 6, top, width / 6 + 0.5, height);
    }
    g.globalAlpha = 1;
  },
  // Operations that share a pixel: darker where there are more (four shades),
  // and the rarer outcome on top so that it isn't lost.
  collectCells(marks, cells, w, top, height) {
    for (let x = Math.max(0, Math.floor(gutter) - 1); x < w; x++) {
      const ok = cells[3 * x], fail = cells[3 * x + 1], info = cells[3 * x + 2];
      if (ok) marks[OK].push(Math.min(3, ok - 1), x, top, height);
      if (fail) marks[FAIL].push(3, x, top, ok ? Math.max(2, height * Math.min(0.5, fail / (ok + fail))) : height);
      if (info) marks[INFO].push(3, x, top, height);
    }
  },
  drawCells(g, marks) {
    marks.forEach((list, outcome) => {
      g.fillStyle = colour.outcome[outcome];
      for (let shade = 0; shade < 4; shade++) {
        g.globalAlpha = outcome === OK ? 0.42 + 0.14 * shade : 1;
        for (let k = 0; k < list.length; k += 4) {
          if (list[k] === shade) g.fillRect(list[k + 1], list[k + 2], 1, list[k + 3]);
        }
      }
      g.globalAlpha = 1;
    });
  },
  drawPinned(g, w, rowHeight) {
    const left = timeX(D.start[pinned], w), right = timeX(D.end[pinned], w);
    g.strokeStyle = colour.ink;
    g.lineWidth = 2;
    g.strokeRect(left - 1, D.row[pinned] * rowHeight + 1, Math.max(4, Math.min(right, 8192) - left + 2), rowHeight - 2);
  },
  hit(x, y, w) {
    const ops = S.rows[Math.floor(y / this.rowHeight())];
    if (!ops) return null;
    const t = xTime(x, w), reach = (view.b - view.a) / (w - gutter - rightMargin) * 3;
    const after = search(ops.length, (k) => D.start[ops[k]] > t);
    let best = -1, distance = reach;
    for (const k of [after - 1, after]) {
      if (k < 0 || k >= ops.length) continue;
      const i = ops[k], away = Math.max(D.start[i] - t, t - D.end[i], 0);
      if (away <= distance) { distance = away; best = i; }
    }
    return best < 0 ? null : {op: best, title: opTitle(D, best), fields: opFields(D, best)};
  },
};
