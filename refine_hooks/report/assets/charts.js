// The two plots. Both are made anew when what they show changes, and redrawn when the theme or the width does.
const THRESHOLD = 0.143, FLOOR = 1e-3;

function axis(extra) {
  return { stroke: css("--quiet"), grid: { stroke: css("--grid"), width: 1 }, ticks: { stroke: css("--grid"), width: 1 }, font: "12px system-ui, sans-serif", ...extra };
}

function inDevicePixels(u, value, scale) { return u.valToPos(value, scale, true); }

function line(u, x0, y0, x1, y1, colour_, pattern) {
  const c = u.ctx;
  c.save(); c.beginPath(); c.setLineDash(pattern || []); c.strokeStyle = colour_; c.lineWidth = devicePixelRatio;
  c.moveTo(x0, y0); c.lineTo(x1, y1); c.stroke(); c.restore();
}

function label(u, text, x, y, colour_, align) {
  const c = u.ctx;
  c.save(); c.fillStyle = colour_; c.font = 11 * devicePixelRatio + "px system-ui, sans-serif"; c.textAlign = align || "left";
  c.fillText(text, x, y); c.restore();
}

function frequencies(detail) {
  const step = 1 / (detail.box_px * detail.voxel_size_A);
  return Array.from({ length: detail.shells }, (_, k) => k * step);
}

// Round numbers of Angstrom that are far enough apart on an axis of 1/Angstrom; the roundest have the first choice.
const ROUND_A = [[100, 50, 20, 10, 5, 4, 3, 2.5, 2, 1.5, 1], [30, 15, 8, 7, 6, 3.5, 2.8, 2.2, 1.8, 1.2], [40, 25, 17, 13, 12, 11, 9, 4.5, 3.8, 3.3, 3.2, 2.7, 2.6, 2.4, 2.3, 2.1, 1.9, 1.7, 1.6, 1.4, 1.3, 1.1],
  [14, 16, 18, 22, 9.5, 8.5, 7.5, 6.5, 5.8, 5.5, 5.2, 4.8, 4.6, 4.4, 4.2, 3.9, 3.7, 3.6, 3.4, 3.1, 2.9]];
function roundLengths(low, high, length_px, apart_px) {
  const chosen = [], px = (f) => ((f - low) / (high - low)) * length_px;
  for (const tier of ROUND_A) for (const d of tier) if (1 / d >= low && 1 / d <= high && chosen.every((f) => Math.abs(px(f) - px(1 / d)) >= apart_px)) chosen.push(1 / d);
  return chosen.sort((a, b) => a - b);
}
function lengthLabel(f) { return f > 0 ? String(Math.round(1e3 / f) / 1e3) + " Å" : ""; }

function floored(values, logarithmic) { return logarithmic ? values.map((v) => (v === null ? null : Math.max(v, FLOOR))) : values; }

// What stands in the plot: the round's visible curves, the active one's null band, and the same curves of the other round.
function fscTable(detail, other, state) {
  const shown = detail.curves.filter((c) => state.visible(c));
  const active = detail.curves.find((c) => c.name === state.active);
  const tables = [[frequencies(detail)]], series = [];
  for (const curve of shown) {
    tables[0].push(floored(unpacked(curve.c), state.logarithmic));
    series.push({ curve, compared: false });
  }
  const mean = active && unpacked(active.randomised_mean), sd = active && unpacked(active.randomised_sd), onset = active?.onset_shell ?? 1;
  if (mean && sd) {
    // Before the onset no phase was randomised, and there is no null to show.
    for (const sign of [3, -3]) tables[0].push(floored(mean.map((m, k) => (m === null || sd[k] === null || k <= onset ? null : m + sign * sd[k])), state.logarithmic));
    series.push({ band: true }, { band: true });
  }
  if (other) {
    const there = other.curves.filter((c) => shown.some((s) => s.name === c.name));
    if (there.length) tables.push([frequencies(other), ...there.map((c) => floored(unpacked(c.c), state.logarithmic))]);
    for (const curve of there) series.push({ curve, compared: true });
  }
  return { data: tables.length > 1 ? uPlot.join(tables) : tables[0], series, shown, active };
}

function fscChart(node, detail, other, state, onCursor) {
  const table = fscTable(detail, other, state);
  const series = [{}], bands = [];
  table.series.forEach((s) => {
    if (s.band) { series.push({ stroke: "transparent", width: 0, points: { show: false } }); return; }
    series.push({
      label: s.curve.title, stroke: colour(s.curve), alpha: s.compared ? 0.45 : 1, spanGaps: true, points: { show: false },
      width: s.compared ? 1.2 : WIDTH[s.curve.kind] + (s.curve.name === state.active ? 0.6 : 0), dash: s.compared ? [2, 3] : dash(s.curve),
    });
  });
  const first = table.series.findIndex((s) => s.band);
  if (first >= 0) bands.push({ series: [first + 1, first + 2], fill: css("--" + (table.active.family === "user" ? "user0" : table.active.family)) + "2e" });
  const lowest = Math.min(0, ...table.data.slice(1).flat().filter((v) => v !== null && v !== undefined));
  const u = new uPlot({
    width: node.clientWidth, height: node.clientHeight, legend: { show: false }, bands, series,
    scales: { x: { time: false, range: (_, __, max) => [0, max] }, y: state.logarithmic ? { distr: 3, range: [FLOOR, 1.3] } : { range: [Math.max(lowest - 0.03, -0.6), 1.04] } },
    axes: [axis({ splits: (u, _, low, high) => roundLengths(low, high, u.bbox.width / devicePixelRatio, 54), values: (_, splits) => splits.map(lengthLabel), label: "resolution (equal steps of 1/Å)", size: 32, labelSize: 18, labelGap: 0, labelFont: "12px system-ui, sans-serif" }), axis({ size: 46 })],
    cursor: { y: false, drag: { x: true, y: false }, points: { size: 6 } },
    hooks: { drawAxes: [(v) => doubtedMark(v, detail, table)], draw: [(v) => fscMarks(v, detail, table)], setCursor: [(v) => onCursor(v)] },
  }, table.data, node);
  return u;
}

// Where the curve that misleads does so.
function doubtedMark(u, detail, table) {
  const name = detail.verdict.lying, finding = detail.findings.find((f) => f.severity === "warning" && f.curve === name && f.shells);
  if (!finding || !table.shown.some((c) => c.name === name)) return;
  const step = 1 / (detail.box_px * detail.voxel_size_A), { left, top, width, height } = u.bbox, inside = (x) => Math.min(left + width, Math.max(left, x));
  const [a, b] = [finding.shells[0] - 0.5, finding.shells[1] + 0.5].map((k) => inside(inDevicePixels(u, k * step, "x")));
  if (b <= a) return;
  const c = u.ctx, late = a > left + width / 2;
  c.save(); c.fillStyle = css("--warn"); c.globalAlpha = 0.1; c.fillRect(a, top, b - a, height); c.globalAlpha = 1; c.fillRect(a, top + height - 3 * devicePixelRatio, b - a, 3 * devicePixelRatio); c.restore();
  label(u, "⚠ " + finding.title, late ? b - 4 * devicePixelRatio : a + 4 * devicePixelRatio, top + height - 9 * devicePixelRatio, css("--warn"), late ? "right" : "left");
}

function fscMarks(u, detail, table) {
  const { left, top, width, height } = u.bbox, mark = css("--mark");
  const y = inDevicePixels(u, THRESHOLD, "y");
  line(u, left, y, left + width, y, mark, [4, 4]);
  label(u, "0.143", left + width - 4, y - 4, mark, "right");
  const limits = [[detail.alignment_limit_A, "both halves aligned to one reference up to here", "aligned to here"], [detail.reconstruction_limit_A, "reconstructed up to here", "cut here"]];
  limits.forEach(([limit, long, short], i) => {
    if (!limit) return;
    const x = inDevicePixels(u, 1 / limit, "x");
    if (x < left || x > left + width) return;
    line(u, x, top, x, top + height, mark, [2, 4]);
    const words = width > 560 * devicePixelRatio ? long : short;
    label(u, words + " (" + angstrom(limit) + ")", x > left + width / 2 ? x - 5 : x + 5, top + (14 + 15 * i) * devicePixelRatio, mark, x > left + width / 2 ? "right" : "left");
  });
  for (const curve of table.shown) crossingMarks(u, curve, curve === table.active);
}

function crossingMarks(u, curve, active) {
  const c = u.ctx, stroke = colour(curve), size = (active ? 4.5 : 3) * devicePixelRatio;
  if (active && curve.interval_A) {
    const [a, b] = curve.interval_A.map((r) => inDevicePixels(u, 1 / r, "x"));
    c.save(); c.globalAlpha = 0.13; c.fillStyle = stroke; c.fillRect(a, u.bbox.top, b - a, u.bbox.height); c.restore();
  }
  const at = curve.crossings.filter((x) => Math.abs(x[0] - THRESHOLD) < 1e-6);
  for (const [level, direction, , frequency] of active ? at : at.slice(0, 1)) {
    const x = inDevicePixels(u, frequency, "x"), y = inDevicePixels(u, level, "y");
    if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
    c.save(); c.beginPath(); c.setLineDash([]); c.arc(x, y, size, 0, 2 * Math.PI); c.strokeStyle = stroke; c.lineWidth = 1.6 * devicePixelRatio;
    c.fillStyle = direction === "down" ? stroke : css("--card"); c.fill(); c.stroke(); c.restore();
  }
}

// Resolution of all rounds: drawn as 1/d, so that equal steps are equal gains of detail.
function resolutionChart(node, rows, curves, state, onPick) {
  const names = Object.keys(curves).filter((name) => state.plotted(name));
  const data = [rows.map((_, i) => i)], series = [{}], bands = [];
  const several = rows.some((row) => row.run !== rows[0].run || row.class !== rows[0].class);  // no line leads from one run to another
  const at = (row, name, i) => { const r = row.res[name]; return r && r[i] ? 1 / r[i] : null; };
  for (const name of names) {
    const c = { name, ...curves[name] };
    data.push(rows.map((row) => at(row, name, 0)));
    series.push({ label: c.title, stroke: colour(c), width: several ? 0 : WIDTH[c.kind], dash: dash(c), spanGaps: true, points: { show: several || rows.length < 120, size: 6, fill: colour(c) } });
  }
  const headline = state.headline();
  if (headline && names.includes(headline) && !several) {
    for (const i of [2, 1]) { data.push(rows.map((row) => at(row, headline, i))); series.push({ stroke: "transparent", width: 0, points: { show: false }, spanGaps: true }); }
    bands.push({ series: [series.length - 2, series.length - 1], fill: colour({ name: headline, ...curves[headline] }) + "2e" });
  }
  return new uPlot({
    width: node.clientWidth, height: node.clientHeight, legend: { show: false }, series, bands,
    scales: { x: { time: false, range: [-0.5, Math.max(rows.length - 0.5, 0.5)] }, y: { range: (_, min, max) => (min === null ? [0, 1] : [min - (max - min || min) * 0.12, max + (max - min || max) * 0.12]) } },
    axes: [
      axis({ splits: (u) => ticksOfRounds(rows.length, u.bbox.width / devicePixelRatio), values: (_, s) => s.map((i) => (rows[i] ? shortLabel(rows[i]) : "")) }),
      axis({ size: 58, splits: (u, _, low, high) => roundLengths(low, high, u.bbox.height / devicePixelRatio, 26), values: (_, s) => s.map(lengthLabel) }),
    ],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    hooks: {
      setCursor: [(u) => resolutionReadout(node, u, rows, names, curves)],
      draw: [(u) => { const i = rows.findIndex((r) => r.key === state.key); if (i >= 0) { const x = inDevicePixels(u, i, "x"); line(u, x, u.bbox.top, x, u.bbox.top + u.bbox.height, css("--mark"), [3, 3]); } }],
      ready: [(u) => u.over.addEventListener("click", () => { const i = u.cursor.idx; if (i !== null && i !== undefined) onPick(rows[i].key); })],
    },
  }, data, node);
}

// Values at the cursor, beside it and never under it.
function readout(node, u, title, lines) {
  let box = node.querySelector(".readout");
  if (!box) node.append((box = el("div", { class: "readout", "aria-hidden": "true" })));
  box.hidden = !lines || u.cursor.left < 0;
  if (box.hidden) return;
  fill(box, el("b", {}, title), lines.map(([curve, text]) => el("div", {}, el("span", { class: "swatch", "data-kind": curve.kind, color: colour(curve) }), el("span", {}, curve.title), el("span", { class: "n" }, text))));
  const x = u.over.offsetLeft + u.cursor.left, room = node.clientWidth;
  box.style.left = x > room / 2 ? "auto" : x + 14 + "px";
  box.style.right = x > room / 2 ? room - x + 14 + "px" : "auto";
}

function resolutionReadout(node, u, rows, names, curves) {
  const row = u.cursor.idx === null || u.cursor.idx === undefined ? null : rows[u.cursor.idx];
  const lines = row && names.filter((n) => row.res[n]).map((n) => [{ name: n, ...curves[n] }, angstrom(row.res[n][0])]);
  readout(node, u, row ? row.label : "", lines);
}

function ticksOfRounds(n, width) {
  const step = Math.max(1, Math.ceil(n / Math.max(2, width / 90))), ticks = [];
  for (let i = 0; i < n; i += step) ticks.push(i);
  return ticks;
}

function shortLabel(row) { const m = /round\s*#?(\d+)/i.exec(row.label); return m ? "round " + m[1] : row.label.length > 12 ? String(row.iteration) : row.label; }
