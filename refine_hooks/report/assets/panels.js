// What is said in words and tables: verdict, list of rounds, curves, pictures, findings, provenance.
const MARKS = { better: "▲", worse: "▼", same: "＝", changed: "≠", first: "●", unknown: "?" };
const TONES = { better: "better", worse: "worse", same: "no different", changed: "read off another curve", first: "first round", unknown: "no resolution" };
const ROW_PX = 50;

// The three answers that a reader wants first: is it better, which curve is lying, why and what to do.
function showVerdict(detail, row, onCurve) {
  const node = $("verdict");
  if (!detail) {
    const r = row && row.headline ? row.res[row.headline] : null;
    fill(node, el("h1", {}, row ? `${row.label}: ${r ? angstrom(r[0]) : "no resolution"}` : "No round has been measured yet."),
      row && el("p", { class: "quiet" }, "The curves of this round are in the log; the report holds those of the newest rounds only. The live page (refine-hooks serve) shows every round."));
    return;
  }
  const v = detail.verdict, curve = detail.curves.find((c) => c.name === v.lying), own = curve && row.headline === curve.name;
  fill(node,
    el("div", { class: "answer" }, el("h2", {}, row.label), el("h1", { "data-tone": v.tone, "data-mark": MARKS[v.tone] }, el("span", { class: "hidden" }, TONES[v.tone] + ": "), v.headline), el("p", {}, v.basis)),
    el("div", { class: "answer" }, el("h2", {}, own || !curve ? "To be doubted" : "The curve that misleads"),
      v.accusation ? el("h1", { "data-mark": "⚠", "data-tone": "doubt" }, v.accusation) : el("h1", { "data-mark": "✓", "data-tone": "better" }, "None"),
      el("p", {}, v.why), v.do && el("p", { class: "do" }, v.do),
      el("p", { class: "quiet" }, curve && el("button", { type: "button", onclick: () => onCurve(curve) }, "Show this curve"), " ", detail.findings.length > 1 && el("a", { href: "#h-find" }, `All ${detail.findings.length} findings`))));
}

// Only the rows in sight exist, so that five thousand rounds scroll like fifty.
function showRounds(rows, state, onPick) {
  const node = $("rounds"), n = rows.length, spacer = el("div", { role: "presentation" });
  spacer.style.height = n * ROW_PX + "px";
  node.style.height = n * ROW_PX + 2 + "px";
  const named = { run: new Set(rows.map((r) => r.run)).size > 1, class: rows.some((r) => r.class !== rows[0].class) };
  $("round-count").textContent = n ? String(n) : "";
  const draw = () => {
    const first = Math.max(0, Math.floor(node.scrollTop / ROW_PX) - 4), last = Math.min(n, first + Math.ceil((node.clientHeight || 600) / ROW_PX) + 8);
    const made = [];
    for (let i = first; i < last; i++) made.push(roundRow(rows, n - 1 - i, i, state, onPick, named));
    fill(spacer, made);
    node.setAttribute("aria-activedescendant", "round-" + rows.findIndex((r) => r.key === state.key));
  };
  fill(node, spacer);
  const at = n - 1 - rows.findIndex((r) => r.key === state.key);
  if (at < n && (at * ROW_PX < node.scrollTop || (at + 1) * ROW_PX > node.scrollTop + node.clientHeight)) node.scrollTop = Math.max(0, (at - 2) * ROW_PX);
  node.onscroll = draw;
  draw();
}

// Which run and class a round is of, where the list has several.
function trackWords(row, named) {
  return [named.run && row.run.split("/").pop(), named.class && `${row.run.startsWith("MultiBody") ? "body" : "class"} ${row.class}`].filter(Boolean).map((w) => w + " · ").join("");
}

function roundRow(rows, index, position, state, onPick, named) {
  const row = rows[index], before = earlier(rows, index), [warnings] = row.found || [0, 0];
  const here = row.headline ? row.res[row.headline] : null, there = before && before.headline === row.headline && here ? before.res[before.headline] : null;
  const change = there ? here[0] - there[0] : null;
  const node = el("div", { class: "row", role: "option", id: "round-" + index, "aria-selected": String(row.key === state.key), "aria-posinset": position + 1, "aria-setsize": rows.length, title: row.key, onclick: () => onPick(row.key) },
    el("b", {}, row.label), el("span", { class: "number" }, here ? angstrom(here[0]) : "–"),
    el("small", {}, warnings ? el("span", { class: "warn", title: `${warnings} warning${warnings > 1 ? "s" : ""}` }, `⚠ ${warnings} `) : "", trackWords(row, named), row.particles ? `${count(row.particles)} particles` : row.origin || ""),
    el("small", { class: change === null || Math.abs(change) < 0.005 ? "" : change < 0 ? "up" : "down" }, change === null ? "" : `${change < 0 ? "−" : "+"}${Math.abs(change).toFixed(2)}`));
  node.style.top = position * ROW_PX + "px";
  return node;
}

function earlier(rows, index) {
  for (let i = index - 1; i >= 0; i--) if (rows[i].run === rows[index].run && rows[i].class === rows[index].class && rows[i].headline) return rows[i];
  return null;
}

function showFailures(failures, faults) {
  fill($("failures"), failures.map((f) => el("p", { class: "failed" }, `${f.label} (${f.key}) could not be measured: ${f.reason}`)), faults.map((f) => el("p", { class: "failed" }, f)));
}

function showCurves(detail, state, onVisible, onActive) {
  const accused = new Set(detail.findings.filter((f) => f.severity === "warning").map((f) => f.curve));
  const head = el("thead", {}, el("tr", {}, ["Curve", "0.143 at", "90 % interval", "crossings", "at cursor", "null at cursor"].map((t, i) => el("th", { scope: "col", class: i ? "n" : "" }, t))));
  const body = detail.curves.map((curve) => el("tr", { "data-curve": curve.name, "data-active": String(curve.name === state.active) },
    el("td", {}, el("input", { type: "checkbox", checked: state.visible(curve), "aria-label": "Show " + curve.title, onchange: (e) => onVisible(curve, e.target.checked) }),
      el("span", { class: "swatch", "data-kind": curve.kind, color: colour(curve) }),
      el("button", { type: "button", title: "Show this curve's null band and crossings", "aria-pressed": String(curve.name === state.active), onclick: () => onActive(curve) }, curve.title),
      accused.has(curve.name) && el("span", { class: "accused", title: "a finding warns of this curve" }, " ⚠")),
    el("td", { class: "n" }, curve.resolution_A ? angstrom(curve.resolution_A) : "–"), el("td", { class: "n" }, interval(curve.interval_A)),
    el("td", { class: "n" }, String(curve.crossings.filter((x) => Math.abs(x[0] - THRESHOLD) < 1e-6).length)),
    el("td", { class: "n", "data-here": curve.name }), el("td", { class: "n", "data-null": curve.name })));
  fill($("curves"), el("caption", { class: "hidden" }, "Curves of the selected round"), head, el("tbody", {}, body));
}

// Values under the cursor, into the cells that showCurves left for them.
function showHere(detail, shell, place) {
  const f = frequencies(detail);
  const title = shell === null ? place : `shell ${shell} · ${shell ? `${angstrom(1 / f[shell])} · ${f[shell].toFixed(4)} /Å` : "whole box"}`;
  $("fsc-of").textContent = title;
  for (const curve of detail.curves) {
    curve.values ||= unpacked(curve.c); curve.mean ||= unpacked(curve.randomised_mean) || []; curve.sd ||= unpacked(curve.randomised_sd) || [];
    const at = (list) => (shell === null ? "" : correlation(list[shell]));
    const [here, none] = [document.querySelector(`[data-here="${curve.name}"]`), document.querySelector(`[data-null="${curve.name}"]`)];
    if (here) here.textContent = at(curve.values);
    if (none) none.textContent = shell === null || !curve.mean.length ? "" : `${at(curve.mean)} ± ${at(curve.sd)}`;
  }
  return title;
}

function showKey(detail, state, other) {
  const active = detail.curves.find((c) => c.name === state.active);
  if (!active) { $("fsc-key").textContent = ""; return; }
  const band = active.randomised_mean && active.randomised_sd ? active.kind === "scaled" ? "The shaded band is this curve's own noise (± 3 sd)" : "The shaded band is what these half maps give with randomised phases (mean ± 3 sd)" : "No null was measured for this curve";
  const strip = active.interval_A ? "; the shaded strip is the 90 % interval of its crossing" : "";
  $("fsc-key").textContent = `“${active.title}” is selected. ${band}${strip}. Dots are crossings downwards, rings upwards.` +
    (other ? ` Dotted and pale: ${other.label}.` : "") + (active.note ? ` ${active.note}` : "");
}

function showValues(detail, state) {
  const curves = detail.curves.filter((c) => state.visible(c)), f = frequencies(detail), columns = curves.map((c) => unpacked(c.c));
  fill($("values-table"), el("table", {}, el("thead", {}, el("tr", {}, ["shell", "Å", ...curves.map((c) => c.title)].map((t) => el("th", { scope: "col", class: "n" }, t)))),
    el("tbody", {}, f.map((v, k) => el("tr", {}, el("th", { scope: "row", class: "n" }, String(k)), el("td", { class: "n" }, v ? (1 / v).toFixed(2) : "∞"), columns.map((c) => el("td", { class: "n" }, correlation(c[k]))))))));
}

function showPictures(pictures) {
  $("pictures-card").hidden = !pictures || !pictures.length;
  fill($("pictures"), (pictures || []).map((p) => el("figure", {}, el("img", { src: p.src, alt: p.caption, width: p.width, height: p.height, decoding: "async" }), el("figcaption", {}, p.caption))));
}

function showFindings(findings) {
  const sorted = [...findings].sort((a, b) => (a.severity === "warning" ? 0 : 1) - (b.severity === "warning" ? 0 : 1));
  fill($("findings"), sorted.length ? sorted.map(showFinding) : el("p", { class: "quiet" }, "Nothing to say against this round."));
}

function showFinding(f) {
  const evidence = [["rule", f.rule], ["curve", f.curve], ["shells", f.shells && `${f.shells[0]} to ${f.shells[1]}`], ...Object.entries(f.evidence).map(([k, v]) => [k.replace(/_/g, " "), typeof v === "object" ? JSON.stringify(v) : String(v)])];
  return el("div", { class: "finding", "data-severity": f.severity, "data-rule": f.rule },
    el("h3", {}, el("b", {}, f.severity === "warning" ? "⚠ Warning" : "Note"), " ", f.title), el("p", {}, f.told),
    el("details", {}, el("summary", {}, "Numbers behind it"), pairs(evidence)));
}

function pairs(entries) { return el("dl", {}, entries.filter(([, v]) => v !== null && v !== undefined && v !== "").map(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]).flat()); }

function file(path, link) { return link ? el("a", { href: link, download: true }, path) : el("code", {}, path); }

function showProvenance(detail, row, log) {
  const m = detail.half_maps, links = detail.links || {};
  const maps = m && m.paths ? m.paths.map((p, i) => el("div", {}, file(p, links["half" + (i + 1)]), m.images[i] !== null ? ` ${count(m.images[i])} images` : "")) : null;
  const rules = el("table", {}, el("thead", {}, el("tr", {}, ["Curve", "mask", "number", "interval", "rule", "FSC = 0.5"].map((t) => el("th", { scope: "col" }, t)))),
    el("tbody", {}, detail.curves.map((c) => el("tr", {}, [c.title, c.mask_title || "–", angstrom(c.resolution_A), interval(c.interval_A) || "–", c.rule + (c.note ? ` (${c.note})` : ""), angstrom(c.half_A)].map((t) => el("td", {}, t))))));
  const masks = detail.masks.map((k) => el("div", {}, el("h3", {}, "Mask: " + k.title), pairs([["file", k.path && file(k.path, links["mask:" + k.name])], ["sha256", k.sha256 && el("code", {}, k.sha256)],
    ["volume", `${count(Math.round(k.volume_A3))} Å³, ${(100 * k.volume_fraction).toFixed(2)} % of the box`], ["made with", Object.entries(k.parameters || {}).filter(([n, v]) => v !== null && n !== "kind").map(([n, v]) => `${n} ${typeof v === "object" ? JSON.stringify(v) : v}`).join(", ")], ["note", k.note]])));
  const start = log.provenance || {};
  fill($("provenance"), el("h3", {}, "Half maps"), pairs([["origin", detail.origin_words], ["files", maps], ["box", `${detail.box_px} px of ${detail.voxel_size_A.toFixed(4)} Å, ${detail.shells} shells`], ["symmetry", detail.symmetry],
    ["particles", row.particles && count(row.particles)], ["mass", detail.molecular_mass_kDa && `${detail.molecular_mass_kDa} kDa`], ["program says", detail.reported && `${angstrom(detail.reported.resolution_A)}${detail.reported.rule ? ` (${detail.reported.rule})` : ""}`], ["program warns", detail.program_warnings.length ? detail.program_warnings.map((w) => el("div", {}, w.text)) : null], ["notes", detail.notes.length ? detail.notes.map((n) => el("div", {}, n)) : null]]),
  detail.analysis.length > 0 && [el("h3", {}, "More from the same half maps"), ...detail.analysis.map((text) => el("p", {}, text.charAt(0).toUpperCase() + text.slice(1)))],
  el("h3", {}, "How each number was read"), el("div", { class: "scroll" }, rules), masks,
  el("h3", {}, "This round"), pairs([["key", el("code", {}, detail.key)], ["measured", when(row.at) + (detail.measured_in_s ? `, in ${detail.measured_in_s.toFixed(1)} s` : "")], ["inputs", detail.inputs.length ? detail.inputs.map(([n, s, t]) => el("div", {}, el("code", {}, n), ` ${count(s)} bytes, ${when(new Date(t).toISOString().slice(0, 19) + "Z")}`)) : null]]),
  el("h3", {}, "This log"), pairs([["project", start.project], ["program", start.program || detail.program], ["versions", Object.entries(start.versions || {}).map(([n, v]) => `${n} ${v}`).join(", ")], ["since", when(start.started_at)], ["on", start.host]]),
  start.settings && el("details", {}, el("summary", {}, "Settings in full"), el("pre", {}, JSON.stringify(start.settings, null, 2))));
}
