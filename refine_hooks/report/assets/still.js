// A still picture of the map where the browser has no WebGL: the first crossing of the level along each ray, shaded.
const STILL_PX = 220,
  STEPS_A_VOXEL = 2;

function drawStill(canvas, { voxels, n, level, turn, colourAt, background }) {
  const small = el("canvas", { width: STILL_PX, height: STILL_PX }),
    image = new ImageData(STILL_PX, STILL_PX);
  const steps = STEPS_A_VOXEL * n;
  for (let j = 0; j < STILL_PX; j++) {
    for (let i = 0; i < STILL_PX; i++) {
      const [u, v] = [(2 * i) / (STILL_PX - 1) - 1, 1 - (2 * j) / (STILL_PX - 1)];
      const hit = firstCrossing(voxels, n, level, turn, u, v, steps);
      const rgb = hit ? shaded(voxels, n, turn, hit, colourAt(hit.index)) : background;
      image.data.set([...rgb.map((c) => Math.round(255 * Math.min(1, c))), 255], 4 * (j * STILL_PX + i));
    }
  }
  small.getContext("2d").putImageData(image, 0, 0);
  const c = canvas.getContext("2d");
  c.imageSmoothingQuality = "high";
  c.drawImage(small, 0, 0, canvas.width, canvas.height);
}

// From a point of the screen backwards, in voxels; `turn` has its columns first. The box ends at -1 and 1.
function firstCrossing(voxels, n, level, turn, u, v, steps) {
  const half = (n - 1) / 2,
    [ax, ay, az] = [0, 1, 2].map((k) => (u * turn[3 * k] + v * turn[3 * k + 1] + 1) * half + 0.5),
    [bx, by, bz] = [0, 1, 2].map((k) => turn[3 * k + 2] * half);
  for (let s = 0; s <= steps; s++) {
    const w = 1 - (2 * s) / steps,
      x = Math.floor(ax + w * bx),
      y = Math.floor(ay + w * by),
      z = Math.floor(az + w * bz);
    if (x < 0 || y < 0 || z < 0 || x >= n || y >= n || z >= n) continue;
    const index = (z * n + y) * n + x;
    if (voxels[index] > level) return { index, x, y, z, w };
  }
  return null;
}

function shaded(voxels, n, turn, { x, y, z, w }, rgb) {
  const value = (a, b, c) => voxels[(clamped(c, n) * n + clamped(b, n)) * n + clamped(a, n)];
  const slope = [
    value(x - 1, y, z) - value(x + 1, y, z),
    value(x, y - 1, z) - value(x, y + 1, z),
    value(x, y, z - 1) - value(x, y, z + 1),
  ];
  const side = [0, 1, 2].map((row) => slope.reduce((sum, s, k) => sum + s * turn[3 * k + row], 0));
  const long = Math.hypot(...side) || 1,
    light = Math.abs(0.34 * side[0] + 0.42 * side[1] + 0.84 * side[2]) / long;
  return rgb.map((c) => c * (0.35 + 0.55 * light + 0.15 * w));
}

function clamped(i, n) {
  return Math.min(n - 1, Math.max(0, i));
}
