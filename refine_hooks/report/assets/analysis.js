// Further measurements of a round, where they were made: directions, the Guinier plot, the sharpened map.
function showAnalysis(detail) {
  const analysis = detail?.analysis,
    noise = detail?.checks?.noise_by_direction,
    card = $("analysis").closest(".card");
  charts.guinier?.destroy();
  charts.guinier = null;
  card.hidden = !analysis && !noise && !detail?.sampling;
  if (card.hidden) return;
  fill(
    $("analysis"),
    pairs([
      [
        "half-bit, 3-sigma, FDR 1 %",
        analysis?.half_bit_A &&
          [analysis.half_bit_A, analysis.three_sigma_A, analysis.fdr_A].map(angstrom).join(", "),
      ],
      [
        "B factor",
        analysis?.b_factor_A2 &&
          `${analysis.b_factor_A2.toFixed(0)} Å², fitted from ` +
            analysis.b_factor_range_A.map(angstrom).join(" to "),
      ],
      [
        "sharpened map, to look at",
        analysis?.sharpened_path && file(analysis.sharpened_path, detail.links?.sharpened),
      ],
    ]),
  );
  $("analysis").append(...[axisBars(analysis?.along || [])].filter(Boolean), ...sentences(detail.shown.directions));
  const known = Boolean(analysis?.guinier_squared_per_A2);
  $("guinier").hidden = $("guinier-words").hidden = !known;
  if (known) charts.guinier = guinierChart($("guinier"), analysis);
}

// The resolution along each axis with its 90 % interval, finer to the left; null where none has one.
function axisBars(along) {
  const known = along.filter((one) => one.resolution_A && one.interval_A),
    names = { best: "least noise", worst: "most noise" };
  if (known.length < 2) return null;
  const low = Math.min(...known.map((one) => one.interval_A[1])),
    high = Math.max(...known.map((one) => one.interval_A[0])),
    height = 18 * known.length;
  const x = (A) => BARS_LEFT + 20 + ((A - low) / (high - low || 1)) * (BARS_WIDTH - BARS_LEFT - 40);
  const text = (at, y, anchor, words) => svgNode("text", { x: at, y, "text-anchor": anchor, class: "axis" }, words);
  const rows = known.map((one, i) => {
    const words = `${names[one.name] || one.name}: ${angstrom(one.resolution_A)}`;
    return intervalBar(words, one, x, 10 + 18 * i, text);
  });
  const ends = [low, high].map((A, i) => text(x(A), height + 12, i ? "end" : "start", angstrom(A)));
  const attributes = {
    viewBox: `0 0 ${BARS_WIDTH} ${height + 18}`,
    role: "img",
    class: "local-bars",
    "aria-label": "Resolution along each axis, with its 90 % interval",
  };
  return svgNode("svg", attributes, ...rows.flat(), ...ends);
}

// ln of the mean amplitude over 1/d², and the line whose slope is the B factor.
function guinierChart(node, analysis) {
  const xs = unpacked(analysis.guinier_squared_per_A2),
    ys = unpacked(analysis.guinier_ln_amplitude);
  const [coarse, fine] = (analysis.b_factor_range_A || [0, 0]).map((d) => 1 / d ** 2),
    slope_ = -analysis.b_factor_A2 / 4;
  const within = xs.map((x, i) => (x >= coarse && x <= fine ? i : -1)).filter((i) => i >= 0);
  const mean = (list) => within.reduce((sum, i) => sum + list[i], 0) / within.length;
  const [mx, my] = [mean(xs), mean(ys)];
  const fit = xs.map((x) => (x >= coarse && x <= fine ? my + slope_ * (x - mx) : null));
  const titled = { labelSize: 18, labelGap: 2, labelFont: "12px system-ui, sans-serif" };
  return new uPlot(
    {
      width: node.clientWidth,
      height: node.clientHeight,
      legend: { show: false },
      series: [
        {},
        { stroke: css("--automask"), width: 1.4, points: { show: xs.length < 200, size: 4 } },
        { stroke: css("--refinement"), width: 2, dash: [6, 3], points: { show: false } },
      ],
      scales: { x: { time: false } },
      axes: [
        axis({ ...titled, size: 32, label: "1/d² (Å⁻²)", values: (_, s) => s.map((v) => v.toFixed(4)) }),
        axis({ ...titled, size: 50, label: "ln of amplitude" }),
      ],
      cursor: { y: false, drag: { x: false, y: false } },
    },
    [xs, ys, fit],
    node,
  );
}
