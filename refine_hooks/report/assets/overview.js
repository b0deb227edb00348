// Several projects at a glance: what needs a person comes first.
const NEEDS = { failed: 0, stalled: 1, warned: 2, live: 3, stopped: 4, "not watched": 5 };
const OVERVIEW = ["Project", "program", "state", "last round", "when", "resolution", "trend", "rounds", "warnings"];

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
  const head = el(
    "tr",
    {},
    OVERVIEW.map((t) => el("th", { scope: "col" }, t)),
  );
  fill(
    $("overview-table"),
    el("caption", { class: "hidden" }, "Projects; what needs a person comes first"),
    el("thead", {}, head),
    el("tbody", {}, byNeed(logs).map(overviewRow)),
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
  const state_ = log.failed ? "failed" : log.state;
  return el(
    "tr",
    { "data-need": needOf(log) },
    el("th", { scope: "row" }, el("a", { href: addressOf(log.id) }, log.title), el("small", {}, log.where)),
    el("td", {}, log.program || "–"),
    el(
      "td",
      {},
      el("span", { class: "state", "data-state": state_ }, STATES[state_] || state_),
      log.failed && el("small", { class: "reason", title: log.failed }, log.failed),
    ),
    el("td", {}, log.last ? el("a", { href: addressOf(log.id, log.key) }, log.last) : "–"),
    el("td", { class: "when" }, log.at ? localTime(log.at) : "–"),
    el("td", { class: "number" }, number),
    el("td", {}, spark(log.trend)),
    el("td", { class: "n" }, String(log.rounds)),
    el("td", { class: "n" }, log.warnings ? el("span", { class: "warn" }, `⚠ ${log.warnings}`) : "0"),
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
