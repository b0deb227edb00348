// The surface of a volume at a level, as triangles: naive surface nets (S. F. Gibson, MICCAI 1998), one vertex a cell.
const CORNERS = [
  [0, 0, 0],
  [1, 0, 0],
  [0, 1, 0],
  [1, 1, 0],
  [0, 0, 1],
  [1, 0, 1],
  [0, 1, 1],
  [1, 1, 1],
];
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
  const at = (x, y, z) => voxels[(z * n + y) * n + x],
    vertex = new Int32Array((n - 1) ** 3).fill(-1);
  const positions = [],
    normals = [],
    values = new Array(8),
    m = n - 1;
  for (let z = 0, cell = 0; z < m; z++)
    for (let y = 0; y < m; y++)
      for (let x = 0; x < m; x++, cell++) {
        let inside = 0;
        for (let i = 0; i < 8; i++) {
          const [dx, dy, dz] = CORNERS[i];
          values[i] = at(x + dx, y + dy, z + dz) - level;
          if (values[i] > 0) inside++;
        }
        if (inside === 0 || inside === 8) continue;
        vertex[cell] = positions.length / 3;
        const p = meanOfCuts(values);
        positions.push(...[x + p[0], y + p[1], z + p[2]].map((v) => (2 * v) / m - 1));
        normals.push(...slope(values, p));
      }
  return {
    positions: new Float32Array(positions),
    normals: new Float32Array(normals),
    triangles: new Uint32Array(quads(voxels, n, level, vertex)),
  };
}

function meanOfCuts(values) {
  const sum = [0, 0, 0];
  let cuts = 0;
  for (const [a, b] of EDGES) {
    if (values[a] > 0 === values[b] > 0) continue;
    const t = values[a] / (values[a] - values[b]);
    for (let k = 0; k < 3; k++) sum[k] += CORNERS[a][k] + t * (CORNERS[b][k] - CORNERS[a][k]);
    cuts++;
  }
  return sum.map((v) => v / cuts);
}

// Minus the gradient of the trilinear density within a cell.
function slope(values, p) {
  const g = [0, 0, 0];
  for (let i = 0; i < 8; i++) {
    const w = CORNERS[i].map((c, k) => (c ? p[k] : 1 - p[k])),
      sign = CORNERS[i].map((c) => (c ? 1 : -1));
    g[0] -= values[i] * sign[0] * w[1] * w[2];
    g[1] -= values[i] * sign[1] * w[0] * w[2];
    g[2] -= values[i] * sign[2] * w[0] * w[1];
  }
  const length = Math.hypot(...g) || 1;
  return g.map((v) => v / length);
}

// Two triangles for each edge of the grid that crosses the level, between the four cells around it.
function quads(voxels, n, level, vertex) {
  const m = n - 1,
    step = [1, n, n * n],
    cellStep = [1, m, m * m],
    triangles = [];
  for (let z = 0; z < m; z++)
    for (let y = 0; y < m; y++)
      for (let x = 0; x < m; x++) {
        const here = [x, y, z],
          voxel = (z * n + y) * n + x,
          cell = (z * m + y) * m + x;
        for (let k = 0; k < 3; k++) {
          const a = (k + 1) % 3,
            b = (k + 2) % 3;
          if (!here[a] || !here[b]) continue;
          const low = voxels[voxel] > level,
            high = voxels[voxel + step[k]] > level;
          if (low === high) continue;
          const [p, q, r, s] = [cell, cell - cellStep[a], cell - cellStep[a] - cellStep[b], cell - cellStep[b]].map(
            (c) => vertex[c],
          );
          triangles.push(...(low ? [p, q, r, p, r, s] : [p, r, q, p, s, r]));
        }
      }
  return triangles;
}
