// State, selection, keyboard, theme; and where the data come from: the page itself, or the server that sent it.
const embedded = JSON.parse($("data").textContent), live = embedded.mode === "live";
const state = { logs: [], log: null, rows: [], track: "", key: null, compare: "", logarithmic: false, overrides: {}, plots: {}, active: null, detail: null, other: null, seq: 0,
  visible: (c) => state.overrides[c.name] ?? c.shown,
  plotted: (name) => state.plots[name] ?? plottedAtFirst(name),
  headline: () => { const r = [...state.rows].reverse().find((x) => x.headline); return r && r.headline; } };
const charts = {};

function plottedAtFirst(name) {
  const base = name.replace(/_(corrected|scaled)$/, ""), all = state.log.curves;
  if (name === "unmasked" || all[name].family === "reported") return false;
  return name !== base || !(base + "_corrected" in all);
}

const source = live ? {
  async logs() { return (await got("api/logs")).logs; },
  async open(id) { const log = await got(`api/log/${id}?after=0`); return { ...log, details: {} }; },
  async detail(log, key) { return (log.details[key] ||= await got(`api/log/${log.id}/round?key=${encodeURIComponent(key)}`)); },
} : {
  async logs() { return embedded.logs; },
  async open(id) { return embedded.logs.find((l) => l.id === id); },
  async detail(log, key) { return log.details[key] || null; },
};

async function got(url) {
  const answer = await fetch(url, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

function allRows() { return state.log ? state.log.rows : []; }
function trackOf(row) { return row.run + "\n" + row.class; }

function tracked() {
  if (!state.track) return allRows();
  return allRows().filter((r) => trackOf(r) === state.track).sort((a, b) => a.iteration - b.iteration);
}

async function openLog(id) {
  state.log = await source.open(id);
  state.log.rows ||= [];
  state.seq = state.log.seq || 0;
  Object.assign(state, { track: "", compare: "", key: null, overrides: {}, plots: {} });
  const newest = allRows().find((r) => r.key === linkedTo()) || allRows().at(-1);
  $("title").textContent = state.log.title; document.title = state.log.title + " – refine_hooks";
  $("where").textContent = state.log.provenance?.project || "";
  showTracks();
  await select(newest ? newest.key : null);
}

// The address may name a round, so that one round can be pointed out to a colleague.
function linkedTo() { const m = /^#round=(.+)$/.exec(location.hash); try { return m && decodeURIComponent(m[1]); } catch { return null; } }

function showTracks() {
  const tracks = [...new Set(allRows().map(trackOf))];
  $("track-pick").hidden = tracks.length < 2;
  fill($("track"), el("option", { value: "" }, "all"), tracks.map((t) => { const [run, k] = t.split("\n"); return el("option", { value: t }, `${run}, class ${k}`); }));
  $("track").value = state.track;
}

async function select(key) {
  state.key = key;
  state.rows = tracked();
  const row = allRows().find((r) => r.key === key) || null;
  const [detail, other] = await Promise.all([key && source.detail(state.log, key), comparedDetail()]);
  if (state.key !== key) return;  // another round was chosen meanwhile
  Object.assign(state, { detail, other, row });
  if (key) history.replaceState(null, "", "#round=" + encodeURIComponent(key));
  if (detail && !detail.curves.some((c) => c.name === state.active && state.visible(c))) state.active = row.headline || detail.curves[0]?.name;
  showEverything();
}

function compareKey() {
  if (state.compare !== "previous") return state.compare;
  const i = state.rows.findIndex((r) => r.key === state.key), before = i > 0 ? earlier(state.rows, i) || state.rows[i - 1] : null;
  return before ? before.key : "";
}

async function comparedDetail() {
  const key = compareKey();
  if (!key || key === state.key) return null;
  const detail = await source.detail(state.log, key).catch(() => null);
  return detail && { ...detail, label: allRows().find((r) => r.key === key)?.label };
}

function showEverything() {
  showVerdict(state.detail, state.row, activate);
  showRounds(state.rows, state, select);
  showFailures(state.log.failures || [], state.log.faults || []);
  showWatch();
  showCompare();
  showResolution();
  for (const card of ["fsc", "findings", "provenance"]) $(card).closest(".card").hidden = !state.detail;
  showPictures(state.detail?.pictures);
  if (!state.detail) return;
  showFsc();
  showFindings(state.detail.findings);
  showProvenance(state.detail, state.row, state.log);
}

function activate(curve) { state.active = curve.name; state.overrides[curve.name] = true; showFsc(); }

function showFsc() {
  const { detail, other } = state, place = state.row.label;
  showCurves(detail, state, (c, on) => { state.overrides[c.name] = on; showFsc(); }, activate);
  charts.fsc?.destroy();
  charts.fsc = fscChart($("fsc"), detail, other, state, (u) => {
    const idx = u.cursor.idx, at = idx === null || idx === undefined ? null : Math.round(u.data[0][idx] * detail.box_px * detail.voxel_size_A);
    const shell = at !== null && at < detail.shells && u.cursor.left >= 0 ? at : null, title = showHere(detail, shell, place);
    readout($("fsc"), u, title, shell === null ? null : detail.curves.filter(state.visible).map((c) => [c, correlation(c.values[shell])]));
  });
  showHere(detail, null, place);
  showKey(detail, state, other);
  if ($("values").open) showValues(detail, state);
}

function showResolution() {
  const curves = state.log.curves;
  charts.resolution?.destroy();
  charts.resolution = state.rows.length ? resolutionChart($("resolution"), state.rows, curves, state, select) : null;
  fill($("resolution-legend"), Object.entries(curves).map(([name, c]) => el("button", { type: "button", "data-plot": name, "aria-pressed": String(state.plotted(name)), onclick: () => { state.plots[name] = !state.plotted(name); showResolution(); } },
    el("span", { class: "swatch", "data-kind": c.kind, color: colour({ name, ...c }) }), c.title)));
}

function showCompare() {
  const near = state.rows.filter((r) => r.key !== state.key).slice(-200).reverse();
  fill($("compare"), el("option", { value: "" }, "no other round"), el("option", { value: "previous" }, "the round before"), near.map((r) => el("option", { value: r.key }, r.label)));
  $("compare").value = state.compare;
  if ($("compare").selectedIndex < 0) $("compare").value = state.compare = "";
}

function compareWith(value) { state.compare = value; return select(state.key); }

function step(by) {
  const i = state.rows.findIndex((r) => r.key === state.key), to = Math.min(state.rows.length - 1, Math.max(0, i + by));
  if (state.rows[to] && to !== i) select(state.rows[to].key);
}

function readAlong(by) {
  const u = charts.fsc, n = state.detail.shells;
  if (!u) return;
  const idx = Math.min(n - 1, Math.max(0, (u.cursor.idx ?? 0) + by));
  u.setCursor({ left: u.valToPos(u.data[0][idx], "x"), top: 10 });
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const arrows = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1 };
  if (event.key in arrows) {
    if (event.shiftKey && document.activeElement === $("fsc")) readAlong(arrows[event.key]);
    else if (event.shiftKey || (/Up|Down/.test(event.key) && document.activeElement !== $("rounds"))) return;
    else step(arrows[event.key]);
  } else if (event.key === "Home") step(-Infinity);
  else if (event.key === "End") step(Infinity);
  else if (event.key === "c") compareWith(state.compare ? "" : "previous");
  else if (event.key === "l") switchScale();
  else if (event.key === "d") switchTheme();
  else return;
  event.preventDefault();
}

function switchScale() {
  state.logarithmic = !state.logarithmic;
  $("scale").setAttribute("aria-pressed", String(state.logarithmic));
  if (state.detail) showFsc();
}

const preferred = matchMedia("(prefers-color-scheme: dark)");
function theme() { return stored("theme") || (preferred.matches ? "dark" : "light"); }
function applyTheme(name) { document.documentElement.dataset.theme = name; if (state.detail) { showFsc(); showResolution(); } }
function switchTheme() { const other = document.documentElement.dataset.theme === "dark" ? "light" : "dark"; stored("theme", other); applyTheme(other); }

function resized() {
  for (const [name, u] of Object.entries(charts)) if (u && $(name).clientWidth) u.setSize({ width: $(name).clientWidth, height: $(name).clientHeight });
}

// New rounds: the reader who looks at the newest one is taken along, any other is only told.
async function arrived(id) {
  if (!state.log || state.log.id !== id) return;
  const news = await got(`api/log/${id}?after=${state.seq}`);
  if (!state.log || state.log.id !== id) return;
  const following = !state.key || allRows().at(-1)?.key === state.key, known = new Map(allRows().map((r) => [r.key, r]));
  const fresh = news.rows.filter((r) => !known.has(r.key)), remeasured = news.rows.filter((r) => known.has(r.key) && known.get(r.key).at !== r.at);
  const byKey = news.restarted ? new Map() : known;
  for (const row of news.rows) byKey.set(row.key, row);
  for (const row of remeasured) delete state.log.details[row.key];
  Object.assign(state.log, news, { rows: [...byKey.values()], details: news.restarted ? {} : state.log.details });
  state.seq = news.seq;
  showWatch();
  if (!fresh.length && !news.restarted && !remeasured.length) { state.rows = tracked(); showRounds(state.rows, state, select); showFailures(state.log.failures, state.log.faults); return; }
  showTracks();
  const newest = allRows().at(-1);
  if (fresh.length && !following) toast(`${newest.label} has been measured.`, newest.key);
  await select(newest && (following || !byKey.has(state.key)) ? newest.key : state.key);
}

function toast(text, key) {
  const node = $("toast");
  fill(node, text, el("button", { type: "button", onclick: () => { node.hidden = true; state.track = ""; showTracks(); select(key); } }, "Show it"));
  node.hidden = false;
}

function listen() {
  const node = $("live"), stream = new EventSource("api/events");
  node.hidden = false;
  const say = (words, lost) => { node.textContent = words; node.dataset.state = lost ? "lost" : "open"; };
  stream.onopen = () => { say("connected"); showWatch(); if (state.log) arrived(state.log.id).catch(fault); };
  stream.onerror = () => say("connection lost; trying again", true);
  stream.addEventListener("log", (event) => arrived(JSON.parse(event.data).id).catch(fault));
  stream.addEventListener("logs", () => showLogs().then(() => state.log || !state.logs.length ? null : openLog(state.logs[0].id)).catch(fault));
}

// Live is what a watch is that was heard of just now, not what a connection is.
function showWatch() {
  const node = $("live"), words = { live: "live", stopped: "stopped: no watch is running", stalled: "stalled: the watch was not heard of lately", "not watched": "not watched" };
  if (!live || !state.log || node.dataset.state === "lost") return;
  node.textContent = words[state.log.watch] || "connected";
  node.dataset.watch = state.log.watch || "";
}

async function showLogs() {
  state.logs = await source.logs();
  $("log-pick").hidden = state.logs.length < 2;
  fill($("log"), state.logs.map((l) => el("option", { value: l.id }, l.title)));
  if (state.log) $("log").value = state.log.id;
}

function fault(error) { console.error(error); $("toast").hidden = false; fill($("toast"), String(error.message || error)); }

async function begin() {
  applyTheme(theme());
  preferred.addEventListener("change", () => { if (!stored("theme")) applyTheme(theme()); });
  $("theme").addEventListener("click", switchTheme);
  $("scale").addEventListener("click", switchScale);
  $("compare").addEventListener("change", (e) => compareWith(e.target.value).catch(fault));
  $("track").addEventListener("change", (e) => { state.track = e.target.value; const rows = tracked(); select((rows.find((r) => r.key === state.key) || rows.at(-1))?.key).catch(fault); });
  $("log").addEventListener("change", (e) => openLog(e.target.value).catch(fault));
  $("values").addEventListener("toggle", () => { if ($("values").open && state.detail) showValues(state.detail, state); });
  document.addEventListener("keydown", onKey);
  new ResizeObserver(resized).observe($("fsc"));
  await showLogs();
  if (state.logs.length) await openLog(state.logs[0].id); else fill($("verdict"), el("h1", {}, "No log is here yet."));
  if (live) listen();
  document.documentElement.dataset.ready = "true";
}

begin().catch(fault);
