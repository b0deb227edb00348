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
  const failure = newestFailure(),
    failed = failure && row && failure.key !== row.key ? failure : null,
    against = detail?.shown.verdict.against,
    place = row ? el("h2", {}, failed && failedFirst(failed, named), placeWords(row, named, against)) : null;
  $("verdict").dataset.failed = String(Boolean(failed));
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
      v.why !== detail.shown.quote.why && el("p", {}, v.why),
      v.do && v.do !== detail.shown.quote.do && el("p", { class: "do" }, v.do),
      furtherLinks(detail, curve, onCurve),
    ),
  );
}

function failedFirst(failure, named) {
  return [
    el("b", { class: "failed" }, `${failedWords(failure, named)} failed`),
    "; the round shown is not the newest: ",
  ];
}

// Of several runs or classes, the one that it belongs to.
function failedWords(failure, named) {
  return [trackWords(failure, named), failure.label].filter(Boolean).join(" · ");
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
  const found = detail.shown.findings,
    warnings = found.filter((f) => f.severity === "warning").length;
  return el(
    "p",
    { class: "quiet" },
    curve &&
      !state.visible(curve) &&
      el("button", { type: "button", onclick: () => onCurve(curve) }, "Show this curve"),
    " ",
    found.length > 0 &&
      el("button", { type: "button", onclick: showAllFindings }, foundWords(warnings, found.length - warnings)),
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
function showAlarm(failure, named, selected, onPick) {
  const node = $("alarm");
  node.hidden = !failure || failure.key === selected;
  if (node.hidden) return;
  fill(
    node,
    el("b", {}, `The newest round failed: ${failedWords(failure, named)} (${localTime(failure.at)}). `),
    failure.reason,
    " ",
    el("button", { type: "button", onclick: () => onPick(failure.key) }, "Show it"),
  );
}
