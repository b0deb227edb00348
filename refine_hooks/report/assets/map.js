// The card of the map: the surface in three dimensions, the slices, and the pictures that were drawn beforehand.
const map = { scene: undefined, volume: null, places: {}, level: null };

// Shows a round's volume, or its pictures alone where there is none. What one looks at stays: place and orientation.
async function showMap(detail) {
  const about = detail?.volume || null,
    pictures = detail?.pictures || [];
  $("volume").hidden = !about;
  showPictures(about ? pictures.filter((p) => p.kind === "views" || (p.kind === "mask" && noScene())) : pictures);
  const before = map.volume;
  map.volume = null;
  const volume = about && (await loadVolume(about).catch(() => null));
  if (state.detail !== detail) return;
  if (!volume) {
    $("volume").hidden = true;
    return showPictures(pictures);
  }
  for (const [plane, axis] of Object.entries(AXES)) {
    if (before) map.places[plane] = indexAt(volume, axis, placeOf(before, axis, map.places[plane]));
  }
  map.volume = volume;
  map.level = volume.level;
  $("volume-words").textContent =
    `Average of the two half maps${
      volume.resolution_A ? `, low-pass filtered to ${angstrom(volume.resolution_A)}` : ""
    }, voxels of ${volume.voxel_A.toFixed(2)} Å` +
    `${volume.masked ? "; orange: edge of the mask (value 0.5)" : "; there is no mask"}.`;
  showSlices(volume, map.places, onSliceMoved);
  showSurfaces();
  resetStrip();
}

function noScene() {
  if (map.scene === undefined) map.scene = sceneOn($("surface"));
  return !map.scene;
}

function showSurfaces() {
  const { volume } = map,
    local = $("by-resolution").checked ? volume.local : null;
  $("level").value = map.level;
  for (const name of ["show-mask", "only-inside"]) $(name).disabled = !volume.mask;
  $("by-resolution").closest("label").hidden = !volume.local;
  fill($("resolution-scale"), local ? resolutionScale(local) : null);
  $("level-words").textContent =
    `contour at ${(map.level / 2.55).toFixed(0)} % between the lowest and the highest density`;
  const density = $("only-inside").checked && volume.mask ? insideOf(volume) : volume.map;
  if (noScene()) return showStill(density, local);
  drawPart("map", $("show-map").checked && density, map.level, 1, hexadecimal(css("--surface")), local);
  // A grey mask leaves the colours as they are.
  const [tint, opacity] = local ? [[0.5, 0.55, 0.6], 0.16] : [[1, 0.48, 0], 0.22];
  drawPart("mask", $("show-mask").checked && volume.mask, 127.5, opacity, tint, null);
  drawScene(map.scene);
}

function drawPart(name, voxels, level, opacity, plain, local) {
  const n = map.volume.edge,
    surface = voxels ? surfaceOf(voxels, n, level) : null;
  setPart(map.scene, name, surface, surface && tintsOf(surface, n, local, plain), opacity);
}

function showStill(density, local) {
  const colours = local && resolutionColours(),
    plain = hexadecimal(css("--surface"));
  for (const name of ["show-map", "show-mask"]) $(name).closest("label").hidden = true;
  drawStill($("surface"), {
    voxels: density,
    n: map.volume.edge,
    level: map.level,
    turn: firstTurn(),
    colourAt: (index) => (local ? colours[local.values[index]] : plain),
    background: hexadecimal(css("--faint")),
  });
}

// The density times the mask: without the noise of the solvent, which hides everything.
function insideOf(volume) {
  return (volume.inside ||= volume.map.map((value, i) => (value * volume.mask[i]) / 255));
}

function hexadecimal(colour_) {
  return [1, 3, 5].map((i) => parseInt(colour_.slice(i, i + 2), 16) / 255);
}

function beginMap() {
  $("level").addEventListener("input", (e) => {
    map.level = Number(e.target.value);
    showSurfaces();
  });
  for (const name of ["show-map", "show-mask", "only-inside", "by-resolution"])
    $(name).addEventListener("change", showSurfaces);
  $("large").addEventListener("click", (e) => {
    if (e.target === $("large")) $("large").close();
  });
  beginStrip();
}
