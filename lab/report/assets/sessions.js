// Lanes below the operations: sessions, watches and the members' logs.

// Puts spans with from and to into rows in which none overlap.
function packRows(spans) {
  const free = [];
  for (const span of spans) {
    let row = free.findIndex((until) => until <= span.from);
    if (row < 0) row = free.push(0) - 1;
    free[row] = span.to;
    span.row = row;
  }
  return free.length;
}

const maxSpanRows = 40;
const baseName = (f) => f.slice(f.lastIndexOf('/') + 1);

// Each session from its first operation to its last, in the colours of the members
// that it was with. A client that has lost a session goes on with another.
const sessionsLane = {
  row: 14,
  prepare() {
    const byId = new Map();
    for (let i = 0; i < D.n; i++) {
      if (!D.session[i]) continue;
      let s = byId.get(D.session[i]);
      if (!s) byId.set(D.session[i], s = {id: D.session[i], from: D.start[i], to: 0, parts: [], end: '', processes: new Set(), count: 0});
      const end = D.closed[i] ? D.end[i] : D.start[i], last = s.parts[s.parts.length - 1];
      if (last && last.node === D.node[i]) last.to = Math.max(last.to, end);
      else s.parts.push({node: D.node[i], from: D.start[i], to: end});
      s.to = Math.max(s.to, end);
      s.count++;
      s.processes.add(D.process[i]);
      const f = baseName(D.strings[D.f[i]]);
      if (f === 'close' || f === 'abandon') s.end = f === 'close' ? 'closed' : 'left without closing';
    }
    this.sessions = [...byId.values()];
    this.rows = Math.min(packRows(this.sessions), maxSpanRows);
    const most = this.sessions.reduce((n, s) => Math.max(n, s.parts.length), 0);
    byIdText('sessions-note', this.sessions.length + ' sessions' + (most > 1 ? ', of which some moved between members' : ''));
    return this.sessions.length > 0;
  },
  height() { return this.rows * this.row + 2; },
  memberColour(node) { return colour['fault-' + Math.max(0, D.members.indexOf(D.strings[node])) % 6]; },
  draw(g, w, h) {
    grid(g, w, h);
    gutterLabel(g, 'sessions', this.row / 2 + 1);
    clipToPlot(g, w, h);
    shadeFaults(g, w, h);
    setFont(g, 10);
    g.textBaseline = 'middle';
    g.textAlign = 'left';
    for (const s of this.sessions) {
      const top = s.row * this.row + 2, height = this.row - 4;
      if (s.row >= this.rows || timeX(s.to, w) < gutter || timeX(s.from, w) > w) continue;
      g.fillStyle = colour.line;
      g.fillRect(timeX(s.from, w), top + height / 2, timeX(s.to, w) - timeX(s.from, w), 1);
      for (const part of s.parts) {
        const left = Math.max(timeX(part.from, w), gutter), right = Math.min(timeX(part.to, w), w);
        g.fillStyle = this.memberColour(part.node);
        g.globalAlpha = 0.45;
        g.fillRect(left, top, Math.max(1, right - left), height);
        g.globalAlpha = 1;
        const name = D.strings[part.node];
        if (right - left > g.measureText(name).width + 6) { g.fillStyle = colour.ink; g.fillText(name, left + 3, top + height / 2 + 0.5); }
      }
      if (s.end) {
        g.fillStyle = s.end === 'closed' ? colour.ink : colour.bad;
        g.fillRect(timeX(s.to, w) - 1, top - 1, 2, height + 2);
      }
    }
  },
  hit(x, y, w) {
    const t = xTime(x, w), reach = (view.b - view.a) / w * 3, row = Math.floor(y / this.row);
    const s = this.sessions.find((one) => one.row === row && t >= one.from - reach && t <= one.to + reach);
    if (!s) return null;
    return {title: 'session ' + D.strings[s.id], session: D.strings[s.id], fields: [
      ['operations', String(s.count)], ['process', [...s.processes].slice(0, 8).join(', ')], ['first', instant(s.from, 1e3)], ['last', instant(s.to, 1e3)],
      ['members', s.parts.map((p) => D.strings[p.node]).slice(0, 12).join(' → ')], ['end', s.end],
    ].filter(([, value]) => value)};
  },
};

// Each watch from the answer that set it to the answer that its event came with.
const watchesLane = {
  row: 11,
  prepare() {
    this.watches = D.watches.map((one) => ({...one, from: one.fromUs, to: one.toUs})).sort((a, b) => a.from - b.from);
    this.rows = Math.min(packRows(this.watches), maxSpanRows);
    const hidden = this.watches.filter((one) => one.row >= this.rows).length;
    byIdText('watches-note', this.watches.length + ' watches' + (hidden ? ', ' + hidden + ' not drawn' : ''));
    return this.watches.length > 0;
  },
  height() { return this.rows * this.row + 2; },
  draw(g, w, h) {
    grid(g, w, h);
    gutterLabel(g, 'watches', this.row / 2 + 1);
    clipToPlot(g, w, h);
    shadeFaults(g, w, h);
    setFont(g, 9);
    g.textBaseline = 'middle';
    g.textAlign = 'left';
    for (const one of this.watches) {
      const left = timeX(one.from, w), right = timeX(one.to, w), top = one.row * this.row + 2, height = this.row - 4;
      if (one.row >= this.rows || right < gutter || left > w) continue;
      const from = Math.max(left, gutter);
      g.fillStyle = baseName(one.kind) === 'follow' ? colour.lead2 : colour.q1;
      g.globalAlpha = 0.55;
      g.fillRect(from, top, Math.max(1, Math.min(right, w) - from), height);
      g.globalAlpha = 1;
      g.fillStyle = colour.ok;
      if (one.fired) g.fillRect(right - 1, top - 1, 2, height + 2);
      for (const at of one.eventsUs) g.fillRect(timeX(at, w), top, 1, height);
      const text = fit(g, one.key, Math.min(right, w) - from - 8);
      if (right - from > 30) { g.fillStyle = colour.ink; g.fillText(text, from + 3, top + height / 2 + 0.5); }
    }
  },
  hit(x, y, w) {
    const t = xTime(x, w), reach = (view.b - view.a) / w * 3, row = Math.floor(y / this.row);
    const one = this.watches.find((each) => each.row === row && t >= each.from - reach && t <= each.to + reach);
    if (!one) return null;
    return {title: one.kind + ' ' + one.key, fields: [
      ['session', one.session], ['set', instant(one.fromUs, 1e3)],
      ['event', baseName(one.kind) === 'follow' ? one.eventsUs.length + ' answers with events' : !one.fired ? 'none until the session ended' : instant(one.toUs, 1e3) + ', after ' + length(one.toUs - one.fromUs)],
    ]};
  },
};

// The lines of the members' logs whose time is known, as ticks; the page has the text.
const logsLane = {
  row: 14,
  prepare() {
    this.members = [...document.querySelectorAll('details.log')].map((block) => ({
      name: block.dataset.member,
      lines: [...block.querySelectorAll('li[data-us]')].map((li) => ({at: Number(li.dataset.us), li, level: this.levelOf(li.lastElementChild.textContent)})).sort((a, b) => a.at - b.at),
    }));
    return this.members.some((member) => member.lines.length);
  },
  levelOf: (text) => /level=ERROR|\bERROR\b|"level":"ERROR"|panic|FATAL/.test(text) ? 2 : /level=WARN|\bWARN\b|"level":"WARN"/.test(text) ? 1 : 0,
  height() { return this.members.length * this.row + 2; },
  draw(g, w, h) {
    grid(g, w, h);
    this.members.forEach((member, row) => gutterLabel(g, fit(g, member.name, gutter - 12), row * this.row + this.row / 2 + 1));
    clipToPlot(g, w, h);
    shadeFaults(g, w, h);
    const colours = [colour.soft, colour.info, colour.bad];
    for (const level of [0, 1, 2]) {
      g.fillStyle = colours[level];
      g.globalAlpha = level ? 1 : 0.6;
      this.members.forEach((member, row) => {
        for (const line of member.lines) {
          const x = timeX(line.at, w);
          if (line.level === level && x >= gutter && x <= w) g.fillRect(x, row * this.row + 3, level ? 2 : 1, this.row - 5);
        }
      });
    }
    g.globalAlpha = 1;
  },
  hit(x, y, w) {
    const member = this.members[Math.floor(y / this.row)];
    if (!member) return null;
    const t = xTime(x, w), reach = (view.b - view.a) / (w - gutter - rightMargin) * 6;
    const near = member.lines.slice(search(member.lines.length, (k) => member.lines[k].at >= t - reach), search(member.lines.length, (k) => member.lines[k].at > t + reach));
    if (!near.length) return null;
    const closest = near.reduce((a, b) => Math.abs(b.at - t) < Math.abs(a.at - t) ? b : a);
    return {title: member.name + ' at ' + instant(closest.at, 1e3), line: closest.li,
      fields: near.slice(0, 6).map((line) => [instant(line.at, 1e3), line.li.lastElementChild.textContent.slice(0, 300)])};
  },
};

function byIdText(id, text) { byId(id).textContent = text; }

// Opens the log at a line, and marks it.
function showLogLine(line) {
  for (const other of document.querySelectorAll('.log li.chosen')) other.classList.remove('chosen');
  line.classList.add('chosen');
  line.closest('details').open = true;
  line.scrollIntoView({block: 'center'});
}
