// Whether the refinement has converged, and where the map is good: how many places at each resolution, and in words.
function showLocal(detail) {
  const local = detail?.local,
    card = $("local").closest(".card");
  card.hidden = !local && !detail?.convergence;
  if (card.hidden) return;
  fill(
    $("local"),
    detail.shown.local.map((text) => el("p", {}, text)),
  );
  fill($("local-bars"), local && localBars(local));
}

function localBars(local) {
  const [width, height, below] = [560, 120, 18],
    shares = unpacked(local.histogram_share),
    ends = unpacked(local.histogram_from_A);
  const most = Math.max(...shares),
    step = width / shares.length;
  const bars = shares.map((share, i) => {
    const tall = (height * share) / most,
      label = `${angstrom(ends[i])} to ${angstrom(ends[i + 1])}: ${(100 * share).toFixed(1)} % of the places`;
    return svgNode(
      "rect",
      { x: i * step + 1, y: height - tall, width: Math.max(1, step - 2), height: tall, fill: "#009E73" },
      svgNode("title", {}, label),
    );
  });
  const marks = [0, Math.floor(shares.length / 2), shares.length].map((i, n) =>
    svgNode(
      "text",
      { x: i * step, y: height + below - 4, "text-anchor": ["start", "middle", "end"][n], class: "axis" },
      angstrom(ends[i]),
    ),
  );
  const attributes = {
    viewBox: `0 0 ${width} ${height + below}`,
    role: "img",
    "aria-label": "Share of the places at each local resolution, from fine to coarse",
    style: "max-width:560px;width:100%;font-size:12px;fill:currentColor",
  };
  return svgNode("svg", attributes, ...bars, ...marks);
}
