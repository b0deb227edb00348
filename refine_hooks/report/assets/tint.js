// The colours of the surface: one, or those of the local resolution, blue where it is fine and red where it is coarse.
const FINE_TO_COARSE = ["#2166ac", "#67a9cf", "#f2f2f2", "#ef8a62", "#b2182b"];
const NO_PLACE = [0.6, 0.6, 0.6];

function resolutionColour(share) {
  const at = Math.min(1, Math.max(0, share)) * (FINE_TO_COARSE.length - 1),
    i = Math.min(FINE_TO_COARSE.length - 2, Math.floor(at));
  const [a, b] = [FINE_TO_COARSE[i], FINE_TO_COARSE[i + 1]].map(hexadecimal);
  return a.map((v, k) => v + (at - i) * (b[k] - v));
}

// One colour for each of the 256 values of local resolution in a voxel; 0 is one far from any place that has one.
function resolutionColours() {
  return Array.from({ length: 256 }, (_, v) => (v ? resolutionColour((v - 1) / 254) : NO_PLACE));
}

// Red, green and blue of every vertex, by the voxel that it lies in.
function tintsOf(surface, n, local, plain) {
  const tints = new Float32Array(surface.positions.length),
    colours = local && resolutionColours();
  const voxel = (p) => Math.round(((p + 1) / 2) * (n - 1));
  for (let i = 0; i < tints.length; i += 3) {
    const [x, y, z] = [0, 1, 2].map((k) => voxel(surface.positions[i + k]));
    tints.set(local ? colours[local.values[(z * n + y) * n + x]] : plain, i);
  }
  return tints;
}

// The colours with their lengths, for below the map.
function resolutionScale(local) {
  const drawn = ramp(
    Array.from({ length: 20 }, (_, i) => `rgb(${resolutionColour(i / 19).map((v) => Math.round(255 * v))})`),
  );
  return [el("span", {}, `local resolution ${angstrom(local.from_A)}`), drawn, el("span", {}, angstrom(local.to_A))];
}
