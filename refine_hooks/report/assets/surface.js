// The surface of a volume at a level, as triangles: naive surface nets (S. F. Gibson, MICCAI 1998), one vertex a cell.
// The eight corners of a cell are numbered x + 2 y + 4 z.
const EDGES = [
  [0, 1],
  [2, 3],
  [4, 5],
  [6, 7],
  [0, 2],
  [1, 3],
  [4, 6],
  [5, 7],
  [0, 4],
  [1, 5],
  [2, 6],
  [3, 7],
];

// Positions in -1..1, normals that point to lower density, and triangles; a surface ends at the volume's faces.
function surfaceOf(voxels, n, level) {
  const corners = [0, 1, n, n + 1, n * n, n * n + 1, n * n + n, n * n + n + 1],
    m = n - 1;
  const vertex = new Int32Array(m ** 3).fill(-1),
    values = new Float32Array(8),
    place = new Float32Array(3);
  const positions = [],
    normals = [];
  for (let z = 0, cell = 0; z < m; z++) {
    for (let y = 0; y < m; y++) {
      for (let x = 0, voxel = (z * n + y) * n; x < m; x++, cell++, voxel++) {
        let inside = 0;
        for (let i = 0; i < 8; i++) if (voxels[voxel + corners[i]] > level) inside++;
        if (inside === 0 || inside === 8) continue;
        for (let i = 0; i < 8; i++) values[i] = voxels[voxel + corners[i]] - level;
        vertex[cell] = positions.length / 3;
        meanOfCuts(values, place);
        positions.push((2 * (x + place[0])) / m - 1, (2 * (y + place[1])) / m - 1, (2 * (z + place[2])) / m - 1);
        pushSlope(normals, values, place);
      }
    }
  }
  const triangles = new Uint32Array(quads(voxels, n, level, vertex));
  return { positions: new Float32Array(positions), normals: new Float32Array(normals), triangles };
}

// The mean of where the level cuts the edges of a cell, 0..1 along x, y and z.
function meanOfCuts(values, place) {
  let cuts = 0;
  place.fill(0);
  for (const [a, b] of EDGES) {
    if (values[a] > 0 === values[b] > 0) continue;
    const t = values[a] / (values[a] - values[b]);
    for (let k = 0; k < 3; k++) place[k] += ((a >> k) & 1) + t * (((b >> k) & 1) - ((a >> k) & 1));
    cuts++;
  }
  for (let k = 0; k < 3; k++) place[k] /= cuts;
}

// Minus the gradient of the trilinear density within a cell, of length 1.
function pushSlope(normals, values, [x, y, z]) {
  let gx = 0,
    gy = 0,
    gz = 0;
  for (let i = 0; i < 8; i++) {
    const wx = i & 1 ? x : 1 - x,
      wy = i & 2 ? y : 1 - y,
      wz = i & 4 ? z : 1 - z;
    gx -= values[i] * (i & 1 ? 1 : -1) * wy * wz;
    gy -= values[i] * (i & 2 ? 1 : -1) * wx * wz;
    gz -= values[i] * (i & 4 ? 1 : -1) * wx * wy;
  }
  const length = Math.hypot(gx, gy, gz) || 1;
  normals.push(gx / length, gy / length, gz / length);
}

// Two triangles for each edge of the grid that crosses the level, between the four cells around it.
function quads(voxels, n, level, vertex) {
  const m = n - 1,
    steps = [1, n, n * n],
    cells = [1, m, m * m],
    triangles = [];
  for (let k = 0; k < 3; k++) {
    const a = (k + 1) % 3,
      b = (k + 2) % 3,
      first = [a, b].map((axis_) => cells[axis_]);
    const start = [0, 1, 2].map((axis_) => (axis_ === k ? 0 : 1));
    for (let z = start[2]; z < m; z++) {
      for (let y = start[1]; y < m; y++) {
        for (let x = start[0]; x < m; x++) {
          const voxel = (z * n + y) * n + x,
            low = voxels[voxel] > level;
          if (low === voxels[voxel + steps[k]] > level) continue;
          const cell = (z * m + y) * m + x;
          const p = vertex[cell],
            q = vertex[cell - first[0]];
          const r = vertex[cell - first[0] - first[1]],
            s = vertex[cell - first[1]];
          if (low) triangles.push(p, q, r, p, r, s);
          else triangles.push(p, r, q, p, s, r);
        }
      }
    }
  }
  return triangles;
}
