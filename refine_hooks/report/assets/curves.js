// What a curve is, and how it is drawn: its colour says which mask, its line what was done to it.
const WIDTH = { corrected: 2.6, measured: 1.3, scaled: 1.8, randomised: 1.2 };
const DASH = { scaled: [7, 4], randomised: [1, 3] };
const users = [],
  ofProgram = [];

function isOfProgram(curve) {
  return curve.kind === "reported" || curve.kind === "randomised";
}
function isScaled(curve) {
  return curve.kind === "scaled" || curve.made === "scaled";
}

function placeIn(list, name, most) {
  if (!list.includes(name)) list.push(name);
  return list.indexOf(name) % most;
}

function colour(curve) {
  if (isOfProgram(curve)) return css("--reported" + placeIn(ofProgram, curve.name, 4));
  if (curve.mask === null) return css("--unmasked");
  if (["sphere", "automask", "refinement"].includes(curve.role)) return css("--" + curve.role);
  return css("--user" + placeIn(users, curve.mask, 3));
}

// The kind of line: of the program's own curves by what it made, of ours by what was done here.
function lineKind(curve) {
  if (isScaled(curve)) return "scaled";
  if (curve.kind === "randomised" || curve.made === "randomised") return "randomised";
  return curve.kind === "corrected" || curve.made === "corrected" ? "corrected" : "measured";
}

function width(curve) {
  return WIDTH[lineKind(curve)];
}
function dash(curve) {
  return DASH[lineKind(curve)] || (isOfProgram(curve) ? [3, 3] : undefined);
}

// A line as it is drawn in the plot, for tables and legends.
function swatch(curve) {
  return lineSample(colour(curve), width(curve), dash(curve));
}

function lineSample(stroke, width_, dash_) {
  const line_ = {
    x1: 0,
    x2: 26,
    y1: 4,
    y2: 4,
    stroke,
    "stroke-width": width_,
    "stroke-dasharray": (dash_ || []).join(" "),
  };
  return svgNode("svg", { viewBox: "0 0 26 8", class: "swatch", "aria-hidden": "true" }, svgNode("line", line_));
}

function shownLevel(level) {
  return "FSC = " + Number(level.toPrecision(3));
}
function levelsOf(curves) {
  return [...new Set(curves.map((c) => c.threshold))].sort((a, b) => a - b);
}
function crossingsAt(curve) {
  return curve.crossings.filter((x) => Math.abs(x.level - curve.threshold) < 1e-6);
}

// A round's curves with what the page calls them.
function curvesOf(detail) {
  detail.all ||= detail.curves.map((curve, i) => ({ ...curve, ...detail.shown.curves[i] }));
  return detail.all;
}
