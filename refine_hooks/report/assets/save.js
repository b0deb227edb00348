// Everything that can be taken along: tables, figures, files, and the commands that make them again.
function offered(name, content, kind) {
  const link = el("a", { href: URL.createObjectURL(new Blob([content], { type: kind })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function fileStem() {
  return state.key.replace(/[^A-Za-z0-9._-]+/g, "_");
}

// The columns of `refine-hooks export --as csv`, to the four digits that the page holds.
function csvOf(detail) {
  const columns = [];
  for (const curve of detail.curves) {
    columns.push([curve.name, unpacked(curve.correlation)]);
    for (const part of ["randomised_mean", "randomised_sd", "sd"]) {
      if (curve[part]) columns.push([`${curve.name}_${part}`, unpacked(curve[part])]);
    }
  }
  const rows = frequencies(detail).map((f, k) =>
    [
      k,
      f.toFixed(8),
      f ? (1 / f).toFixed(4) : "",
      ...columns.map(([, values]) => (isNothing(values[k]) ? "" : values[k].toFixed(6))),
    ].join(","),
  );
  return [["shell", "frequency_per_A", "resolution_A", ...columns.map(([name]) => name)].join(","), ...rows, ""].join(
    "\n",
  );
}

// The curve of the headline as EMDB's XML; null where none may be deposited.
function emdbOf(detail) {
  const curve = detail.curves.find((c) => c.name === detail.headline);
  if (!curve || isOfProgram(curve)) return null;
  const values = unpacked(curve.correlation),
    last = values.findLastIndex((v) => !isNothing(v));
  const name = curve.name.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const rows = frequencies(detail)
    .slice(0, last + 1)
    .map(
      (f, k) =>
        "  <coordinate>\n" +
        `    <x>${f.toFixed(6)}</x>\n    <y>${(values[k] ?? (k ? 0 : 1)).toFixed(6)}</y>\n  </coordinate>\n`,
    );
  return (
    `<?xml version="1.0" encoding="UTF-8"?>\n<fsc title="refine_hooks ${name}" xaxis="Resolution (A-1)" ` +
    `yaxis="Correlation Coefficient">\n${rows.join("")}</fsc>\n`
  );
}

function showSave(detail) {
  const node = $("save"),
    links = detail?.links || {};
  node.closest(".card").hidden = !detail;
  if (!detail) return;
  const log = state.log.log || ".",
    command = (text) => `refine-hooks ${text}`;
  const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const place = `${quoted(log)} ${quoted(state.key)}`,
    button = (words, act) => el("button", { type: "button", onclick: act }, words);
  const emdb = emdbOf(detail),
    served = (kind) => `api/log/${state.log.id}/export?key=${encodeURIComponent(state.key)}&as=${kind}`;
  const table = (words, kind, name, content, type) =>
    live
      ? el("a", { class: "button", href: served(kind), download: name }, words)
      : button(words, () => offered(name, content(), type));
  fill(
    node,
    el(
      "p",
      { class: "chips" },
      table("curves as CSV", "csv", `${fileStem()}.csv`, () => csvOf(detail), "text/csv"),
      emdb && table("FSC for EMDB (XML)", "emdb-xml", `${fileStem()}_fsc.xml`, () => emdb, "application/xml"),
      Object.entries(links).map(([name, href]) =>
        el("a", { class: "button", href, download: true }, FILES[name] || name.replace("mask:", "mask ")),
      ),
    ),
    pairs([
      ["curves as a figure", commandLine(command(`plot ${place} --out fsc.pdf`))],
      ["resolution of all rounds", commandLine(command(`plot ${quoted(log)} --out resolution.pdf`))],
      ["all numbers", commandLine(command(`show ${place}`))],
      ["maps in a viewer", detail.half_maps?.paths && commandLine(command(`open ${place}`))],
      ["files for a deposition", emdb && commandLine(command(`deposit ${place}`))],
    ]),
  );
}

const FILES = { half1: "half map 1", half2: "half map 2", sharpened: "sharpened map" };

function commandLine(text) {
  const copy = (e) =>
    navigator.clipboard?.writeText(text).then(() => {
      e.target.textContent = "copied";
    });
  return [
    el("code", {}, text),
    " ",
    navigator.clipboard && el("button", { type: "button", class: "copy", onclick: copy }, "copy"),
  ];
}

// A button each for PNG and SVG in the head of every figure.
function beginSave() {
  for (const [tools, name, find] of FIGURES) {
    const png = () =>
      pngOf(find())
        .then((blob) => blob && offered(`${fileStem()}_${name}.png`, blob, "image/png"))
        .catch(fault);
    const svg = () => {
      const u = find();
      if (u?.ctx) offered(`${fileStem()}_${name}.svg`, svgOf(u), "image/svg+xml");
    };
    const made = (words, act) =>
      el("button", { type: "button", class: "save", "aria-label": `Save ${name} as ${words}`, onclick: act }, words);
    $(tools).append(made(tools === "tools-map" ? `${name} PNG` : "PNG", png));
    if (name !== "map" && name !== "slices") $(tools).append(made("SVG", svg));
  }
}

const FIGURES = [
  ["tools-fsc", "fsc", () => charts.fsc],
  ["tools-resolution", "resolution", () => charts.resolution],
  ["tools-over", "rounds", () => over.chart || $("over-rounds").querySelector("canvas")],
  ["tools-map", "map", () => $("surface")],
  ["tools-map", "slices", () => sideBySide([...$("slices").querySelectorAll("canvas")])],
];

function sideBySide(canvases) {
  const made = el("canvas", {
    width: canvases.reduce((sum, c) => sum + c.width, 0),
    height: canvases[0]?.height || 1,
  });
  let left = 0;
  for (const c of canvases) {
    made.getContext("2d").drawImage(c, left, 0);
    left += c.width;
  }
  return made;
}

// The canvas on the page's own ground: a figure with a transparent one is lost on a dark slide.
function pngOf(figure) {
  const canvas = figure?.ctx?.canvas || figure;
  if (!canvas) return Promise.resolve(null);
  const made = el("canvas", { width: canvas.width, height: canvas.height }),
    c = made.getContext("2d");
  c.fillStyle = css("--card");
  c.fillRect(0, 0, made.width, made.height);
  c.drawImage(canvas, 0, 0);
  return new Promise((done) => made.toBlob(done, "image/png"));
}
