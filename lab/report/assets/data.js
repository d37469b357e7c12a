// The operations of the run, unpacked from the page. columns.go is the other
// side of this format.

const OK = 0, FAIL = 1, INFO = 2;
const outcomeNames = ['ok', 'fail', 'info'];

async function inflate(base64) {
  const binary = atob(base64.replace(/-/g, '+').replace(/_/g, '/'));
  const packed = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) packed[i] = binary.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// One column: count varints. Values may exceed 32 bits, so no bit operations
// on the sum; they stay far below 2^53.
function readColumn(bytes, at, count, signed) {
  const out = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let value = 0, factor = 1, byte;
    do {
      byte = bytes[at++];
      value += (byte & 127) * factor;
      factor *= 128;
    } while (byte > 127);
    out[i] = signed ? (value % 2 ? -(value + 1) / 2 : value / 2) : value;
  }
  return [out, at];
}

function runningSum(column) {
  for (let i = 1; i < column.length; i++) column[i] += column[i - 1];
  return column;
}

function unpack(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const n = header.count, raw = {};
  let at = 4 + length;
  for (const name of header.columns) {
    const signed = name.startsWith('d') && name !== 'duration' || name === 'version';
    [raw[name], at] = readColumn(bytes, at, n, signed);
  }
  const D = {
    n, total: header.total, endUs: Math.max(header.endUs, 1), strings: header.strings, members: header.members,
    faults: header.faults, leaders: header.leaders, gapUs: header.gapUs, phases: header.phases, watches: header.watches,
    index: runningSum(raw.dIndex), start: runningSum(raw.dStart),
    end: new Float64Array(n), closed: new Uint8Array(n), outcome: Uint8Array.from(raw.outcome),
    process: raw.process, f: raw.f, key: raw.key, node: raw.node, in: raw.in, out: raw.out, session: raw.session, error: raw.error,
    zxidHi: runningSum(raw.dZxidHi), zxidLo: runningSum(raw.dZxidLo),
    mzxidHi: runningSum(raw.dMzxidHi), mzxidLo: runningSum(raw.dMzxidLo), version: raw.version, weight: raw.weight,
  };
  for (let i = 0; i < n; i++) {
    D.closed[i] = raw.duration[i] > 0 ? 1 : 0;
    D.end[i] = D.closed[i] ? D.start[i] + raw.duration[i] - 1 : D.endUs;
  }
  assignRows(D);
  D.byEnd = orderByEnd(D);
  return D;
}

// The completed operations in order of their completion. Numbers that carry time and place
// sort several times as fast as places that are compared by their times.
function orderByEnd(D) {
  let closed = 0;
  for (let i = 0; i < D.n; i++) closed += D.closed[i];
  const keys = new Float64Array(closed), places = 2 ** Math.ceil(Math.log2(D.n + 1));
  const exact = (D.endUs + 1) * places < Number.MAX_SAFE_INTEGER; // runs of less than ten hours
  for (let i = 0, k = 0; i < D.n; i++) if (D.closed[i]) keys[k++] = exact ? D.end[i] * places + i : i;
  if (exact) return Int32Array.from(keys.sort(), (key) => key % places);
  return Int32Array.from(keys).sort((a, b) => D.end[a] - D.end[b]);
}

// One row for each process, as long as they are few. A process that ended with
// an unknown outcome never acts again and another takes its place, so with
// many of them a row is shared by processes that follow one another.
function assignRows(D) {
  const first = new Map(), last = new Map();
  for (let i = 0; i < D.n; i++) {
    const p = D.process[i];
    if (!first.has(p)) first.set(p, D.start[i]);
    last.set(p, D.end[i]);
  }
  const processes = [...first.keys()];
  const rowOf = new Map();
  D.rows = [];
  if (processes.length <= 40) {
    processes.sort((a, b) => a - b);
    processes.forEach((p, row) => { rowOf.set(p, row); D.rows.push({processes: [p], free: 0}); });
  } else {
    for (const p of processes) {
      let best = -1;
      D.rows.forEach((row, i) => {
        if (row.free <= first.get(p) && (best < 0 || row.free > D.rows[best].free)) best = i;
      });
      if (best < 0) best = D.rows.push({processes: [], free: 0}) - 1;
      D.rows[best].processes.push(p);
      D.rows[best].free = last.get(p);
      rowOf.set(p, best);
    }
    const order = D.rows.map((row, i) => i).sort((a, b) => D.rows[a].processes[0] - D.rows[b].processes[0]);
    const place = new Map(order.map((from, to) => [from, to]));
    D.rows = order.map((i) => D.rows[i]);
    for (const [p, row] of rowOf) rowOf.set(p, place.get(row));
  }
  D.row = new Int32Array(D.n);
  for (let i = 0; i < D.n; i++) D.row[i] = rowOf.get(D.process[i]);
}

// The operations that match the filter, in the orders that the lanes need.
function select(D, matches) {
  const all = [], rows = D.rows.map(() => []), chosen = new Uint8Array(D.n);
  for (let i = 0; i < D.n; i++) {
    if (!matches(i)) continue;
    all.push(i);
    chosen[i] = 1;
    rows[D.row[i]].push(i);
  }
  const byEnd = all.length === D.n ? D.byEnd : D.byEnd.filter((i) => chosen[i]);
  return {all: Int32Array.from(all), byEnd, rows};
}

// The operation with that index, or the one that was invoked before it.
function findOp(D, index) {
  const exact = D.index.indexOf(index);
  if (exact >= 0 || !D.n) return {at: exact, exact: exact >= 0};
  let at = 0;
  for (let i = 0; i < D.n; i++) if (D.index[i] < index && (D.index[at] > index || D.index[i] > D.index[at])) at = i;
  return {at, exact: false};
}

function hex(high, low) {
  if (!high && !low) return '';
  return '0x' + (high ? high.toString(16) + low.toString(16).padStart(8, '0') : low.toString(16));
}

function opTitle(D, i) {
  const s = D.strings;
  let text = s[D.f[i]];
  if (D.in[i]) text += ' ' + s[D.in[i]];
  if (D.outcome[i] === OK && D.out[i] && D.out[i] !== D.in[i]) text += ' → ' + s[D.out[i]];
  return text;
}

function opFields(D, i) {
  const s = D.strings;
  const fields = [
    ['outcome', D.closed[i] ? outcomeNames[D.outcome[i]] : 'info: never completed'],
    ['error', s[D.error[i]]], ['process', String(D.process[i])], ['member', s[D.node[i]]], ['session', s[D.session[i]]], ['key', s[D.key[i]]],
    ['invoked', instant(D.start[i], 1)], ['latency', D.closed[i] ? length(D.end[i] - D.start[i]) : ''],
    ['zxid', hex(D.zxidHi[i], D.zxidLo[i])], ['mzxid', hex(D.mzxidHi[i], D.mzxidLo[i])],
    ['version', D.closed[i] && D.version[i] >= 0 ? String(D.version[i]) : ''], ['index', String(D.index[i])],
  ];
  return fields.filter(([, value]) => value !== '');
}
