// What more particles would give and what the angles were fitted to: words, and a chart of what was measured.
const HELP = { width: 460, height: 210, left: 64, right: 30, top: 14, below: 44 };

function showHelp(detail) {
  const words = detail?.shown.help ?? [],
    card = $("help").closest(".card");
  card.hidden = !words.length;
  if (card.hidden) return;
  fill($("help"), sentences(words));
  const { more_particles: known, substitution } = detail;
  fill($("help-chart"), known && subsetsChart(known), substitution && substitutionChart(substitution, detail));
}

// Each with a capital at its beginning and a full stop at its end, but for file names.
function sentences(words) {
  const ended = (text) => text[0].toUpperCase() + text.slice(1) + (/([.!?]|\.mrc)$/.test(text) ? "" : ".");
  return words.map((text) => el("p", {}, ended(text)));
}

// 1/d² of the reconstructions of subsets over the number of their particles, the fitted line, and its 90 % band.
function subsetsChart(known) {
  const read = known.points.filter((point) => point.resolution_A),
    counts = known.points.map((point) => point.particles),
    all = Math.max(...counts),
    now = 1 / known.resolution_A;
  const [coarse, fine] = known.doubled_interval_A;
  const x = helpScale(Math.log(0.8 * Math.min(...counts)), Math.log(2.4 * all), "x"),
    squares = [known.doubled_A, coarse, fine, ...read.map((point) => point.resolution_A)].map((d) => d ** -2),
    [low, high] = [Math.min(...squares), Math.max(...squares)],
    margin = 0.1 * (high - low) || low;
  const y = helpScale(low - margin, high + margin, "y");
  const needed = (b, square) => Math.log(all) + (b / 2) * (square - now ** 2) + Math.log(Math.sqrt(square) / now);
  const steps = Array.from({ length: 60 }, (_, i) => low - margin + ((high - low + 2 * margin) * i) / 59);
  const along = (b) => steps.map((square) => [x(needed(Math.max(b, 1), square)), y(square)]);
  const reach = 1.645 * known.b_factor_sd_A2;
  const band = [...along(known.b_factor_A2 - reach), ...along(known.b_factor_A2 + reach).reverse()];
  const at = (particles, d) => ({ cx: x(Math.log(particles)), cy: y(d ** -2), r: 4 });
  const told = (n, d) => svgNode("title", {}, `${count(n)} particles: ${angstrom(d)}`);
  const twice = x(Math.log(2 * all));
  const marks = [
    svgNode("polygon", { points: band.join(" "), class: "band" }),
    svgNode("polyline", { points: along(known.b_factor_A2).join(" "), class: "fit" }),
    svgNode("line", { x1: twice, x2: twice, y1: y(coarse ** -2), y2: y(fine ** -2), class: "reach" }),
    ...read.map(({ particles: n, resolution_A: d }) => svgNode("circle", { ...at(n, d), class: "dot" }, told(n, d))),
    svgNode("circle", { ...at(2 * all, known.doubled_A), class: "twice" }, told(2 * all, known.doubled_A)),
  ];
  const ticks = [...new Set([Math.min(...counts), all, 2 * all])];
  const worst = Math.max(...read.map((point) => point.resolution_A));
  return helpChart(
    "Resolution (1/d²) over the number of particles, the fit with its 90 % band; open circle: twice as many",
    marks,
    ticks.map((n) => [x(Math.log(n)), count(n)]),
    [...new Set([worst, known.resolution_A, known.doubled_A])].map((d) => [y(d ** -2), angstrom(d)]),
    "particles",
    [
      ["dot", "made of so many particles"],
      ["fit", "fit, 90 % band"],
      ["twice", "twice as many"],
    ],
  );
}

// Power that is coherent with the angles, and the FSC, by shell.
function substitutionChart(known, detail) {
  const f = frequencies(detail),
    last = f.at(-1);
  const x = helpScale(0, last, "x"),
    y = helpScale(-0.1, 1.05, "y");
  const line_ = (values, name) => {
    const points = unpacked(values).map((v, i) => (isNothing(v) ? null : [x(f[i]), y(Math.max(-0.1, v))]));
    return svgNode("polyline", { points: points.slice(1).filter(Boolean).join(" "), class: name });
  };
  const from = x(1 / known.from_A),
    to = x(1 / known.to_A);
  const marks = [
    svgNode("rect", { x: from, width: to - from, y: y(1.05), height: y(-0.1) - y(1.05), class: "band" }),
    line_(known.substituted_correlation, "pale"),
    line_(known.correlation, "own"),
    line_(known.coherent_share, "fit"),
  ];
  const places = [0.25, 0.5, 0.75, 1].map((part) => [x(part * last), angstrom(1 / (part * last))]);
  return helpChart(
    "FSC of the half maps, FSC of images with random phases, and share of the power that is coherent with the angles",
    marks,
    places,
    [0, 0.5, 1].map((v) => [y(v), String(v)]),
    "resolution",
    [
      ["own", "FSC, unmasked"],
      ["pale", "random phases"],
      ["fit", "coherent with the angles"],
    ],
  );
}

function helpScale(low, high, axis_) {
  const { width, height, left, right, top, below } = HELP;
  const [from, to] = axis_ === "x" ? [left, width - right] : [height - below, top];
  return (value) => Math.round((from + ((value - low) / (high - low || 1)) * (to - from)) * 10) / 10;
}

function helpChart(words, marks, under, beside, title, key) {
  const { width, height, left, right, top, below } = HELP,
    clip = `help-${title}`;
  const text = (x, y, anchor, said) =>
    svgNode("text", { x, y, "text-anchor": anchor, class: "axis", "dominant-baseline": "middle" }, said);
  const apart = beside.filter(([y], i) => beside.slice(0, i).every(([other]) => Math.abs(other - y) > 12));
  const places = under.filter(([x], i) => under.slice(0, i).every(([other]) => Math.abs(other - x) > 48));
  const inside = { x: left, y: top, width: width - left - right, height: height - top - below };
  const chart = svgNode(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", class: "help-chart", "aria-label": words },
    svgNode("clipPath", { id: clip }, svgNode("rect", inside)),
    svgNode("rect", { ...inside, class: "frame" }),
    svgNode("g", { "clip-path": `url(#${clip})` }, ...marks),
    ...places.map(([x, said]) => text(x, height - below + 12, "middle", said)),
    ...apart.map(([y, said]) => text(left - 8, y, "end", said)),
    text((left + width - right) / 2, height - 10, "middle", title),
  );
  const swatch = (name) => {
    const mark = { dot: "circle", twice: "circle" }[name] || "line";
    const place = mark === "circle" ? { cx: 11, cy: 6, r: 4 } : { x1: 0, x2: 22, y1: 6, y2: 6 };
    return svgNode(
      "svg",
      { width: 22, height: 12, class: "help-chart swatch" },
      svgNode(mark, { ...place, class: name }),
    );
  };
  const legend = key.map(([name, said]) => el("span", {}, swatch(name), ` ${said}`));
  return el("figure", { class: "help-figure" }, chart, el("figcaption", { class: "key" }, ...legend));
}
