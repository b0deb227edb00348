// Keyboard, light and dark, logarithmic axis.
function step(by) {
  const i = state.rows.findIndex((r) => r.key === state.key),
    to = Math.min(state.rows.length - 1, Math.max(0, i + by));
  if (state.rows[to] && to !== i) select(state.rows[to].key);
}

function readAlong(by) {
  const u = charts.fsc;
  if (!u || !state.detail) return;
  const idx = Math.min(state.detail.shown.shells - 1, Math.max(0, (u.cursor.idx ?? 0) + by));
  u.setCursor({ left: u.valToPos(u.data[0][idx], "x"), top: 10 });
}

function onArrow(event, by) {
  if (event.shiftKey && document.activeElement === $("fsc")) return (readAlong(by), true);
  const upDown = /Up|Down/.test(event.key) && document.activeElement !== $("rounds");
  if (event.shiftKey || upDown) return false;
  return (step(by), true);
}

function onKey(event) {
  const elsewhere = /^(SELECT|TEXTAREA|INPUT)$/.test(event.target.tagName);
  if (!state.log || event.ctrlKey || event.metaKey || event.altKey || elsewhere) return;
  const arrows = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1 };
  const others = {
    Home: () => step(-Infinity),
    End: () => step(Infinity),
    c: () => compareWith(state.compare ? "" : "previous"),
    l: switchScale,
    d: switchTheme,
  };
  if (event.key in arrows) {
    if (!onArrow(event, arrows[event.key])) return;
  } else if (event.key in others) others[event.key]();
  else return;
  event.preventDefault();
}

function switchScale() {
  state.logarithmic = !state.logarithmic;
  $("scale").setAttribute("aria-pressed", String(state.logarithmic));
  if (hasCurves()) showFsc();
}

function switchDirections() {
  state.directions = !state.directions;
  $("directions").setAttribute("aria-pressed", String(state.directions));
  showFsc();
}

const preferred = matchMedia("(prefers-color-scheme: dark)");
function theme() {
  return stored("theme") || (preferred.matches ? "dark" : "light");
}
function applyTheme(name) {
  document.documentElement.dataset.theme = name;
  ofStyle.clear();
  if (hasCurves()) showFsc();
  if (!state.log) return;
  showResolution();
  if (map.volume) showSurfaces();
  showBelow();
  showAnalysis(state.detail);
}
function switchTheme() {
  const other = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  stored("theme", other);
  applyTheme(other);
}
