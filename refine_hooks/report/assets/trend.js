// The plot of all rounds: drawn as 1/d, so that equal steps are equal gains of detail.

// Only like is joined with like: one run and class, one curve, one level, half maps of one origin and independence.
function isLike(row, other, name) {
  return (
    row.run === other.run &&
    row.class === other.class &&
    row.origin === other.origin &&
    row.independence === other.independence &&
    row.res[name][1] === other.res[name][1]
  );
}

function trendGroups(rows, names, curves) {
  const groups = [];
  for (const name of names) {
    const found = [];
    for (const row of rows) {
      if (!row.res[name]) continue;
      let group = found.find((one) => isLike(row, one.first, name));
      if (!group) found.push((group = { name, curve: curves[name], rows: new Set(), first: row }));
      group.rows.add(row);
    }
    groups.push(...found);
  }
  return groups;
}

// What a program states, and what filtered half maps give, is no measurement of ours: hollow points, and no line.
function isOurs(group) {
  return !isOfProgram(group.curve) && group.first.origin !== "regularised";
}

// Undefined is passed over by the line; null, where a round of the same run and class failed, breaks it.
function trendValues(rows, group, which) {
  return rows.map((row) => {
    if (row.failed) return row.run === group.first.run && row.class === group.first.class ? null : undefined;
    const r = group.rows.has(row) ? row.res[group.name] : undefined;
    return r && r[which] ? 1 / r[which] : undefined;
  });
}

function trendSeries(group, count) {
  const ours = isOurs(group),
    stroke = colour(group.curve),
    fill = ours ? stroke : css("--card");
  return {
    label: group.curve.title,
    stroke,
    width: ours ? width(group.curve) : 0,
    dash: dash(group.curve),
    points: { show: !ours || count < 120 || group.rows.size < 2, size: ours ? 6 : 8, fill, stroke, width: 1.5 },
  };
}

// What the rounds are drawn over: their order, the hours since the first, or how many particles they have.
const OVER = {
  round: { title: "round", of: (row, i) => i },
  hours: { title: "hours since the first round", of: (row, _, first) => hoursBetween(first, row) },
  particles: { title: "particles", of: (row) => row.particles },
};

function hoursBetween(first, row) {
  return (Date.parse(row.at) - Date.parse(first.at)) / 36e5;
}

function placed(all, over) {
  const places = all.map((row, i) => ({ row, x: OVER[over].of(row, i, all[0]) }));
  return places.filter((p) => !isNothing(p.x)).sort((a, b) => a.x - b.x);
}

function resolutionChart(node, all, curves, state, onPick) {
  const names = Object.keys(curves).filter((name) => state.plotted(name));
  const places = placed(all, state.over),
    rows = places.map((p) => p.row),
    xs = places.map((p) => p.x);
  const groups = trendGroups(rows, names, curves),
    data = [xs],
    series = [{}],
    bands = [];
  for (const group of groups) {
    data.push(trendValues(rows, group, 0));
    series.push(trendSeries(group, rows.length));
    const isHeadline = [...group.rows].some((row) => row.headline === group.name && row.res[group.name].length > 2);
    if (!isHeadline || !isOurs(group)) continue;
    for (const end of [3, 2]) {
      data.push(trendValues(rows, group, end));
      series.push({ stroke: "transparent", width: 0, points: { show: false } });
    }
    bands.push({ series: [series.length - 2, series.length - 1], fill: colour(group.curve) + "2e" });
  }
  return new uPlot(
    {
      width: node.clientWidth,
      height: node.clientHeight,
      legend: { show: false },
      series,
      bands,
      scales: { x: { time: false, range: roomAbout(xs, state.over) }, y: { range: trendRange } },
      axes: trendAxes(rows, state.over),
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      hooks: {
        setCursor: [(u) => resolutionReadout(node, u, rows, names, curves)],
        draw: [(u) => trendMarks(u, rows, xs, state)],
        ready: [(u) => u.over.addEventListener("click", () => rows[u.cursor.idx] && onPick(rows[u.cursor.idx].key))],
      },
    },
    data,
    node,
  );
}

function roomAbout(xs, over) {
  const low = Math.min(...xs),
    high = Math.max(...xs),
    room = over === "round" ? 0.5 : 0.04 * (high - low) || 1;
  return xs.length ? [low - room, high + room] : [0, 1];
}

function trendRange(_, min, max) {
  const room = 0.12 * (max - min || min);
  return min === null ? [0, 1] : [min - room, max + room];
}

function trendAxes(rows, over) {
  const titled = { labelSize: 18, labelGap: 2, labelFont: "12px system-ui, sans-serif" };
  const named = severalTracks(rows);
  const byRound =
    over !== "round"
      ? {}
      : {
          splits: (u) => ticksOfRounds(rows, u.bbox.width / devicePixelRatio, named ? 110 : 50),
          values: (u, s) => s.map((i) => (rows[i] ? tickOfRound(rows, rows[i], named, u) : "")),
        };
  const title = named && over === "round" ? "run and iteration" : OVER[over].title;
  return [
    axis({ ...titled, size: 32, label: title, ...byRound }),
    axis({
      ...titled,
      size: 58,
      label: "resolution (Å)",
      splits: (u, _, low, high) => roundLengths(low, high, u.bbox.height / devicePixelRatio, 26),
      values: (_, s) => s.map(lengthLabel),
    }),
  ];
}

// The selected round, and the rounds that failed.
function trendMarks(u, rows, xs, state) {
  const { top, height } = u.bbox,
    px = devicePixelRatio;
  rows.forEach((row, i) => {
    if (row.key !== state.key && !row.failed) return;
    const x = inDevicePixels(u, xs[i], "x");
    if (row.key === state.key) line(u, x, top, x, top + height, css("--mark"), [3, 3]);
    if (row.failed) label(u, "✕", x, top + height - 6 * px, css("--bad"), "center");
  });
}

// A round by its name where there is room for all names, else by its run and iteration.
const LETTER_PX = 7;
function tickOfRound(rows, row, named, u) {
  const longest = Math.max(...rows.slice(0, 40).map((r) => r.label.length));
  const room = u.bbox.width / devicePixelRatio / rows.length;
  return !named && longest * LETTER_PX < room ? row.label : roundNumber(row, named);
}

function resolutionReadout(node, u, rows, names, curves) {
  const row = rows[u.cursor.idx];
  const text = (r) => angstrom(r[0]) + (r.length > 2 ? ` (${r[2].toFixed(2)}–${r[3].toFixed(2)})` : "");
  const lines =
    row && names.filter((n) => row.res[n]).map((n) => [swatch(curves[n]), curves[n].title, text(row.res[n])]);
  readout(node, u, row ? row.label + (row.failed ? ": failed" : "") : "", lines);
}

const ROUND_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
function ticksOfRounds(rows, width, apart) {
  const n = rows.length;
  const least = n / Math.max(2, width / apart),
    step = ROUND_STEPS.find((one) => one >= least) || Math.ceil(least),
    ticks = [];
  for (let i = 0; i < n; i++) if (step === 1 || rows[i].iteration % step === 0) ticks.push(i);
  return ticks;
}
