// Slices through the volume: three planes with a slider each, one of them large on click, all with the mask's outline.
const OUTLINE = "#ff7a00",
  BARS_A = [500, 200, 100, 50, 20, 10, 5, 2];

// Draws a plane into a square canvas, y or z upwards; `frame` is the volume whose field of view is shown.
function drawSlice(canvas, volume, plane, index, frame = volume) {
  const n = volume.edge,
    axis = AXES[plane],
    c = canvas.getContext("2d"),
    size = canvas.width;
  const [across, up] = [0, 1, 2].filter((one) => one !== axis);
  const scale = size / (frame.edge * frame.voxel_A),
    wide = n * volume.voxel_A * scale;
  const first = (v, a) => placeOf(v, a, -0.5);
  const left = (first(volume, across) - first(frame, across)) * scale;
  const bottom = size - (first(volume, up) - first(frame, up)) * scale;
  const small = el("canvas", { width: n, height: n }),
    image = new ImageData(n, n);
  const values = planeOf(volume.map, n, axis, index);
  for (let j = 0; j < n; j++) {
    for (let i = 0; i < n; i++) {
      const to = 4 * ((n - 1 - j) * n + i),
        v = values[j * n + i];
      image.data[to] = image.data[to + 1] = image.data[to + 2] = v;
      image.data[to + 3] = 255;
    }
  }
  small.getContext("2d").putImageData(image, 0, 0);
  c.fillStyle = "#111";
  c.fillRect(0, 0, size, size);
  c.imageSmoothingQuality = "high";
  c.drawImage(small, left, bottom - wide, wide, wide);
  if (volume.mask)
    outline(
      c,
      planeOf(volume.mask, n, axis, index),
      n,
      (i) => left + ((i + 0.5) * wide) / n,
      (j) => bottom - ((j + 0.5) * wide) / n,
      size > 300 ? 2 : 1.5,
    );
}

// The line at half of the mask, by marching squares.
function outline(c, values, n, x, y, width_px) {
  c.save();
  c.beginPath();
  c.strokeStyle = OUTLINE;
  c.lineWidth = width_px;
  const at = (i, j) => values[j * n + i] - 127.5;
  for (let j = 0; j < n - 1; j++) {
    for (let i = 0; i < n - 1; i++) {
      const corners = [
          [i, j],
          [i + 1, j],
          [i + 1, j + 1],
          [i, j + 1],
        ],
        cut = [];
      for (let e = 0; e < 4; e++) {
        const [a, b] = [corners[e], corners[(e + 1) % 4]],
          p = at(...a),
          q = at(...b);
        if (p > 0 === q > 0) continue;
        const t = p / (p - q);
        cut.push([x(a[0] + t * (b[0] - a[0])), y(a[1] + t * (b[1] - a[1]))]);
      }
      for (let k = 0; k + 1 < cut.length; k += 2) {
        c.moveTo(...cut[k]);
        c.lineTo(...cut[k + 1]);
      }
    }
  }
  c.stroke();
  c.restore();
}

function drawBar(canvas, volume) {
  const c = canvas.getContext("2d"),
    scale = canvas.width / (volume.edge * volume.voxel_A);
  const bar_A = BARS_A.find((one) => one * scale <= canvas.width / 4) || 1,
    y = canvas.height - canvas.width / 24;
  c.save();
  c.fillStyle = "#fff";
  c.fillRect(canvas.width / 24, y, bar_A * scale, 3);
  c.font = `${canvas.width / 22}px system-ui, sans-serif`;
  c.fillText(`${bar_A} Å`, canvas.width / 24, y - 6);
  c.restore();
}

function sliceWords(volume, plane, index) {
  return `${plane} slice ${planeNumber(volume, AXES[plane], index)} of ${volume.box}`;
}

// The densest plane of the particle; where none stands out of the solvent the middle of the box.
function firstPlane(volume, axis) {
  return volume.mask ? densestPlane(volume, axis) : Math.floor(volume.edge / 2);
}

// The three planes; `places` keeps where the reader is, in voxels of this volume.
function showSlices(volume, places, onChange) {
  fill(
    $("slices"),
    Object.keys(AXES).map((plane) => {
      const axis = AXES[plane];
      places[plane] = Math.min(volume.edge - 1, places[plane] ?? firstPlane(volume, axis));
      const canvas = el("canvas", { width: 2 * 220, height: 2 * 220, role: "img" }),
        words = el("span", {});
      const draw = () => {
        drawSlice(canvas, volume, plane, places[plane]);
        drawBar(canvas, volume);
        words.textContent = sliceWords(volume, plane, places[plane]);
        canvas.setAttribute("aria-label", `${words.textContent}, with the outline of the mask`);
      };
      const slider = el("input", {
        type: "range",
        min: 0,
        max: volume.edge - 1,
        value: places[plane],
        "aria-label": `Position of the ${plane} slice`,
        oninput: (e) => {
          places[plane] = Number(e.target.value);
          draw();
          onChange(plane);
        },
      });
      const large = el(
        "button",
        {
          type: "button",
          class: "picture",
          "aria-label": `Show the ${plane} slice large`,
          onclick: () => showLarge(volume, plane, places),
        },
        canvas,
      );
      draw();
      return el("figure", { class: "slice" }, large, slider, el("figcaption", {}, words));
    }),
  );
}

// One slice as large as the window allows; Escape or a click closes it.
function showLarge(volume, plane, places) {
  const size = Math.round(0.8 * Math.min(innerWidth, innerHeight)) * devicePixelRatio;
  const canvas = el("canvas", { width: size, height: size, role: "img" });
  const draw = () => {
    drawSlice(canvas, volume, plane, places[plane]);
    drawBar(canvas, volume);
    canvas.setAttribute("aria-label", sliceWords(volume, plane, places[plane]));
    $("large-words").textContent = sliceWords(volume, plane, places[plane]);
  };
  fill($("large-picture"), canvas);
  const slider = $("large-slider");
  Object.assign(slider, { max: volume.edge - 1, value: places[plane] });
  slider.oninput = () => {
    places[plane] = Number(slider.value);
    draw();
  };
  draw();
  $("large").showModal();
  $("large").onclose = () => showSlices(volume, places, () => {});
}
