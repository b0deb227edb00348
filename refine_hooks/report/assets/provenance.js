// Provenance: half maps, criteria, masks, the round and the log.
function showProvenance(detail, row, log) {
  const links = detail.links || {},
    shown = detail.shown;
  fill(
    $("provenance"),
    el("h3", {}, "Half maps"),
    pairs(halfMapFacts(detail, row, links)),
    el("h3", {}, "Resolution criteria"),
    el("div", { class: "scroll" }, criteria(curvesOf(detail))),
    detail.masks.map((mask, i) => maskFacts(mask, shown.masks[i].title, links)),
    el("h3", {}, "This round"),
    pairs(roundFacts(detail, row)),
    el("h3", {}, "This log"),
    logFacts(log.provenance || {}, detail),
  );
}

function lines(texts) {
  return texts.length ? texts.map((text) => el("div", {}, text)) : null;
}
function file(path, link) {
  return link ? el("a", { href: link, download: true }, path) : el("code", {}, path);
}

function halfMapFacts(detail, row, links) {
  const m = detail.half_maps,
    images = (i) => (m.images[i] === null ? "" : ` ${count(m.images[i])} images`);
  const maps = m && m.paths && m.paths.map((p, i) => el("div", {}, file(p, links["half" + (i + 1)]), images(i)));
  const box = `${detail.box_px} px of ${detail.voxel_size_A.toFixed(4)} Å, ${detail.shown.shells} shells`;
  const stated = detail.reported,
    rule = stated && (stated.rule || (stated.level && shownLevel(stated.level)));
  return [
    ["origin", detail.shown.origin],
    ["files", maps],
    ["box", box],
    ["symmetry", detail.symmetry],
    ["changes since the iteration before", detail.changes && changeWords(detail.changes)],
    ["particles", row.particles && count(row.particles)],
    ["mass", detail.molecular_mass_kDa && `${detail.molecular_mass_kDa} kDa`],
    ["program states", stated && `${angstrom(stated.resolution_A)}${rule ? ` (${rule})` : ""}`],
    ["program warns", lines(detail.program_warnings.map((w) => w.text))],
    ["notes", lines(detail.notes)],
  ];
}

function changeWords(changes) {
  return [
    !isNothing(changes.orientations_deg) && `${changes.orientations_deg.toFixed(2)}° of the angles`,
    !isNothing(changes.offsets_A) && `${angstrom(changes.offsets_A)} of the offsets`,
    changes.classes > 0 && `${(100 * changes.classes).toFixed(1)} % of the particles to another class`,
  ]
    .filter(Boolean)
    .join(", ");
}

function criteria(curves) {
  const titles = ["Curve", "mask", "level", "resolution", "90 % CI", "criterion", "FSC = 0.5"];
  const cells = (c) => [
    c.title,
    c.mask_title || "–",
    String(c.threshold),
    angstrom(c.resolution_A),
    interval(c.interval_A) || "–",
    c.rule + (c.note ? ` (${c.note})` : ""),
    angstrom(c.resolution_at_half_A),
  ];
  return el(
    "table",
    {},
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        titles.map((t) => el("th", { scope: "col" }, t)),
      ),
    ),
    el(
      "tbody",
      {},
      curves.map((c) =>
        el(
          "tr",
          {},
          cells(c).map((t) => el("td", {}, t)),
        ),
      ),
    ),
  );
}

function maskFacts(mask, title, links) {
  const told = Object.entries(mask.parameters || {}).filter(([n, v]) => v !== null && n !== "kind");
  const made = told.map(([n, v]) => `${n} ${typeof v === "object" ? JSON.stringify(v) : v}`).join(", ");
  const share = `${(100 * mask.volume_fraction).toFixed(2)} % of the box`;
  return el(
    "div",
    {},
    el("h3", {}, "Mask: " + title),
    pairs([
      ["file", mask.path && file(mask.path, links["mask:" + mask.name])],
      ["sha256", mask.sha256 && el("code", {}, mask.sha256)],
      ["volume", mask.volume_A3 > 0 ? `${count(Math.round(mask.volume_A3))} Å³, ${share}` : "none"],
      ["parameters", made],
      ["note", mask.note],
    ]),
  );
}

function roundFacts(detail, row) {
  const at = (input) => when(new Date(input.mtime_ns / 1e6).toISOString().slice(0, 19) + "Z");
  const inputs = detail.fingerprint.inputs.map((i) =>
    el("div", {}, el("code", {}, i.name), ` ${count(i.size)} bytes, ${at(i)}`),
  );
  const took = detail.measured_in_s ? `, in ${detail.measured_in_s.toFixed(1)} s` : "";
  const known = inputs.length ? inputs : null;
  return [
    ["key", el("code", {}, detail.key)],
    ["measured", when(row.at) + took],
    ["inputs", known],
  ];
}

function logFacts(start, detail) {
  const versions = Object.entries(start.versions || {})
    .map(([n, v]) => `${n} ${v}`)
    .join(", ");
  const facts = pairs([
    ["project", start.project],
    ["program", start.program || detail.program],
    ["versions", versions],
    ["since", when(start.started_at)],
    ["host", start.host],
  ]);
  const settings = JSON.stringify(start.settings, null, 2);
  return [facts, start.settings && el("details", {}, el("summary", {}, "All settings"), el("pre", {}, settings))];
}
