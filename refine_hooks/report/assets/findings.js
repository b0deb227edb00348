// Pictures and findings of a round.
function showPictures(pictures) {
  fill(
    $("pictures"),
    pictures.map((p) =>
      el(
        "figure",
        {},
        el("img", { src: p.src, alt: p.caption, width: p.width, height: p.height, decoding: "async" }),
        el("figcaption", {}, p.caption),
      ),
    ),
  );
}

function showFindings(findings) {
  if (!findings) {
    fill($("findings"));
    return;
  }
  const rank = (f) => (f.severity === "warning" ? 0 : 1),
    sorted = [...findings].sort((a, b) => rank(a) - rank(b));
  fill(
    $("findings"),
    sorted.length ? sorted.map(showFinding) : el("p", { class: "quiet" }, "There are no findings."),
  );
}

function showFinding(f) {
  const text = (v) => (typeof v === "object" ? JSON.stringify(v) : String(v));
  const told = Object.entries(f.evidence).map(([k, v]) => [k.replace(/_/g, " "), text(v)]);
  const shells = f.shells && `${f.shells[0]} to ${f.shells[1]}`;
  const evidence = [["rule", f.rule], ["curve", f.curve], ["shells", shells], ...told];
  return el(
    "div",
    { class: "finding", "data-severity": f.severity, "data-rule": f.rule },
    el("h3", {}, el("b", {}, f.severity === "warning" ? "⚠ Warning" : "Note"), " ", f.title),
    el("p", {}, f.told),
    el("details", {}, el("summary", {}, "Evidence"), pairs(evidence)),
    live && el("p", {}, el("a", { href: `guide/rules#${f.rule}`, target: "_blank" }, "In the guide")),
  );
}

function pairs(entries) {
  const known = entries.filter(([, v]) => v !== null && v !== undefined && v !== "");
  return el("dl", {}, known.map(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]).flat());
}
