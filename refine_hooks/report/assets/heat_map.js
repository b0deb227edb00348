// The FSC of all rounds as a heat map. Rows are rounds, the newest on top; columns are equal steps of 1/Angstrom.
const VIRIDIS = ["#0d083d", "#2c337e", "#216686", "#1f9582", "#66be5a", "#fde725"];

function heatMap(node, rounds) {
  const canvas = el("canvas", { class: "heat", role: "img", "aria-label": "Heat map of the FSC of all rounds" });
  const words = el("p", { class: "quiet" }, "Move over the map to read it; a click shows the round.");
  fill(node, canvas, words);
  const wide = node.clientWidth,
    tall = node.clientHeight - 56,
    px = devicePixelRatio,
    left = 44,
    bottom = 34;
  Object.assign(canvas, { width: wide * px, height: tall * px });
  const c = canvas.getContext("2d"),
    inner = wide - left - 12,
    high = (tall - bottom - 4) / rounds.length;
  const most = Math.max(...rounds.map((r) => frequenciesOf(r).at(-1)));
  c.scale(px, px);
  const row = (n) => Math.round(4 + n * high);
  rounds.forEach((round, i) => {
    const step = inner / most / (round.box_px * round.voxel_size_A),
      top = row(rounds.length - 1 - i);
    round.values.forEach((v, k) => {
      if (v === null) return;
      const [from, to] = [k - 0.5, k + 0.5].map((at) => Math.round(left + Math.max(0, at) * step));
      c.fillStyle = heatColour(v);
      c.fillRect(from, top, to - from, row(rounds.length - i) - top);
    });
  });
  heatAxes(c, rounds, { left, inner, high, most, tall, bottom });
  const at = (e) => {
    const box = canvas.getBoundingClientRect();
    const i = rounds.length - 1 - Math.floor((e.clientY - box.top - 4) / high),
      f = ((e.clientX - box.left - left) / inner) * most;
    return f < 0 || !rounds[i]
      ? null
      : { round: rounds[i], k: Math.round(f * rounds[i].box_px * rounds[i].voxel_size_A) };
  };
  canvas.addEventListener("pointermove", (e) => {
    const here = at(e);
    if (here)
      words.textContent =
        `${nameOfRound(here.round.key)} · ${angstrom(1 / frequenciesOf(here.round)[here.k])} · FSC ` +
        correlation(here.round.values[here.k]);
  });
  canvas.addEventListener("click", (e) => {
    const here = at(e);
    if (here) goTo(here.round.key).catch(fault);
  });
}

function heatAxes(c, rounds, { left, inner, high, most, tall, bottom }) {
  c.fillStyle = css("--quiet");
  c.font = "12px system-ui, sans-serif";
  c.textAlign = "right";
  c.textBaseline = "middle";
  const apart = Math.ceil(16 / high);
  rounds.forEach((round, i) => {
    if ((rounds.length - 1 - i) % apart) return;
    c.fillText(rowOf(round.key)?.iteration, left - 6, 4 + (rounds.length - 0.5 - i) * high);
  });
  c.textAlign = "center";
  c.textBaseline = "alphabetic";
  for (const f of roundLengths(most / 50, most, inner, 54))
    c.fillText(lengthLabel(f), left + (f / most) * inner, tall - bottom + 18);
  c.fillText("resolution", left + inner / 2, tall - 2);
  c.save();
  c.translate(11, (tall - bottom) / 2);
  c.rotate(-Math.PI / 2);
  c.fillText("iteration", 0, 0);
  c.restore();
  c.strokeStyle = css("--accent");
  c.lineWidth = 2;
  const i = rounds.findIndex((r) => r.key === state.key);
  if (i >= 0) c.strokeRect(left, 4 + (rounds.length - 1 - i) * high, inner, high);
}

function heatColour(value) {
  const at = Math.min(1, Math.max(0, value)) * (VIRIDIS.length - 1),
    i = Math.min(VIRIDIS.length - 2, Math.floor(at));
  return mixed(VIRIDIS[i], VIRIDIS[i + 1], at - i);
}
