// What more particles would give, in words, and 1/d² of reconstructions of subsets over the number of their particles.
function showHelp(detail) {
  const words = detail?.shown.help ?? [],
    known = detail?.more_particles,
    card = $("help").closest(".card");
  card.hidden = !words.length;
  if (card.hidden) return;
  fill(
    $("help"),
    words.map((text) => el("p", {}, text)),
  );
  fill($("help-chart"), known && subsetsChart(known));
}

function subsetsChart(known) {
  const [width, height, left, below] = [560, 200, 60, 30];
  const read = known.points.filter((point) => point.resolution_A);
  const all = Math.max(...known.points.map((point) => point.particles));
  const ends = [{ particles: 2 * all, resolution_A: known.doubled_A }, ...read];
  const logs = ends.map((p) => Math.log(p.particles)),
    squares = ends.map((p) => 1 / p.resolution_A ** 2);
  const span = (values) => [Math.min(...values), Math.max(...values) - Math.min(...values) || 1];
  const [first, wide] = span(logs),
    [low, tall] = span(squares);
  const x = (particles) => left + ((Math.log(particles) - first) / wide) * (width - left - 20),
    y = (angstroms) => height - 10 - ((1 / angstroms ** 2 - low) / tall) * (height - 30);
  const dots = ends.map((point, i) =>
    svgNode(
      "circle",
      {
        cx: x(point.particles),
        cy: y(point.resolution_A),
        r: 4,
        fill: i ? "#0072B2" : "none",
        stroke: "#0072B2",
      },
      svgNode("title", {}, `${count(point.particles)} particles: ${angstrom(point.resolution_A)}`),
    ),
  );
  const counts = ends.map((point) => point.particles),
    coarse = ends.reduce((a, b) => (a.resolution_A > b.resolution_A ? a : b));
  const under = [Math.min(...counts), Math.max(...counts)].map((n) =>
    svgNode("text", { x: x(n), y: height + below - 10, "text-anchor": "middle", class: "axis" }, count(n)),
  );
  const beside = [ends[0], coarse].map((point) =>
    svgNode(
      "text",
      { x: left - 8, y: y(point.resolution_A) + 4, "text-anchor": "end", class: "axis" },
      angstrom(point.resolution_A),
    ),
  );
  const attributes = {
    viewBox: `0 0 ${width} ${height + below}`,
    role: "img",
    "aria-label": "Resolution, as 1/d², over the number of particles; the open circle is twice as many as there are",
    style: "max-width:560px;width:100%;font-size:12px;fill:currentColor",
  };
  return svgNode("svg", attributes, ...dots, ...under, ...beside);
}
