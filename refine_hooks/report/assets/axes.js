// What both plots draw with: axes, lines, labels, round numbers of Angstrom.
function axis(extra) {
  const thin = { stroke: css("--grid"), width: 1 };
  return { stroke: css("--quiet"), grid: thin, ticks: thin, font: "12px system-ui, sans-serif", ...extra };
}

function inDevicePixels(u, value, scale) {
  return u.valToPos(value, scale, true);
}

function line(u, x0, y0, x1, y1, colour_, pattern) {
  const c = u.ctx;
  c.save();
  c.beginPath();
  c.setLineDash(pattern || []);
  c.strokeStyle = colour_;
  c.lineWidth = devicePixelRatio;
  c.moveTo(x0, y0);
  c.lineTo(x1, y1);
  c.stroke();
  c.restore();
}

function label(u, text, x, y, colour_, align) {
  const c = u.ctx;
  c.save();
  c.fillStyle = colour_;
  c.textAlign = align || "left";
  c.font = 11 * devicePixelRatio + "px system-ui, sans-serif";
  c.strokeStyle = css("--card"); // so that a curve behind it leaves it readable
  c.lineWidth = 3 * devicePixelRatio;
  c.lineJoin = "round";
  c.strokeText(text, x, y);
  c.fillText(text, x, y);
  c.restore();
}

function frequencies(detail) {
  const step = 1 / (detail.box_px * detail.voxel_size_A);
  return Array.from({ length: detail.shown.shells }, (_, k) => k * step);
}

// Round numbers of Angstrom that are far enough apart on an axis of 1/Angstrom; the roundest have the first choice.
const ROUND_A = [
  [100, 50, 20, 10, 5, 4, 3, 2.5, 2, 1.5, 1],
  [30, 15, 8, 7, 6, 3.5, 2.8, 2.2, 1.8, 1.2],
  [40, 25, 17, 13, 12, 11, 9, 4.5, 3.8, 3.3, 3.2, 2.7, 2.6, 2.4, 2.3, 2.1, 1.9, 1.7, 1.6, 1.4, 1.3, 1.1],
  [14, 16, 18, 22, 9.5, 8.5, 7.5, 6.5, 5.8, 5.5, 5.2, 4.8, 4.6, 4.4, 4.2, 3.9, 3.7, 3.6, 3.4, 3.1, 2.9],
];
function roundLengths(low, high, length_px, apart_px) {
  const chosen = [],
    px = (f) => ((f - low) / (high - low)) * length_px;
  for (const at of ROUND_A.flat().map((d) => 1 / d)) {
    const free = chosen.every((f) => Math.abs(px(f) - px(at)) >= apart_px);
    if (at >= low && at <= high && free) chosen.push(at);
  }
  return chosen.sort((a, b) => a - b);
}
function lengthLabel(f) {
  return f > 0 ? String(Math.round(1e3 / f) / 1e3) + " Å" : "";
}
