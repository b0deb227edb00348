// Convergence and orientation in small trends over the rounds of a run and class; only what is known is drawn.
const smallCharts = [];

function bestSoFar(values) {
  let best = null;
  return values.map((v) => {
    if (!isNothing(v) && (best === null || v < best)) best = v;
    return best;
  });
}

// Of all particles that the classes of a round have, the share of one class; null where there is but one.
function classShares(rows) {
  const all = new Map(),
    of = (row) => `${row.run}\n${row.iteration}`;
  for (const row of allRows().filter((r) => !isNothing(r.particles))) {
    const known = all.get(of(row)) || { classes: 0, particles: 0 };
    all.set(of(row), { classes: known.classes + 1, particles: known.particles + row.particles });
  }
  return rows.map((row) => {
    const { classes, particles } = all.get(of(row)) || {};
    return classes > 1 && particles && !isNothing(row.particles) ? (100 * row.particles) / particles : null;
  });
}

// The last rounds against those before: what one asks when one wonders whether to go on.
function gainWords(rows) {
  const read = rows.filter((r) => r.headline && r.res[r.headline]).map((r) => ({ row: r, r: r.res[r.headline] }));
  const last = read.at(-1),
    before = read.at(-4) || read[0];
  if (!last || last === before) return "";
  if (last.row.headline !== before.row.headline || !isLike(last.row, before.row, last.row.headline)) {
    return "The last rounds were not read alike.";
  }
  const by = before.r[0] - last.r[0],
    known = last.r.length > 2 && before.r.length > 2;
  const within = known && last.r[2] >= before.r[3] && before.r[2] >= last.r[3];
  const words = `${Math.abs(by).toFixed(2)} Å ${by < 0 ? "worse" : "better"} than ${before.row.label}`;
  const holds = last.row.doubted && !within ? ", if its number holds" : "";
  return `${last.row.label}: ${within ? `unchanged within error since ${before.row.label}` : words}${holds}.`;
}

// The numbers of the rounds that were read as that of the newest one, null for the others.
function alikeNumbers(rows) {
  const last = rows.findLast((r) => r.headline && r.res[r.headline]);
  const isAlike = (r) => r.headline === last.headline && isLike(r, last, r.headline);
  return rows.map((r) => (r.headline && r.res[r.headline] && isAlike(r) ? r.res[r.headline][0] : null));
}

function smallTrends(rows, rounds) {
  const of = new Map(rounds.map((r) => [r.key, r])),
    ofRound = (get) => rows.map((row) => (of.has(row.key) ? (get(of.get(row.key)) ?? null) : null));
  const number = alikeNumbers(rows);
  const classes =
    new Set(
      allRows()
        .filter((r) => r.run === state.row.run)
        .map((r) => r.class),
    ).size > 1;
  const headline = state.log.curves[state.row.headline],
    mask = headline?.mask || "automask";
  const lines = (...series) => series.map(([title, values, dash_]) => ({ title, values, dash: dash_ }));
  return [
    {
      title: "resolution",
      unit: "Å",
      down: true,
      series: lines(["resolution", number], ["best so far", bestSoFar(number), [4, 3]]),
    },
    { title: "particles", series: lines(["particles", rows.map((r) => r.particles)]), zero: true },
    {
      title: "share of this class",
      unit: "%",
      zero: true,
      series: lines(["share", classShares(rows)]),
    },
    {
      title: `mask volume (${mask})`,
      unit: "nm³",
      series: lines([
        "volume",
        ofRound((r) => r.masks.find((m) => m.name === mask && m.volume_A3 > 0)?.volume_A3 / 1000 || null),
      ]),
    },
    {
      title: "conical FSC area ratio",
      zero: true,
      series: lines(
        ["cFAR", ofRound((r) => r.analysis?.cfar)],
        ["by chance stays above", ofRound((r) => r.analysis?.cfar_by_chance), [4, 3]],
      ),
    },
    {
      title: "noise power by direction",
      zero: true,
      series: lines(
        ["strongest", ofRound((r) => r.checks?.noise_by_direction?.highest)],
        ["weakest", ofRound((r) => r.checks?.noise_by_direction?.lowest), [4, 3]],
      ),
    },
    {
      title: "change of angles",
      unit: "°",
      zero: true,
      series: lines(["change", ofRound((r) => r.changes?.orientations_deg)]),
    },
    {
      title: "change of offsets",
      unit: "Å",
      zero: true,
      series: lines(["change", ofRound((r) => r.changes?.offsets_A)]),
    },
    {
      title: "particles that changed class",
      unit: "%",
      zero: true,
      series: lines([
        "share",
        ofRound((r) => (classes && !isNothing(r.changes?.classes) ? 100 * r.changes.classes : null)),
      ]),
    },
    { title: "B factor", unit: "Å²", series: lines(["B factor", ofRound((r) => r.analysis?.b_factor_A2)]) },
  ].filter((trend) => trend.series.some((s) => s.values.filter((v) => !isNothing(v)).length > 1));
}

async function showSmallTrends() {
  const card = $("trends").closest(".card"),
    row = state.row;
  const rows = sameTrack();
  const rounds = await loadOverRounds();
  if (state.row !== row) return;
  smallCharts.splice(0).forEach((u) => u.destroy());
  const trends = smallTrends(rows, rounds);
  card.hidden = !trends.length;
  $("gain").textContent = gainWords(rows);
  const nodes = trends.map(() => el("figure", {}, el("figcaption", {}), el("div", { class: "small-chart" })));
  fill($("trends"), nodes);
  trends.forEach((trend, i) => smallCharts.push(smallChart(nodes[i], rows, trend)));
}

function shortNumber(v, unit) {
  if (isNothing(v)) return "–";
  const text = Math.abs(v) >= 1000 ? Math.round(v).toLocaleString("en") : String(Number(v.toPrecision(3)));
  return unit ? `${text} ${unit}` : text;
}

function tickNumber(v) {
  return Math.abs(v) >= 1e4 ? `${Number((v / 1000).toPrecision(3))}k` : shortNumber(v);
}

function smallChart(node, rows, trend) {
  const [caption, box] = node.children,
    xs = rows.map((_, i) => i);
  const last = trend.series[0].values.findLast((v) => !isNothing(v));
  const dashed = trend.series[1] && el("small", { class: "quiet" }, ` dashed: ${trend.series[1].title}`);
  const told = () => fill(caption, trend.title, " ", el("b", {}, shortNumber(last, trend.unit)), dashed);
  told();
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", `${trend.title} over the rounds; newest ${shortNumber(last, trend.unit)}`);
  const colours = [css("--automask"), css("--quiet")];
  const series = trend.series.map((s, i) => ({
    stroke: colours[i],
    width: i ? 1.2 : 1.8,
    dash: s.dash,
    spanGaps: true,
    points: { show: rows.length < 40 && !i, size: 5, fill: colours[i] },
  }));
  const range = (_, low, high) => {
    const room = 0.12 * (high - low || Math.abs(high) || 1);
    return [trend.zero ? Math.min(0, low) : low - room, high + room];
  };
  return new uPlot(
    {
      width: box.clientWidth,
      height: box.clientHeight,
      legend: { show: false },
      series: [{}, ...series],
      scales: { x: { time: false, range: [-0.4, rows.length - 0.6] }, y: { dir: trend.down ? -1 : 1, range } },
      axes: [{ show: false }, axis({ size: 58, space: 26, values: (_, s) => s.map(tickNumber) })],
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      hooks: {
        setCursor: [
          (u) => {
            const i = u.cursor.idx,
              here = !isNothing(i) && u.cursor.left >= 0 && rows[i];
            if (!here) return told();
            fill(
              caption,
              `${here.label}: `,
              trend.series.map((s) => `${s.title} ${shortNumber(s.values[i], trend.unit)}`).join(", "),
            );
          },
        ],
      },
    },
    [xs, ...trend.series.map((s) => s.values)],
    box,
  );
}
