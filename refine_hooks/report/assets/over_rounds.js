// One curve over all rounds of a run and class: as a fan of lines coloured by round, or as a heat map.
const FAN_MOST = 40;
const over = { loading: null, of: "", as: "fan", curve: "", chart: null };

// What this card and the small trends need of a round; the live page gets it from the server in this form.
function overRound(detail, name) {
  const { key, box_px, voxel_size_A, masks, analysis, checks, changes } = detail;
  const curve = detail.curves.find((c) => c.name === name),
    shells = detail.shown.shells;
  const correlation_ = curve?.correlation || null;
  return { key, box_px, voxel_size_A, shells, masks, analysis, checks, changes, correlation: correlation_ };
}

// The curve that the reader chose; else the headline's, or where one round alone has it, the one that most have.
function chosenCurve() {
  if (over.curve) return over.curve;
  const of = (name) => sameTrack().filter((row) => row.res[name]).length,
    headline = state.row.headline;
  const names = Object.keys(state.row.res);
  return of(headline) > 1 ? headline : names.reduce((a, b) => (of(b) > of(a) ? b : a), headline || names[0]);
}

// All rounds of the selected one's run and class, asked for once however many cards want them.
function loadOverRounds() {
  const name = chosenCurve();
  const of = [state.log.id, trackOf(state.row), name, state.seq].join("\n");
  if (over.of === of) return over.loading;
  over.of = of;
  over.loading = source
    .overRounds(state.log, state.row.key, name, sameTrack())
    .then((rounds) => rounds.map((r) => ({ ...r, values: unpacked(r.correlation) })));
  over.loading.catch(() => (over.of = ""));
  return over.loading;
}

function nameOfRound(key) {
  return rowOf(key)?.label || key;
}

async function showOverRounds() {
  const card = $("over-rounds").closest(".card"),
    row = state.row;
  showOverCurves();
  const rounds = (await loadOverRounds()).filter((r) => r.values);
  if (state.row !== row) return;
  card.hidden = rounds.length < 2;
  over.chart?.destroy();
  over.chart = null;
  for (const name of ["fan", "heat"]) $(name).setAttribute("aria-pressed", String(over.as === name));
  const all = sameTrack().length,
    part = rounds.length < all ? `${rounds.length} of ` : "";
  $("over-of").textContent = rounds.length ? part + plural(all, "round") : "";
  if (card.hidden) return;
  $("tools-over").querySelector(".save:last-child").hidden = over.as === "heat"; // no lines, no vectors
  fill($("over-rounds"));
  if (over.as === "fan") over.chart = fanChart($("over-rounds"), rounds);
  else heatMap($("over-rounds"), rounds);
  fill(
    $("over-key"),
    ...(over.as === "fan"
      ? [
          el("span", {}, nameOfRound(rounds[0].key)),
          ramp(fanColours(12)),
          el("span", {}, nameOfRound(rounds.at(-1).key)),
          el("span", { class: "quiet" }, "the selected round is the thick line"),
        ]
      : [
          el("span", {}, "FSC 0"),
          ramp(Array.from({ length: 24 }, (_, i) => heatColour(i / 23))),
          el("span", {}, "1"),
        ]),
  );
}

function showOverCurves() {
  const curves = curvesOf(state.detail),
    value = chosenCurve();
  fill(
    $("over-curve"),
    curves.map((c) => el("option", { value: c.name }, c.title)),
  );
  $("over-curve").value = value;
  if ($("over-curve").selectedIndex < 0) over.curve = "";
}

function ramp(colours) {
  const node = el("canvas", { width: 10 * colours.length, height: 10, class: "ramp", "aria-hidden": "true" });
  const c = node.getContext("2d");
  colours.forEach((one, i) => {
    c.fillStyle = one;
    c.fillRect(10 * i, 0, 10, 10);
  });
  return node;
}

function mixed(one, other, t) {
  const [a, b] = [hexadecimal(one), hexadecimal(other)];
  return `rgb(${a.map((v, i) => Math.round(255 * (v + t * (b[i] - v)))).join(",")})`;
}
function fanColours(n) {
  return Array.from({ length: n }, (_, i) => mixed(css("--oldest"), css("--newest"), n > 1 ? i / (n - 1) : 1));
}
// Evenly spread over the rounds; the first, the last and the selected one are always among them.
function someOf(rounds) {
  const step = Math.max(1, (rounds.length - 1) / (FAN_MOST - 1));
  const kept = new Set(Array.from({ length: Math.min(FAN_MOST, rounds.length) }, (_, i) => Math.round(i * step)));
  return rounds.filter((r, i) => kept.has(i) || r.key === state.key);
}

function frequenciesOf(round) {
  return Array.from({ length: round.shells }, (_, k) => k / (round.box_px * round.voxel_size_A));
}

function fanChart(node, all) {
  const rounds = someOf(all),
    colours = fanColours(rounds.length);
  const tables = rounds.map((r) => [frequenciesOf(r), r.values]);
  const same = rounds.every((r) => r.box_px === rounds[0].box_px && r.voxel_size_A === rounds[0].voxel_size_A);
  const data = same ? [tables[0][0], ...tables.map((t) => t[1])] : uPlot.join(tables);
  const series = rounds.map((r, i) => {
    const selected = r.key === state.key;
    return {
      label: nameOfRound(r.key),
      stroke: selected ? css("--accent") : colours[i],
      width: selected ? 2.6 : 1.2,
      spanGaps: true,
      points: { show: false },
    };
  });
  return new uPlot(
    {
      width: node.clientWidth,
      height: node.clientHeight,
      legend: { show: false },
      series: [{}, ...series],
      scales: {
        x: { time: false, range: (_, __, max) => [0, max] },
        y: { range: (_, low) => [Math.max(-0.3, Math.min(0, low)), 1.04] },
      },
      axes: fscAxes(),
      cursor: { y: false, drag: { x: true, y: false }, points: { show: false } },
      hooks: { draw: [(u) => levelLine(u)], setCursor: [(u) => fanReadout(node, u, rounds)] },
    },
    data,
    node,
  );
}

function levelLine(u) {
  const curve = state.log.curves[chosenCurve()],
    { left, width } = u.bbox;
  if (!curve) return;
  const y = inDevicePixels(u, curve.threshold, "y");
  line(u, left, y, left + width, y, css("--mark"), [4, 4]);
  label(u, shownLevel(curve.threshold), left + 4, y - 4, css("--mark"));
}

// The round whose line is nearest to the cursor, and the selected one.
function fanReadout(node, u, rounds) {
  const idx = u.cursor.idx;
  if (isNothing(idx) || u.cursor.left < 0) return readout(node, u, "", null);
  const y = u.posToVal(u.cursor.top, "y"),
    value = (i) => u.data[i + 1][idx];
  const known = rounds.map((_, i) => i).filter((i) => !isNothing(value(i)));
  if (!known.length) return readout(node, u, "", null);
  const nearest = known.reduce((a, b) => (Math.abs(value(b) - y) < Math.abs(value(a) - y) ? b : a));
  const shown = [...new Set([nearest, rounds.findIndex((r) => r.key === state.key)])].filter((i) => i >= 0);
  const swatchOf = (i) => lineSample(u.series[i + 1].stroke(), u.series[i + 1].width);
  readout(
    node,
    u,
    angstrom(1 / u.data[0][idx]),
    shown.map((i) => [swatchOf(i), nameOfRound(rounds[i].key), correlation(value(i))]),
  );
}

function beginOverRounds() {
  for (const name of ["fan", "heat"])
    $(name).addEventListener("click", () => {
      over.as = name;
      showOverRounds().catch(fault);
    });
  $("over-curve").addEventListener("change", (e) => {
    over.curve = e.target.value;
    showOverRounds().catch(fault);
  });
}
