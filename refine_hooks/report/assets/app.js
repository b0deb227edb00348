// Opening a log, selecting a round, and putting everything on the page.
async function openLog(id) {
  state.log = await source.open(id);
  state.log.rows ||= [];
  state.seq = state.log.seq || 0;
  Object.assign(map, { volume: null, places: {} });
  Object.assign(state, { track: "", compare: "", key: null, overrides: {}, plots: {} });
  const wanted = () => allRounds().find((r) => r.key === linked().round);
  if (linked().round && !wanted()) await loadHistory(state.log);
  const first = wanted() || mostUseful(allRows()) || allRounds().at(-1);
  $("title").textContent = state.log.title;
  document.title = state.log.title + " – refine_hooks";
  $("where").textContent = state.log.provenance?.project || "";
  if (first && severalTracks(allRounds())) state.track = trackOf(first);
  showTracks();
  await select(first ? first.key : null);
  setTimeout(() => showHistory(state.log).catch(fault), 100);
}

async function showHistory(log) {
  if (!(await loadHistory(log)) || state.log !== log) return;
  showTracks();
  await select(state.key);
}

function showTracks() {
  const tracks = new Map();
  for (const row of allRounds()) {
    const track = trackOf(row);
    if (!tracks.has(track)) tracks.set(track, []);
    tracks.get(track).push(row);
  }
  $("track-pick").hidden = tracks.size < 2;
  const options = [...tracks].map(([track, rows]) => {
    return el("option", { value: track }, trackTitle(rows, state.log.curves));
  });
  fill($("track"), el("option", { value: "" }, "all runs and classes"), options);
  $("track").value = state.track;
}

// A round of whatever run and class.
function goTo(key) {
  const row = allRounds().find((r) => r.key === key);
  if (row && state.track) state.track = trackOf(row);
  showTracks();
  return select(key);
}

async function select(key) {
  state.key = key;
  state.rows = listed();
  const row = allRounds().find((r) => r.key === key) || null;
  const [detail, other] = await Promise.all([key && !row?.failed && source.detail(state.log, key), comparedDetail()]);
  if (state.key !== key) return; // another round was chosen meanwhile
  Object.assign(state, { detail: detail || null, other, row });
  if (key) history.replaceState(null, "", addressOf(state.log.id, key));
  const shown = detail ? curvesOf(detail) : [];
  if (!shown.some((c) => c.name === state.active && state.visible(c))) state.active = row?.headline || shown[0]?.name;
  showEverything();
}

function compareKey() {
  if (state.compare !== "previous") return state.compare;
  const i = state.rows.findIndex((r) => r.key === state.key);
  return (i > 0 && earlier(state.rows, i)?.key) || "";
}

async function comparedDetail() {
  const key = compareKey();
  if (!key || key === state.key) return null;
  const detail = await source.detail(state.log, key).catch(() => null);
  return detail && { ...detail, label: allRows().find((r) => r.key === key)?.label };
}

function hasCurves() {
  return Boolean(state.detail && state.detail.curves.length);
}
// A trend needs two rounds.
function hasTrend() {
  return state.rows.filter((r) => r.failed || Object.keys(r.res).length).length > 1;
}

function showEverything() {
  showList();
  showVerdict(state.detail, state.row, trackParts(allRounds()), state.best, activate, pick);
  showWatch();
  showCompare();
  showResolution();
  $("fsc").closest(".card").hidden = !hasCurves();
  $("provenance").closest(".card").hidden = !state.detail;
  $("findings").closest(".card").hidden = !state.row;
  later(showBelow);
  showAnalysis(state.detail);
  showHelp(state.detail);
  showLocal(state.detail);
  showSave(state.detail);
  if (hasCurves()) showFsc();
  showFindings(state.detail?.shown.findings);
  if (!state.detail) return;
  showProvenance(state.detail, state.row, state.log);
}

// What stands at the top of a printed page.
function showPrinted() {
  const { title, log, provenance } = state.log;
  const parts = [
    title,
    provenance?.project || log,
    plural(allRows().length, "round"),
    localTime(new Date().toISOString()),
  ];
  fill($("printed"), el("strong", {}, title), ` · ${parts.filter(Boolean).join(" · ")}`);
}

// Once the verdict and the curves stand: what concerns all rounds, and the map.
function showBelow() {
  const { row, detail } = state,
    several = Boolean(row) && !row.failed && sameTrack().length > 1;
  const cards = [
    ["over-rounds", several && hasCurves(), showOverRounds],
    ["trends", several, showSmallTrends],
    ["pictures-card", Boolean(detail?.volume || detail?.pictures?.length), () => showMap(detail)],
  ];
  for (const [id, known, task] of cards) {
    const card = $(id).closest(".card");
    card.hidden = !known;
    if (known) whenSeen(card, task);
    else unseen.delete(card);
  }
}

function showList() {
  const named = trackParts(allRounds());
  showAlarm(newestFailure(), named, state.key, pick);
  state.best = bestOf(comparedForBest(), state.log.curves);
  showRounds(state.rows, { key: state.key, best: state.best }, state.track ? {} : named, select);
  showLogFindings(allRounds(), state.log.rules || {}, named, pick);
  showFaults(state.log.failures || [], new Set(allRows().map((r) => r.key)), state.log.faults || []);
}

function pick(key) {
  goTo(key).catch(fault);
}

function activate(curve) {
  state.active = curve.name;
  state.overrides[curve.name] = true;
  showFsc();
}

function showFsc() {
  const conical = state.detail.analysis?.conical_lowest && state.detail.analysis.mask;
  $("directions").hidden = !conical || curvesOf(state.detail).find((c) => c.name === state.active)?.mask !== conical;
  const { detail, other } = state,
    place = state.row.label;
  showCurves(
    detail,
    state,
    (c, on) => {
      state.overrides[c.name] = on;
      showFsc();
    },
    activate,
  );
  charts.fsc?.destroy();
  charts.fsc = fscChart($("fsc"), detail, other, state, (u) => readFsc(u, detail, place));
  showHere(detail, null, place);
  showKey(detail, state, other);
  if ($("values").open) showValues(detail, state);
}

function readFsc(u, detail, place) {
  const idx = u.cursor.idx,
    known = idx !== null && idx !== undefined && u.cursor.left >= 0;
  const at = known ? Math.round(u.data[0][idx] * detail.box_px * detail.voxel_size_A) : detail.shown.shells;
  const shell = at < detail.shown.shells ? at : null,
    title = showHere(detail, shell, place);
  const shown = curvesOf(detail).filter(state.visible);
  const lines_ = shell === null ? null : shown.map((c) => [swatch(c), c.title, correlation(c.values[shell])]);
  readout($("fsc"), u, title, lines_);
}

function showResolution() {
  const curves = state.log.curves;
  charts.resolution?.destroy();
  charts.resolution = null;
  $("resolution").closest(".card").hidden = !hasTrend();
  if (!hasTrend()) return;
  charts.resolution = resolutionChart($("resolution"), state.rows, curves, state, select);
  const known = Object.values(curves).filter((c) => state.rows.some((row) => row.res[c.name]));
  const flip = (c) => () => {
    state.plots[c.name] = !state.plotted(c.name);
    showResolution();
  };
  fill(
    $("resolution-legend"),
    known.map((c) =>
      el(
        "button",
        { type: "button", "data-plot": c.name, "aria-pressed": String(state.plotted(c.name)), onclick: flip(c) },
        swatch(c),
        c.title,
      ),
    ),
  );
}

function showCompare() {
  const near = state.rows
    .filter((r) => r.key !== state.key && !r.failed)
    .slice(-200)
    .reverse();
  fill(
    $("compare"),
    el("option", { value: "" }, "no other round"),
    el("option", { value: "previous" }, "the round before"),
    near.map((r) => el("option", { value: r.key }, r.label)),
  );
  $("compare").value = state.compare;
  if ($("compare").selectedIndex < 0) $("compare").value = state.compare = "";
}

function compareWith(value) {
  state.compare = value;
  return select(state.key);
}

function resized() {
  for (const [name, u] of Object.entries(charts)) {
    if (u && $(name).clientWidth) u.setSize({ width: $(name).clientWidth, height: $(name).clientHeight });
  }
  for (const u of [over.chart, ...smallCharts]) {
    const node = u?.root.parentElement;
    if (node?.clientWidth) u.setSize({ width: node.clientWidth, height: node.clientHeight });
  }
}

async function showLogs() {
  state.logs = await source.logs();
  $("log-pick").hidden = $("all-logs").hidden = state.logs.length < 2;
  fill(
    $("log"),
    state.logs.map((l) => el("option", { value: l.id }, l.title)),
  );
  if (state.log) $("log").value = state.log.id;
}

function fault(error) {
  console.error(error);
  $("toast").hidden = false;
  fill($("toast"), String(error.message || error));
}

function chooseTrack(value) {
  state.track = value;
  const rows = listed(),
    useful = mostUseful(rows.filter((r) => !r.failed)) || rows.at(-1);
  return select((rows.find((r) => r.key === state.key) || useful)?.key);
}

async function begin() {
  applyTheme(theme());
  preferred.addEventListener("change", () => {
    if (!stored("theme")) applyTheme(theme());
  });
  $("theme").addEventListener("click", switchTheme);
  $("scale").addEventListener("click", switchScale);
  $("directions").addEventListener("click", switchDirections);
  $("compare").addEventListener("change", (e) => compareWith(e.target.value).catch(fault));
  $("track").addEventListener("change", (e) => chooseTrack(e.target.value).catch(fault));
  $("over").addEventListener("change", (e) => {
    state.over = e.target.value;
    showResolution();
  });
  $("log").addEventListener("change", (e) => {
    location.hash = addressOf(e.target.value);
  });
  addEventListener("hashchange", () => follow().catch(fault));
  $("values").addEventListener("toggle", () => {
    if ($("values").open && hasCurves()) showValues(state.detail, state);
  });
  addEventListener("keydown", onKey);
  addEventListener("beforeprint", () => {
    if (state.log) showPrinted();
    drawAllUnseen();
    resized();
  });
  new ResizeObserver(resized).observe($("fsc"));
  new ResizeObserver(resized).observe($("resolution"));
  beginMap();
  beginOverRounds();
  beginSave();
  await showLogs();
  if (state.logs.length) await follow();
  else fill($("verdict"), el("h1", {}, "There is no log yet."));
  if (live) listen();
  document.documentElement.dataset.ready = "true";
}

begin().catch(fault);
