// The table below the plot: the curves of a round with their numbers, and the values under the cursor.
function showCurves(detail, state, onVisible, onActive) {
  const curves = curvesOf(detail),
    warned = detail.shown.findings.filter((f) => f.severity === "warning");
  const suspicious = new Set(warned.map((f) => f.curve)),
    levels = levelsOf(curves);
  const number = levels.length === 1 ? `resolution at ${shownLevel(levels[0])}` : "resolution";
  const titles = ["Curve", number, "90 % CI", "crossings", "FSC at cursor", "phase-randomised FSC at cursor"];
  const isActive = (curve) => String(curve.name === state.active);
  const body = curves.map((curve) =>
    el(
      "tr",
      { "data-curve": curve.name, "data-active": isActive(curve) },
      el(
        "td",
        {},
        el("input", {
          type: "checkbox",
          checked: state.visible(curve),
          "aria-label": "Show " + curve.title,
          onchange: (e) => onVisible(curve, e.target.checked),
        }),
        swatch(curve),
        el(
          "button",
          {
            type: "button",
            title: "Show this curve's phase-randomised FSC and crossings",
            "aria-pressed": isActive(curve),
            onclick: () => onActive(curve),
          },
          curve.title,
        ),
        suspicious.has(curve.name) &&
          el("span", { class: "suspicious", title: "a warning is about this curve" }, " ⚠"),
      ),
      el("td", { class: "n" }, curve.resolution_A ? angstrom(curve.resolution_A) + levelOf(curve, levels) : "–"),
      el("td", { class: "n" }, interval(curve.interval_A)),
      crossingsCell(curve),
      el("td", { class: "n", "data-here": curve.name }),
      el("td", { class: "n", "data-randomised": curve.name }),
    ),
  );
  const head = titles.map((t, i) => el("th", { scope: "col", class: i ? "n" : "" }, t));
  fill(
    $("curves"),
    el("caption", { class: "hidden" }, "Curves of the selected round"),
    el("thead", {}, el("tr", {}, head)),
    el("tbody", {}, body),
  );
}

// A number that the program states need not be a crossing of the curve that it wrote.
function crossingsCell(curve) {
  const n = crossingsAt(curve).length,
    stated = isOfProgram(curve) && !n && curve.resolution_A;
  const title = stated ? "the program states this number; its curve does not cross the level" : null;
  return el("td", { class: "n", title }, stated ? "stated" : String(n));
}

function levelOf(curve, levels) {
  return levels.length > 1 ? ` at ${Number(curve.threshold.toPrecision(3))}` : "";
}

// Values under the cursor, into the cells that showCurves left for them.
function showHere(detail, shell, place) {
  const f = frequencies(detail);
  const where = shell ? `${angstrom(1 / f[shell])} · ${f[shell].toFixed(4)} Å⁻¹` : "whole box";
  const title = shell === null ? place : `shell ${shell} · ${where}`;
  $("fsc-of").textContent = title;
  for (const curve of curvesOf(detail)) {
    curve.values ||= unpacked(curve.correlation);
    curve.mean ||= unpacked(curve.randomised_mean) || [];
    curve.spread ||= unpacked(curve.randomised_sd) || [];
    const at = (list) => (shell === null ? "" : correlation(list[shell]));
    const cell = (what) => document.querySelector(`[data-${what}="${CSS.escape(curve.name)}"]`);
    const [here, randomised] = [cell("here"), cell("randomised")];
    if (here) here.textContent = at(curve.values);
    const none = shell === null || !curve.mean.length;
    if (randomised) randomised.textContent = none ? "" : `${at(curve.mean)} ± ${at(curve.spread)}`;
  }
  return title;
}

function showKey(detail, state, other) {
  const active = curvesOf(detail).find((c) => c.name === state.active);
  if (!active) {
    $("fsc-key").textContent = "";
    return;
  }
  const measured = active.randomised_mean && active.randomised_sd;
  const band = !measured
    ? "No phase-randomised FSC was measured for it"
    : active.kind === "scaled"
      ? "The shaded band is its own noise (± 3 sd)"
      : "The dotted line is its phase-randomised FSC, the shaded band mean ± 3 sd";
  const strip = active.interval_A ? "; the shaded strip is the 90 % interval of the resolution" : "";
  $("fsc-key").textContent =
    `Selected: ${active.title}. ${band}${strip}. ` +
    "Dots are crossings downwards, rings upwards." +
    (state.directions && detail.analysis?.mask === active.mask
      ? " The violet band runs from the worst to the best direction."
      : "") +
    (averagesSeries(detail, active, false).length
      ? " Dash-dotted: this round's average with the last round's."
      : "") +
    (other ? ` Dotted and pale: ${other.label}.` : "") +
    (active.note ? ` ${active.note}` : "");
}

function showValues(detail, state) {
  const curves = curvesOf(detail).filter((c) => state.visible(c)),
    f = frequencies(detail);
  const columns = curves.map((c) => unpacked(c.correlation));
  const head = ["shell", "Å", ...curves.map((c) => c.title)].map((t) => el("th", { scope: "col", class: "n" }, t));
  const rows = f.map((v, k) =>
    el(
      "tr",
      {},
      el("th", { scope: "row", class: "n" }, String(k)),
      el("td", { class: "n" }, v ? (1 / v).toFixed(2) : "∞"),
      columns.map((c) => el("td", { class: "n" }, correlation(c[k]))),
    ),
  );
  fill($("values-table"), el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)));
}
