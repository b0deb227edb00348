// Surfaces in WebGL: an opaque map within a translucent mask, turned by mouse, touch and arrow keys.
const VERTEX = `attribute vec3 position, normal, tint; uniform mat3 turn; uniform float zoom;
varying vec3 side, colour; varying float depth;
void main() { vec3 p = turn * position; side = turn * normal; depth = p.z; colour = tint;
  gl_Position = vec4(p.xy * zoom, -p.z * 0.5, 1.0); }`;
const FRAGMENT = `precision mediump float; uniform float opacity;
varying vec3 side, colour; varying float depth;
void main() { float light = abs(dot(normalize(side), normalize(vec3(0.4, 0.5, 1.0))));
  float rim = opacity < 1.0 ? 1.0 + 1.2 * (1.0 - abs(normalize(side).z)) : 1.0;
  gl_FragColor = vec4(colour * (0.35 + 0.55 * light + 0.15 * depth), 1.0) * min(1.0, opacity * rim); }`;

// A scene on a canvas; null where there is no WebGL.
function sceneOn(canvas) {
  const options = { alpha: true, antialias: true, preserveDrawingBuffer: true };
  const gl = canvas.getContext("webgl2", options) || canvas.getContext("webgl", options);
  if (!gl || (gl.getExtension("OES_element_index_uint") === null && gl.getParameter(gl.VERSION).includes("1.0"))) {
    return null;
  }
  const program = linkedProgram(gl),
    named = (name) => gl.getUniformLocation(program, name);
  const uniforms = Object.fromEntries(["turn", "zoom", "opacity"].map((name) => [name, named(name)]));
  const scene = {
    canvas,
    gl,
    program,
    uniforms,
    parts: {},
    turn: firstTurn(),
    zoom: 0.98,
  };
  gl.useProgram(program);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  followPointers(scene);
  return scene;
}

function linkedProgram(gl) {
  const program = gl.createProgram();
  for (const [kind, text] of [
    [gl.VERTEX_SHADER, VERTEX],
    [gl.FRAGMENT_SHADER, FRAGMENT],
  ]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  return program;
}

// Puts a surface in place of the one of that name; null takes it away.
function setPart(scene, name, surface, tints, opacity) {
  const gl = scene.gl,
    before = scene.parts[name];
  for (const buffer of before ? before.buffers : []) gl.deleteBuffer(buffer);
  delete scene.parts[name];
  if (!surface) return;
  const stored = (target, data) => {
    const buffer = gl.createBuffer();
    gl.bindBuffer(target, buffer);
    gl.bufferData(target, data, gl.STATIC_DRAW);
    return buffer;
  };
  const buffers = [
    stored(gl.ARRAY_BUFFER, surface.positions),
    stored(gl.ARRAY_BUFFER, surface.normals),
    stored(gl.ARRAY_BUFFER, tints),
    stored(gl.ELEMENT_ARRAY_BUFFER, surface.triangles),
  ];
  scene.parts[name] = { buffers, count: surface.triangles.length, opacity };
}

function drawScene(scene) {
  const { gl, canvas, uniforms } = scene;
  gl.viewport(0, 0, canvas.width, canvas.height);
  gl.clearColor(0, 0, 0, 0);
  gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  gl.uniformMatrix3fv(uniforms.turn, false, scene.turn);
  gl.uniform1f(uniforms.zoom, scene.zoom);
  gl.enable(gl.DEPTH_TEST);
  const parts = Object.values(scene.parts).sort((a, b) => b.opacity - a.opacity); // what is translucent comes last
  for (const part of parts) {
    gl.depthMask(part.opacity === 1);
    ["position", "normal", "tint"].forEach((name, i) => {
      const place = gl.getAttribLocation(scene.program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, part.buffers[i]);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 0, 0);
    });
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, part.buffers[3]);
    gl.uniform1f(uniforms.opacity, part.opacity);
    gl.drawElements(gl.TRIANGLES, part.count, gl.UNSIGNED_INT, 0);
  }
  gl.depthMask(true);
}

function firstTurn() {
  return turned([1, 0, 0, 0, 1, 0, 0, 0, 1], 0.5, 0.35);
}

// A rotation (columns first) turned further about the vertical and the horizontal axis of the screen, in radians.
function turned(turn, aboutY, aboutX) {
  const [c, s, d, t] = [Math.cos(aboutY), Math.sin(aboutY), Math.cos(aboutX), Math.sin(aboutX)];
  const by = [
    [c, 0, s],
    [t * s, d, -t * c],
    [-d * s, t, d * c],
  ]; // rows
  const out = [];
  for (let column = 0; column < 3; column++) {
    for (let row = 0; row < 3; row++) {
      out.push(by[row][0] * turn[3 * column] + by[row][1] * turn[3 * column + 1] + by[row][2] * turn[3 * column + 2]);
    }
  }
  return out;
}

function followPointers(scene) {
  const { canvas } = scene,
    fingers = new Map();
  const apart = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  const zoomed = (by) => {
    scene.zoom = Math.min(4, Math.max(0.3, scene.zoom * by));
    drawScene(scene);
  };
  canvas.addEventListener("pointerdown", (e) => {
    canvas.setPointerCapture(e.pointerId);
    fingers.set(e.pointerId, { x: e.clientX, y: e.clientY });
  });
  canvas.addEventListener("pointermove", (e) => {
    const before = fingers.get(e.pointerId);
    if (!before) return;
    const now = { x: e.clientX, y: e.clientY },
      was = fingers.size === 2 ? apart() : 0;
    fingers.set(e.pointerId, now);
    if (was) return zoomed(apart() / was);
    scene.turn = turned(scene.turn, (now.x - before.x) / 120, (now.y - before.y) / 120);
    drawScene(scene);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (e) => fingers.delete(e.pointerId));
  canvas.addEventListener(
    "wheel",
    (e) => {
      if (document.activeElement !== canvas) return; // the page scrolls until one has clicked on the map
      e.preventDefault();
      zoomed(Math.exp(-e.deltaY / 500));
    },
    { passive: false },
  );
  canvas.addEventListener("keydown", (e) => {
    const by = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[e.key];
    if (by) scene.turn = turned(scene.turn, ...by);
    if (!by && e.key !== "+" && e.key !== "-") return;
    e.preventDefault();
    e.stopPropagation();
    zoomed(e.key === "+" ? 1.15 : e.key === "-" ? 1 / 1.15 : 1);
  });
}
