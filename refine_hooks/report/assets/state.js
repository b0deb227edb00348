// State, and where the data come from: the page itself, or the server that sent it.
const embedded = JSON.parse($("data").textContent),
  live = embedded.mode === "live";
const charts = {};
const state = {
  logs: [],
  log: null,
  rows: [],
  track: "",
  key: null,
  compare: "",
  logarithmic: false,
  directions: false,
  over: "round",
  overrides: {},
  plots: {},
  active: null,
  detail: null,
  other: null,
  row: null,
  seq: 0,
  best: null,
  visible: (curve) => state.overrides[curve.name] ?? curve.visible,
  plotted: (name) => state.plots[name] ?? plottedAtFirst(name),
};

// The live page opens on the newest rounds and gets the others when these are drawn.
const ROUNDS_AT_FIRST = 400;
async function loadHistory(log) {
  if (!log.older) return false;
  const { rows, seq } = await got(`api/log/${log.id}?after=0`);
  const all = new Map(rows.map((r) => [r.key, r]));
  for (const row of log.rows) if (!all.has(row.key) || seq < state.seq) all.set(row.key, row);
  Object.assign(log, { rows: [...all.values()], older: 0 });
  if (state.log === log) state.seq = Math.max(seq, state.seq);
  return true;
}

const source = live
  ? {
      async logs() {
        return (await got("api/logs")).logs;
      },
      async open(id) {
        return { ...(await got(`api/log/${id}?after=0&newest=${ROUNDS_AT_FIRST}`)), details: {} };
      },
      async detail(log, key) {
        return (log.details[key] ||= await got(`api/log/${log.id}/round?key=${encodeURIComponent(key)}`));
      },
      async overRounds(log, key, curve) {
        const query = new URLSearchParams({ key, curve: curve || "" });
        return (await got(`api/log/${log.id}/rounds?${query}`)).rounds;
      },
    }
  : {
      async logs() {
        return embedded.logs;
      },
      async open(id) {
        const log = embedded.logs.find((l) => l.id === id);
        return { ...log, rows: unpackedJson(log.rows), details: {} };
      },
      async detail(log, key) {
        return storedRound(log, key);
      },
      async overRounds(log, key, curve, rows) {
        const found = [];
        for (const row of rows.slice(-ROUNDS_BESIDE)) {
          const began = performance.now();
          found.push(storedRound(log, row.key));
          if (performance.now() - began > 1) await pause();
        }
        return found.filter(Boolean).map((detail) => overRound(detail, curve));
      },
    };

// A report holds every round in an element of its own, which is read when the round is looked at.
const ROUNDS_BESIDE = 250;
function storedRound(log, key) {
  if (!(key in log.details)) {
    const node = document.querySelector(`script[data-round="${CSS.escape(key)}"]`);
    const held = node && JSON.parse(node.textContent);
    log.details[key] = held && { ...unpackedJson(held.detail), ...held.seen };
  }
  return log.details[key];
}

async function got(url) {
  const answer = await fetch(url, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

// The curves that rounds are quoted with, our corrected ones, and those of masks that have no corrected one.
function plottedAtFirst(name) {
  const all = Object.values(state.log.curves),
    curve = state.log.curves[name];
  if (allRows().some((row) => row.headline === name)) return true;
  if (curve.mask === null || isOfProgram(curve)) return false;
  return curve.kind !== "measured" || !all.some((c) => c.kind === "corrected" && c.mask === curve.mask);
}

function allRows() {
  return state.log ? state.log.rows : [];
}

// Measured rounds in the order of the log, and between them those that failed and were never measured.
const ofRounds = { rows: null, failures: null, all: [] };
function allRounds() {
  const rows = allRows(),
    failures = state.log?.failures || null;
  if (ofRounds.rows !== rows || ofRounds.failures !== failures) {
    Object.assign(ofRounds, { rows, failures, all: withFailures([...rows]) });
  }
  return ofRounds.all;
}

function withFailures(rows) {
  const known = new Set(rows.map((r) => r.key));
  for (const f of (state.log?.failures || []).filter((one) => !known.has(one.key))) {
    const before = rows.findLastIndex((r) => Date.parse(r.at) <= Date.parse(f.at));
    rows.splice(before + 1, 0, { ...f, failed: true, res: {}, headline: null, particles: null });
  }
  return rows;
}

// The rounds that are listed: of one run and class by iteration, else all in the order of the log.
function listed() {
  if (!state.track) return allRounds();
  return allRounds()
    .filter((r) => trackOf(r) === state.track)
    .sort((a, b) => a.iteration - b.iteration);
}

// The measured rounds of the selected round's run and class, by iteration.
const ofTrack = { rows: null, track: "", found: [] };
function sameTrack() {
  const here = state.row,
    rows = allRows();
  if (!here) return [];
  if (ofTrack.rows !== rows || ofTrack.track !== trackOf(here)) {
    const found = rows.filter((r) => r.run === here.run && r.class === here.class);
    found.sort((a, b) => a.iteration - b.iteration);
    Object.assign(ofTrack, { rows, track: trackOf(here), found });
  }
  return ofTrack.found;
}

const rowsByKey = { rows: null, found: new Map() };
function rowOf(key) {
  const rows = allRows();
  if (rowsByKey.rows !== rows) Object.assign(rowsByKey, { rows, found: new Map(rows.map((r) => [r.key, r])) });
  return rowsByKey.found.get(key);
}

// The newest round with a number of ours, else the newest with any number, else the newest.
function mostUseful(rows) {
  const hasNumber = (r) => r.headline && r.res[r.headline];
  const newest = (wanted) => rows.findLast((r) => hasNumber(r) && wanted(state.log.curves[r.headline]));
  return newest((curve) => !isOfProgram(curve)) || newest(() => true) || rows.at(-1) || null;
}

// The failure that is newer than every measured round; null where there is none.
function newestFailure() {
  const last = (list) => list.reduce((a, b) => (a && Date.parse(a.at) >= Date.parse(b.at) ? a : b), null);
  const failure = last(state.log?.failures || []),
    measured = last(allRows());
  return failure && (!measured || Date.parse(failure.at) > Date.parse(measured.at)) ? failure : null;
}
