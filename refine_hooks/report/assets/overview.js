// Several projects at a glance: what needs a person comes first.
const NEEDS = { failed: 0, stalled: 1, warned: 2, live: 3, stopped: 4, "not watched": 5 };
// Columns, each with what it is sorted by; what a look is for comes first.
const OVERVIEW = {
  Project: (log) => log.title.toLowerCase(),
  program: (log) => (log.program || "").toLowerCase(),
  state: (log) => NEEDS[needOf(log)],
  "last round": (log) => log.last || "",
  when: (log) => -(Date.parse(log.at || 0) || 0),
  resolution: (log) => log.resolution?.A ?? Infinity,
  trend: null,
  rounds: (log) => -log.rounds,
  warnings: (log) => -log.warnings,
};
const picked = { state: "", text: "", by: "", back: false };

function stateOf(log) {
  return log.failed ? "failed" : log.state;
}

function needsAPerson(log) {
  return NEEDS[needOf(log)] <= NEEDS.warned;
}

function isPicked(log) {
  const words = [log.title, log.where, log.program].join(" ").toLowerCase();
  const state_ = !picked.state || (picked.state === "needs" ? needsAPerson(log) : stateOf(log) === picked.state);
  return state_ && words.includes(picked.text.toLowerCase());
}

function inOrder(logs) {
  const key = OVERVIEW[picked.by],
    sorted = byNeed(logs);
  if (!key) return sorted;
  const sign = picked.back ? -1 : 1;
  return sorted.sort((a, b) => sign * (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}

function pickState(name) {
  picked.state = picked.state === name ? "" : name;
  showOverview(state.logs);
}

function sortBy(name) {
  picked.back = picked.by === name && !picked.back;
  picked.by = name;
  showOverview(state.logs);
}

// How many projects are in each state; a press shows those alone.
function stateChips(logs) {
  const count = (of) => logs.filter(of).length;
  const chips = [["", `all ${logs.length}`, true]];
  chips.push(["needs", `need a person ${count(needsAPerson)}`, count(needsAPerson)]);
  for (const name of Object.keys(NEEDS).filter((one) => one !== "warned")) {
    const n = count((log) => stateOf(log) === name);
    chips.push([name, `${STATES[name] || name} ${n}`, n || picked.state === name]);
  }
  return chips
    .filter((chip) => chip[2])
    .map(([name, text]) =>
      el(
        "button",
        { type: "button", "aria-pressed": String(picked.state === name), onclick: () => pickState(name) },
        text,
      ),
    );
}

function overviewHead(name) {
  const sorted = picked.by === name && (picked.back ? "descending" : "ascending");
  const mark = sorted ? (picked.back ? " ▼" : " ▲") : "";
  const inside = OVERVIEW[name] ? el("button", { type: "button", onclick: () => sortBy(name) }, name + mark) : name;
  return el("th", { scope: "col", "aria-sort": sorted }, inside);
}

function needOf(log) {
  if (log.failed) return "failed";
  if (log.state === "stalled") return "stalled";
  return log.warnings ? "warned" : log.state;
}

function byNeed(logs) {
  const newest = (log) => Date.parse(log.at || 0) || 0;
  return [...logs].sort((a, b) => NEEDS[needOf(a)] - NEEDS[needOf(b)] || newest(b) - newest(a));
}

function showOverview(logs) {
  $("overview").hidden = false;
  $("one-log").hidden = true;
  $("title").textContent = "Projects";
  $("log-pick").hidden = $("all-logs").hidden = true;
  $("where").textContent = plural(logs.length, "project");
  document.title = "Projects – refine_hooks";
  const head = el("tr", {}, Object.keys(OVERVIEW).map(overviewHead)),
    shown = inOrder(logs.filter(isPicked));
  fill($("overview-states"), stateChips(logs));
  $("overview-text").oninput = (event) => {
    picked.text = event.target.value;
    showOverview(state.logs);
  };
  $("overview-none").hidden = shown.length > 0;
  fill(
    $("overview-table"),
    el("caption", { class: "hidden" }, "Projects; what needs a person comes first"),
    el("thead", {}, head),
    el("tbody", {}, shown.map(overviewRow)),
  );
}

function overviewRow(log) {
  const r = log.resolution,
    range = r?.interval && `${r.interval[0].toFixed(2)}–${r.interval[1].toFixed(2)}`;
  const number = r
    ? [
        el(r.program ? "i" : "b", {}, angstrom(r.A)),
        range && el("small", {}, ` ${range} `),
        el(
          "small",
          {},
          [r.of !== log.last && ` ${r.of}`, r.program && `program, FSC ${r.level}`].filter(Boolean).join(", "),
        ),
      ]
    : "–";
  const state_ = stateOf(log);
  return el(
    "tr",
    { "data-need": needOf(log) },
    el("th", { scope: "row" }, el("a", { href: addressOf(log.id) }, log.title), el("small", {}, log.where)),
    el("td", { class: "program" }, log.program || "–"),
    el(
      "td",
      { class: "standing" },
      el("span", { class: "state", "data-state": state_ }, STATES[state_] || state_),
      log.failed && el("small", { class: "reason", title: log.failed }, log.failed),
    ),
    el("td", { class: "last" }, log.last ? el("a", { href: addressOf(log.id, log.key) }, log.last) : "–"),
    el("td", { class: "when" }, log.at ? localTime(log.at) : "–"),
    el("td", { class: "number" }, number),
    el("td", { class: "trend" }, spark(log.trend)),
    el("td", { class: "n rounds" }, String(log.rounds)),
    el("td", { class: "n warnings" }, log.warnings ? el("span", { class: "warn" }, `⚠ ${log.warnings}`) : "0"),
  );
}

const STATES = { live: "running", stopped: "stopped", stalled: "stalled", failed: "newest round failed" };

// Resolutions as a small line, better upwards.
function spark(values) {
  if (values.length < 2) return "";
  const svg = svgNode("svg", {
    viewBox: "0 0 100 26",
    class: "spark",
    role: "img",
    "aria-label": `resolution of the last rounds: ${values.map((v) => v.toFixed(2)).join(", ")} Å`,
  });
  const [low, high] = [Math.min(...values.map((v) => 1 / v)), Math.max(...values.map((v) => 1 / v))];
  const place = (v, i) => [3 + (94 * i) / (values.length - 1), 23 - 20 * ((1 / v - low) / (high - low || 1))];
  svg.append(svgNode("polyline", { points: values.map((v, i) => place(v, i).join(",")).join(" "), fill: "none" }));
  const [x, y] = place(values.at(-1), values.length - 1);
  svg.append(svgNode("circle", { cx: x, cy: y, r: 2.4 }));
  return svg;
}
