// The plot of a round's curves: made anew when what it shows changes, redrawn when the theme or the width does.
const FLOOR = 1e-3;

function floored(values, logarithmic) {
  return logarithmic ? values.map((v) => (v === null ? null : Math.max(v, FLOOR))) : values;
}

// The active curve's phase-randomised FSC: mean, and the band of 3 sd. Before its first shell no phase was randomised.
function randomisedSeries(active, logarithmic) {
  const mean = active && unpacked(active.randomised_mean),
    sd = active && unpacked(active.randomised_sd);
  if (!mean || !sd) return [];
  const onset = active.randomised_from_shell ?? 1;
  const at = (sign) =>
    floored(
      mean.map((m, k) => (m === null || sd[k] === null || k <= onset ? null : m + sign * sd[k])),
      logarithmic,
    );
  return [
    { values: at(0), curve: active, randomised: true },
    { values: at(3), band: "randomised" },
    { values: at(-3), band: "randomised" },
  ];
}

// The FSC in cones of all directions under the active curve's mask: mean, and the band from the worst to the best.
function directionSeries(detail, active, state) {
  const analysis = detail.analysis;
  if (!state.directions || !analysis?.conical_lowest || analysis.mask !== active?.mask) return [];
  const of = (name) => floored(unpacked(analysis[name]), state.logarithmic);
  const worst = {
    name: "conical",
    title: "mean over all directions",
    kind: "measured",
    role: "user",
    mask: "by direction",
  };
  return [
    { values: of("conical_mean"), curve: worst },
    { values: of("conical_highest"), band: "directions" },
    { values: of("conical_lowest"), band: "directions" },
  ];
}

// The FSC of this round's average with the last one's, where the two were compared under the active curve's mask.
function averagesSeries(detail, active, logarithmic) {
  const known = detail.convergence,
    values = known?.mask === active?.mask && known?.with_last && unpacked(known.with_last.correlation);
  if (!values) return [];
  const curve = { ...active, title: "average with the last round's" };
  return [{ values: floored(values, logarithmic), curve, averages: true }];
}

// What stands in the plot: the round's visible curves, the active one's phase-randomised FSC, the other round's curves.
function fscTable(detail, other, state) {
  const curves = curvesOf(detail),
    shown = curves.filter((c) => state.visible(c));
  const active = curves.find((c) => c.name === state.active);
  const series = shown.map((curve) => ({ curve, values: floored(unpacked(curve.correlation), state.logarithmic) }));
  series.push(...randomisedSeries(active && state.visible(active) ? active : null, state.logarithmic));
  series.push(...directionSeries(detail, active, state));
  series.push(...averagesSeries(detail, active, state.logarithmic));
  const tables = [[frequencies(detail), ...series.map((s) => s.values)]];
  if (other) {
    const there = curvesOf(other).filter((c) => shown.some((s) => s.name === c.name));
    const values = there.map((c) => floored(unpacked(c.correlation), state.logarithmic));
    if (there.length) tables.push([frequencies(other), ...values]);
    series.push(...there.map((curve) => ({ curve, compared: true })));
  }
  return { data: tables.length > 1 ? uPlot.join(tables) : tables[0], series, shown, active };
}

function fscSeries(s, state) {
  if (s.band) return { stroke: "transparent", width: 0, points: { show: false } };
  const common = { label: s.curve.title, stroke: colour(s.curve), spanGaps: true, points: { show: false } };
  if (s.randomised) return { ...common, label: "phase-randomised FSC", width: 1.2, dash: [1, 3], spanGaps: false };
  if (s.averages) return { ...common, width: 1.2, dash: [9, 3, 2, 3] };
  if (s.compared) return { ...common, alpha: 0.7, width: 1.6, dash: [2, 3] };
  return { ...common, width: width(s.curve) + (s.curve.name === state.active ? 0.6 : 0), dash: dash(s.curve) };
}

function fscScales(table, state) {
  const lowest = Math.min(
    0,
    ...table.data
      .slice(1)
      .flat()
      .filter((v) => v !== null && v !== undefined),
  );
  const y = state.logarithmic ? { distr: 3, range: [FLOOR, 1.3] } : { range: [Math.max(lowest - 0.03, -0.6), 1.04] };
  return { x: { time: false, range: (_, __, max) => [0, max] }, y };
}

function fscAxes() {
  const titled = { labelSize: 18, labelGap: 2, labelFont: "12px system-ui, sans-serif" };
  const lengths = (u, _, low, high) => roundLengths(low, high, u.bbox.width / devicePixelRatio, 54);
  return [
    axis({ ...titled, size: 32, label: "spatial frequency (Å⁻¹)" }),
    axis({ ...titled, size: 46, label: "Fourier shell correlation" }),
    axis({
      ...titled,
      size: 30,
      label: "resolution (Å)",
      side: 0,
      scale: "x",
      grid: { show: false },
      splits: lengths,
      values: (_, splits) => splits.map(lengthLabel),
    }),
  ];
}

function fscChart(node, detail, other, state, onCursor) {
  const table = fscTable(detail, other, state),
    bands = [];
  for (const [band, fill_] of [
    ["randomised", table.active && colour(table.active)],
    ["directions", css("--user1")],
  ]) {
    const first = table.series.findIndex((s) => s.band === band);
    if (first >= 0) bands.push({ series: [first + 1, first + 2], fill: fill_ + "2e" });
  }
  return new uPlot(
    {
      width: node.clientWidth,
      height: node.clientHeight,
      legend: { show: false },
      bands,
      series: [{}, ...table.series.map((s) => fscSeries(s, state))],
      scales: fscScales(table, state),
      axes: fscAxes(),
      cursor: { y: false, drag: { x: true, y: false }, points: { size: 6 } },
      hooks: {
        drawAxes: [(u) => suspiciousMark(u, detail, table)],
        draw: [(u) => fscMarks(u, detail, table)],
        setCursor: [(u) => onCursor(u)],
      },
    },
    table.data,
    node,
  );
}

// Where the suspicious curve is so.
function suspiciousMark(u, detail, table) {
  const name = detail.shown.verdict.suspicious;
  const finding = detail.shown.findings.find((f) => f.severity === "warning" && f.curve === name && f.shells);
  if (!finding || !table.shown.some((c) => c.name === name)) return;
  const step = 1 / (detail.box_px * detail.voxel_size_A),
    { left, top, width, height } = u.bbox;
  const inside = (x) => Math.min(left + width, Math.max(left, x));
  const ends = [finding.shells[0] - 0.5, finding.shells[1] + 0.5];
  const [a, b] = ends.map((k) => inside(inDevicePixels(u, k * step, "x")));
  if (b <= a) return;
  const c = u.ctx,
    late = a > left + width / 2,
    px = devicePixelRatio;
  c.save();
  c.fillStyle = css("--warn");
  c.globalAlpha = 0.1;
  c.fillRect(a, top, b - a, height);
  c.globalAlpha = 1;
  c.fillRect(a, top + height - 3 * px, b - a, 3 * px);
  c.restore();
  const words = "⚠ " + finding.title,
    y = top + height - 9 * px;
  label(u, words, late ? b - 4 * px : a + 4 * px, y, css("--warn"), late ? "right" : "left");
}

function fscMarks(u, detail, table) {
  const { left, top, width, height } = u.bbox,
    mark = css("--mark");
  for (const level of levelsOf(table.shown)) {
    const y = inDevicePixels(u, level, "y");
    line(u, left, y, left + width, y, mark, [4, 4]);
    label(u, shownLevel(level), left + 4, y - 4, mark); // where every curve is far above
  }
  const ownSums = detail.half_maps?.origin === "reconstructed"; // which go on to Nyquist
  const limits = [
    [detail.alignment_limit_A, "alignment limit of both halves", "alignment limit"],
    ownSums
      ? [detail.reconstruction_limit_A, "resolution limit of the program's own map", "program's map"]
      : [detail.reconstruction_limit_A, "resolution limit of the reconstruction", "reconstructed"],
  ];
  limits.forEach(([limit, long, short], i) => {
    if (!limit) return;
    const x = inDevicePixels(u, 1 / limit, "x"),
      late = x > left + width / 2;
    if (x < left || x > left + width) return;
    line(u, x, top, x, top + height, mark, [2, 4]);
    const words = (width > 560 * devicePixelRatio ? long : short) + ` (${angstrom(limit)})`;
    label(u, words, late ? x - 5 : x + 5, top + (14 + 15 * i) * devicePixelRatio, mark, late ? "right" : "left");
  });
  for (const curve of table.shown) crossingMarks(u, curve, curve === table.active);
}

function crossingMarks(u, curve, active) {
  const c = u.ctx,
    stroke = colour(curve),
    size = (active ? 4.5 : 3) * devicePixelRatio;
  if (active && curve.interval_A) {
    const [a, b] = curve.interval_A.map((r) => inDevicePixels(u, 1 / r, "x"));
    c.save();
    c.globalAlpha = 0.13;
    c.fillStyle = stroke;
    c.fillRect(a, u.bbox.top, b - a, u.bbox.height);
    c.restore();
  }
  const all = crossingsAt(curve);
  for (const { level, direction, frequency_per_A } of active ? all : all.slice(0, 1)) {
    const x = inDevicePixels(u, frequency_per_A, "x"),
      y = inDevicePixels(u, level, "y");
    if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
    c.save();
    c.beginPath();
    c.setLineDash([]);
    c.arc(x, y, size, 0, 2 * Math.PI);
    c.strokeStyle = stroke;
    c.lineWidth = 1.6 * devicePixelRatio;
    c.fillStyle = direction === "down" ? stroke : css("--card");
    c.fill();
    c.stroke();
    c.restore();
  }
}

// Values at the cursor, beside it and never under it.
function readout(node, u, title, lines) {
  let box = node.querySelector(".readout");
  if (!box) node.append((box = el("div", { class: "readout", "aria-hidden": "true" })));
  box.hidden = !lines || u.cursor.left < 0;
  if (box.hidden) return;
  fill(
    box,
    el("b", {}, title),
    lines.map(([drawn, title_, text]) =>
      el("div", {}, drawn, el("span", {}, title_), el("span", { class: "n" }, text)),
    ),
  );
  const x = u.over.offsetLeft + u.cursor.left,
    room = node.clientWidth;
  box.style.left = x > room / 2 ? "auto" : x + 14 + "px";
  box.style.right = x > room / 2 ? room - x + 14 + "px" : "auto";
}
