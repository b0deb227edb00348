// The three answers that a reader wants first: is it better, which FSC curve is suspicious, why and what to do.
const MARKS = {
  better: "▲",
  worse: "▼",
  same: "=",
  changed: "≠",
  first: "●",
  reported: "●",
  doubtful: "⚠",
  unknown: "–",
};
const TONES = {
  better: "better",
  worse: "worse",
  same: "unchanged within error",
  changed: "not comparable",
  first: "first round",
  reported: "reported by the program",
  doubtful: "doubtful",
  unknown: "no resolution",
};

function showVerdict(detail, row, named, best, onCurve, onPick) {
  const place = row ? el("h2", {}, placeWords(row, named)) : null;
  if (row && row.failed) return fill($("verdict"), failedVerdict(row, place));
  if (!detail) return fill($("verdict"), rowVerdict(row, place));
  const v = detail.shown.verdict,
    curve = curvesOf(detail).find((c) => c.name === v.suspicious);
  fill(
    $("verdict"),
    el(
      "div",
      { class: "answer" },
      place,
      answer(v.tone, v.headline),
      el("p", {}, v.basis),
      bestWords(row, best, named, onPick),
    ),
    quotable(detail.shown.quote),
    el(
      "div",
      { class: "answer" },
      el("h2", {}, "What is suspicious?"),
      suspicion(v, detail),
      el("p", {}, v.why),
      v.do && el("p", { class: "do" }, v.do),
      furtherLinks(detail, curve, onCurve),
    ),
  );
}

function answer(tone, words) {
  return el(
    "h1",
    { "data-tone": tone, "data-mark": MARKS[tone] },
    el("span", { class: "hidden" }, TONES[tone] + ": "),
    words,
  );
}

const QUOTE = { yes: ["clear", "✓"], care: ["care", "!"], no: ["doubtful", "✕"] };
function quotable(told) {
  const [tone, mark] = QUOTE[told.answer];
  return el(
    "div",
    { class: "answer" },
    el("h2", {}, "May this number be quoted?"),
    el("h1", { "data-tone": tone, "data-mark": mark }, told.words),
    el("p", {}, told.why),
    told.do && el("p", { class: "do" }, told.do),
  );
}

function suspicion(v, detail) {
  if (v.doubt) return answer("doubtful", v.doubt);
  if (!detail.half_maps) return answer("unknown", "Not assessed");
  return el("h1", { "data-mark": "✓", "data-tone": "clear" }, "Nothing");
}

function furtherLinks(detail, curve, onCurve) {
  const n = detail.shown.findings.length;
  return el(
    "p",
    { class: "quiet" },
    curve && el("button", { type: "button", onclick: () => onCurve(curve) }, "Show this curve"),
    " ",
    n > 0 && el("button", { type: "button", onclick: showAllFindings }, n > 1 ? `All ${n} findings` : "The finding"),
  );
}

function showAllFindings() {
  $("h-find").scrollIntoView({ block: "start" });
  $("h-find").focus({ preventScroll: true });
}

function failedVerdict(row, place) {
  return el(
    "div",
    { class: "answer" },
    place,
    answer("worse", "This round could not be measured"),
    el("p", {}, row.reason),
    el("p", { class: "quiet" }, "It is tried again when its files change."),
  );
}

function rowVerdict(row, place) {
  if (!row) return el("h1", {}, "No round has been measured yet.");
  const r = row.headline ? row.res[row.headline] : null;
  return el(
    "div",
    { class: "answer" },
    place,
    answer(r ? "first" : "unknown", r ? angstrom(r[0]) : "No resolution"),
    el(
      "p",
      { class: "quiet" },
      "The curves of this round are in the log; " +
        "the report holds those of the newest rounds only. The live page (refine-hooks serve) shows every round.",
    ),
  );
}

// The newest round failed: that is what one must see first, whatever round is shown.
function showAlarm(failure, selected, onPick) {
  const node = $("alarm");
  node.hidden = !failure || failure.key === selected;
  if (node.hidden) return;
  fill(
    node,
    el("b", {}, `The newest round failed: ${failure.label} (${localTime(failure.at)}). `),
    failure.reason,
    " ",
    el("button", { type: "button", onclick: () => onPick(failure.key) }, "Show it"),
  );
}
