// Whether the refinement has converged, and where the map is good: how many places at each resolution, and in words.
function showLocal(detail) {
  const local = detail?.local,
    card = $("local").closest(".card");
  card.hidden = !detail?.shown.local.length;
  if (card.hidden) return;
  fill($("local"), sentences(detail.shown.local));
  fill($("local-bars"), local ? localBars(local) : null);
}

const BARS_LEFT = 112,
  BARS_WIDTH = 440;

// How many places at each resolution, and below it every part with its 90 % interval; null where all are alike.
function localBars(local) {
  const shares = unpacked(local.histogram_share),
    ends = unpacked(local.histogram_from_A),
    parts = local.parts.filter((part) => part.resolution_A && part.interval_A);
  if (shares.filter((share) => share > 0).length < 2 || local.beyond_nyquist >= 0.95) return null; // the words say it
  const [left, width, height] = [BARS_LEFT, BARS_WIDTH, 120],
    low = Math.min(ends[0], ...parts.map((part) => part.interval_A[1])),
    high = Math.max(ends.at(-1), ...parts.map((part) => part.interval_A[0]));
  const x = (A) => left + ((A - low) / (high - low)) * (width - left),
    most = Math.max(...shares);
  const text = (at, y, anchor, words) => svgNode("text", { x: at, y, "text-anchor": anchor, class: "axis" }, words);
  const bars = shares.map((share, i) => {
    const tall = (height * share) / most,
      label_ = `${angstrom(ends[i])} to ${angstrom(ends[i + 1])}: ${(100 * share).toFixed(1)} % of the places`;
    const size = { x: x(ends[i]) + 1, y: height - tall, height: tall, class: "bar-of-places" };
    const wide = Math.max(1, x(ends[i + 1]) - x(ends[i]) - 2);
    return svgNode("rect", { ...size, width: wide }, svgNode("title", {}, label_));
  });
  const middle = (low + high) / 2,
    marks = [text(left, height + 15, "start", angstrom(low)), text(width, height + 15, "end", angstrom(high))];
  marks.push(text((left + width) / 2, height + 15, "middle", `${angstrom(middle)}, local resolution`));
  const rows = parts.map((part, i) => partBar(part, x, height + 34 + 18 * i, text));
  return svgNode(
    "svg",
    {
      viewBox: `0 0 ${width} ${height + 24 + 18 * parts.length}`,
      role: "img",
      class: "local-bars",
      "aria-label":
        "Share of the places at each local resolution, from fine to coarse, and the parts with their intervals",
    },
    ...bars,
    ...marks,
    ...rows.flat(),
  );
}

function partBar(part, x, y, text) {
  return intervalBar(`part ${part.number}: ${angstrom(part.resolution_A)}`, part, x, y, text);
}

// A resolution with its 90 % interval in one row.
function intervalBar(words, part, x, y, text) {
  const [coarse, fine] = part.interval_A;
  return [
    text(0, y + 4, "start", words),
    svgNode("line", { x1: x(fine), x2: x(coarse), y1: y, y2: y, class: "part" }),
    svgNode("circle", { cx: x(part.resolution_A), cy: y, r: 4, class: "part" }),
  ];
}
