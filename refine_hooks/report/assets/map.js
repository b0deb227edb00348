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
  $("surface-figure").hidden = !map.scene;
  return !map.scene;
}

function showSurfaces() {
  if (noScene()) return;
  const { volume, scene } = map,
    rgb = (name) => hexadecimal(css(name));
  $("level").value = map.level;
  for (const name of ["show-mask", "only-inside"]) $(name).disabled = !volume.mask;
  const drawn = (name, voxels, at) => ($(name).checked && voxels ? surfaceOf(voxels, volume.edge, at) : null);
  const density = $("only-inside").checked && volume.mask ? insideOf(volume) : volume.map;
  setPart(scene, "map", drawn("show-map", density, map.level), rgb("--surface"), 1);
  setPart(scene, "mask", drawn("show-mask", volume.mask, 127.5), [1, 0.48, 0], 0.22);
  $("level-words").textContent =
    `contour at ${(map.level / 2.55).toFixed(0)} % between the lowest and the highest density`;
  drawScene(scene);
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
  for (const name of ["show-map", "show-mask", "only-inside"]) $(name).addEventListener("change", showSurfaces);
  $("large").addEventListener("click", (e) => {
    if (e.target === $("large")) $("large").close();
  });
  beginStrip();
}
