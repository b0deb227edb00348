// Small things that everything else uses: elements, numbers in words, packed arrays.
const UNDEFINED = -32768,
  STEP = 1e-4;

function $(id) {
  return document.getElementById(id);
}

// Text goes in as text nodes only: nothing that a log says can become markup.
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (isNothing(value) || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "color") node.style.borderColor = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) if (!isNothing(child) && child !== false) node.append(child);
  return node;
}

function svgNode(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function fill(node, ...children) {
  node.replaceChildren(...children.flat().filter((c) => !isNothing(c) && c !== false));
}

// Numbers over the shells: a plain array, or packed as 16-bit integers of 1/10000.
function unpacked(numbers) {
  if (!numbers) return null;
  if (Array.isArray(numbers)) return numbers;
  const raw = atob(numbers.packed),
    values = new Array(raw.length / 2);
  for (let i = 0; i < values.length; i++) {
    let v = raw.charCodeAt(2 * i) | (raw.charCodeAt(2 * i + 1) << 8);
    if (v >= 32768) v -= 65536;
    values[i] = v === UNDEFINED ? null : v * STEP;
  }
  return values;
}

function isNothing(value) {
  return value === null || value === undefined;
}
function angstrom(value) {
  return isNothing(value) ? "–" : value.toFixed(value < 99.995 ? 2 : 1) + " Å";
}
function interval(range) {
  return range ? range[0].toFixed(2) + "–" + range[1].toFixed(2) + " Å" : "";
}
function correlation(value) {
  return isNothing(value) ? "–" : value.toFixed(4);
}
function count(value) {
  return isNothing(value) ? "–" : value.toLocaleString("en");
}
function when(text) {
  return text ? text.replace("T", " ").replace(/\+00:00$|Z$/, " UTC") : "";
}
// What the style sheet names; asked for once, since every question makes the browser lay out the page.
const ofStyle = new Map();
function css(name) {
  if (!ofStyle.has(name)) {
    ofStyle.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  }
  return ofStyle.get(name);
}

function stored(name, value) {
  // A page opened from disk may have no storage at all.
  try {
    if (value === undefined) return localStorage.getItem("refine_hooks." + name);
    localStorage.setItem("refine_hooks." + name, value);
  } catch {
    /* not remembered, then */
  }
  return null;
}

// 2026-11-28T09:15:00+00:00 as a reader's own day and time.
function localTime(text, withDay = true) {
  const at = new Date(text),
    two = (n) => String(n).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return withDay ? `${day} ${time}` : time;
}

// Does something when the page has been drawn; of several such tasks only the last one.
let waiting = 0;
function later(task) {
  clearTimeout(waiting);
  requestAnimationFrame(() => {
    clearTimeout(waiting);
    waiting = setTimeout(task, 50); // a first click comes before
  });
}

function plural(n, word) {
  return `${n} ${word}${n === 1 ? "" : "s"}`;
}
