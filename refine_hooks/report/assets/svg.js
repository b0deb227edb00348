// A plot as SVG with text that stays text: axes, lines and the marks of the level and the crossings.
function svgOf(u) {
  const { width, height } = u,
    px = devicePixelRatio,
    box = Object.fromEntries(Object.entries(u.bbox).map(([k, v]) => [k, v / px]));
  const words = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const text = (x, y, t, anchor, more = "") =>
    `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" ${more}>${words(t)}</text>`;
  const parts = u.axes.map((_, i) => svgAxis(u, u.axes[i], box, text));
  u.series.slice(1).forEach((s, i) => {
    const stroke = typeof s.stroke === "function" ? s.stroke(u, i + 1) : s.stroke;
    if (!s.show || !stroke || stroke === "transparent" || !s.width) return;
    const lines = [[]];
    u.data[i + 1].forEach((v, k) => {
      if (isNothing(v)) {
        if (!(s.spanGaps || v === undefined)) lines.push([]);
        return;
      }
      lines
        .at(-1)
        .push(
          `${(box.left + u.valToPos(u.data[0][k], "x")).toFixed(2)},${(box.top + u.valToPos(v, "y")).toFixed(2)}`,
        );
    });
    const dash_ = s.dash ? ` stroke-dasharray="${s.dash.join(" ")}"` : "";
    for (const points of lines.filter((one) => one.length)) {
      parts.push(
        `<polyline clip-path="url(#plot)" fill="none" stroke="${stroke}" stroke-width="${s.width}"${dash_} ` +
          `points="${points.join(" ")}"><title>${words(s.label || "")}</title></polyline>`,
      );
    }
  });
  const size = `x="${box.left}" y="${box.top}" width="${box.width}" height="${box.height}"`;
  const clip = `<clipPath id="plot"><rect ${size}/></clipPath>`;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
    `font-family="Helvetica, Arial, sans-serif" font-size="12" fill="${css("--ink")}">` +
    `${clip}${parts.join("\n")}</svg>\n`
  );
}

function svgAxis(u, axis_, box, text) {
  if (!axis_.show || !axis_._splits) return "";
  const across = axis_.side % 2 === 0,
    out = [],
    right = box.left + box.width,
    bottom = box.top + box.height;
  axis_._splits.forEach((split, i) => {
    const label_ = axis_._values?.[i];
    const at = u.valToPos(split, axis_.scale) + (across ? box.left : box.top);
    if (across ? at < box.left - 1 || at > right + 1 : at < box.top - 1 || at > bottom + 1) return;
    const [x1, y1, x2, y2] = across ? [at, box.top, at, bottom] : [box.left, at, right, at];
    if (axis_.grid.show)
      out.push(`<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="#8888" stroke-width="0.5"/>`);
    if (isNothing(label_) || label_ === "") return;
    if (across) out.push(text(at, axis_.side === 0 ? box.top - 6 : bottom + 16, label_, "middle"));
    else out.push(text(box.left - 6, at + 4, label_, "end"));
  });
  if (axis_.label) {
    const middle = box.top + box.height / 2;
    out.push(
      across
        ? text(box.left + box.width / 2, axis_.side === 0 ? 12 : u.height - 4, axis_.label, "middle")
        : text(14, middle, axis_.label, "middle", `transform="rotate(-90 14 ${middle.toFixed(1)})"`),
    );
  }
  return out.join("\n");
}
