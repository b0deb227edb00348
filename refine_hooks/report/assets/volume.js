// A round's map and mask, from the picture that holds their planes; planes and places in it.
const AXES = { XY: 2, XZ: 1, YZ: 0 }; // the axis that a plane lies across: x, y, z are 0, 1, 2

// The round's volume with its voxels, decoded once: map and mask 0..255, x fastest.
async function loadVolume(about) {
  if (about.map) return about;
  const n = about.edge,
    { pixels, width } = await pixelsOf(about.src);
  const below = Math.ceil(n / about.across) * n;
  const local = about.local && (await pixelsOf(about.local.src).catch(() => null));
  about.mask = about.masked ? planesOf(pixels, width, n, about.across, below) : null;
  about.local = local ? { ...about.local, values: planesOf(local.pixels, local.width, n, about.across, 0) } : null;
  about.map = planesOf(pixels, width, n, about.across, 0);
  return about;
}

async function pixelsOf(src) {
  const image = new Image();
  image.src = src;
  await image.decode();
  const canvas = el("canvas", { width: image.width, height: image.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return { pixels: context.getImageData(0, 0, image.width, image.height).data, width: image.width };
}

function planesOf(pixels, width_px, n, across, top) {
  const voxels = new Uint8Array(n ** 3);
  for (let z = 0, to = 0; z < n; z++) {
    const left = (z % across) * n,
      above = top + Math.floor(z / across) * n;
    for (let y = 0; y < n; y++) {
      const from = (above + y) * width_px + left;
      for (let x = 0; x < n; x++) voxels[to++] = pixels[4 * (from + x)];
    }
  }
  return voxels;
}

// One plane as rows of n values, the lowest row first.
function planeOf(voxels, n, axis, index) {
  const plane = new Uint8Array(n * n),
    step = [1, n, n * n];
  const [across, up] = [0, 1, 2].filter((one) => one !== axis);
  for (let j = 0, to = 0; j < n; j++) {
    for (let i = 0; i < n; i++) plane[to++] = voxels[index * step[axis] + i * step[across] + j * step[up]];
  }
  return plane;
}

// Angstrom from the centre of the box, along one axis, of the middle of a voxel of the volume; and back.
function placeOf(volume, axis, index) {
  const voxel_A = volume.voxel_A / volume.step;
  return (volume.start[axis] + (index + 0.5) * volume.step - volume.box / 2) * voxel_A;
}
function indexAt(volume, axis, place_A) {
  const voxel_A = volume.voxel_A / volume.step,
    at = place_A / voxel_A + volume.box / 2 - volume.start[axis];
  return Math.min(volume.edge - 1, Math.max(0, Math.round(at / volume.step - 0.5)));
}

// The number of a plane as the whole box counts it.
function planeNumber(volume, axis, index) {
  return volume.start[axis] + Math.floor((index + 0.5) * volume.step) + 1;
}

// The plane with most density within the mask: where one begins to look.
function densestPlane(volume, axis) {
  const n = volume.edge,
    sums = new Float64Array(n),
    step = [1, n, n * n][axis];
  for (let i = 0; i < n ** 3; i++) {
    if (!volume.mask || volume.mask[i] > 127) sums[Math.floor(i / step) % n] += volume.map[i] ** 2;
  }
  return sums.indexOf(Math.max(...sums));
}
