// The same slice in all rounds: a strip of small pictures, and a scrubber that runs through them in one large one.
const STRIP_ROUNDS = 60,
  STRIP_PX = 132;
const strip = { frames: [], of: "", playing: 0 };

function beginStrip() {
  $("strip").addEventListener("toggle", () => showStrip().catch(fault));
  $("strip-plane").addEventListener("change", () => drawStrip());
  $("strip-at").addEventListener("input", drawFrame);
  $("strip-play").addEventListener("click", play);
}

function resetStrip() {
  if ($("strip").open) showStrip().catch(fault);
}
function onSliceMoved(plane) {
  if ($("strip").open && plane === $("strip-plane").value) drawStrip();
}

// The volumes of the newest rounds of the shown run and class.
async function showStrip() {
  if (!$("strip").open || !map.volume) return;
  const rows = sameTrack().slice(-STRIP_ROUNDS),
    frames = [];
  for (const row of rows) {
    const detail = await source.detail(state.log, row.key).catch(() => null);
    if (detail?.volume) frames.push({ row, volume: await loadVolume(detail.volume) });
  }
  strip.frames = frames;
  $("strip-at").max = Math.max(0, frames.length - 1);
  $("strip-at").value = Math.max(
    0,
    frames.findIndex((f) => f.row.key === state.key),
  );
  drawStrip();
}

function drawStrip() {
  if (!map.volume) return;
  const plane = $("strip-plane").value;
  fill(
    $("strip-frames"),
    strip.frames.map((frame) => {
      const canvas = el("canvas", {
        width: 2 * STRIP_PX,
        height: 2 * STRIP_PX,
        role: "img",
        "aria-label": frame.row.label,
      });
      drawInFrame(canvas, frame.volume, plane);
      return el(
        "button",
        {
          type: "button",
          class: "picture",
          "aria-pressed": String(frame.row.key === state.key),
          onclick: () => goTo(frame.row.key).catch(fault),
        },
        canvas,
        el("small", {}, frame.row.label),
        el("small", {}, headlineNumber(frame.row, state.log.curves)),
      );
    }),
  );
  drawFrame();
}

// Where the selected round is cut, and in its field of view.
function drawInFrame(canvas, volume, plane) {
  const axis = AXES[plane],
    at = indexAt(volume, axis, placeOf(map.volume, axis, map.places[plane]));
  drawSlice(canvas, volume, plane, at, map.volume);
}

function drawFrame() {
  const frame = strip.frames[Number($("strip-at").value)];
  $("strip-words").textContent = frame ? `${frame.row.label}, ${$("strip-plane").value}` : "";
  if (!frame) return;
  drawInFrame($("strip-picture"), frame.volume, $("strip-plane").value);
  drawBar($("strip-picture"), map.volume);
  $("strip-at").setAttribute("aria-valuetext", frame.row.label);
}

function play() {
  clearInterval(strip.playing);
  const running = $("strip-play").getAttribute("aria-pressed") === "true",
    slider = $("strip-at");
  $("strip-play").setAttribute("aria-pressed", String(!running));
  if (running) return;
  strip.playing = setInterval(() => {
    slider.value = (Number(slider.value) + 1) % (Number(slider.max) + 1);
    drawFrame();
  }, 350);
}
