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
  visible: (curve) => state.overrides[curve.name] ?? curve.visible,
  plotted: (name) => state.plots[name] ?? plottedAtFirst(name),
};

const source = live
  ? {
      async logs() {
        return (await got("api/logs")).logs;
      },
      async open(id) {
        return { ...(await got(`api/log/${id}?after=0`)), details: {} };
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
        return embedded.logs.find((l) => l.id === id);
      },
      async detail(log, key) {
        return log.details[key] || null;
      },
      async overRounds(log, key, curve, rows) {
        return rows
          .map((row) => log.details[row.key])
          .filter(Boolean)
          .map((detail) => overRound(detail, curve));
      },
    };

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
function allRounds() {
  const rows = [...allRows()],
    known = new Set(rows.map((r) => r.key));
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
function sameTrack() {
  const here = state.row;
  return here
    ? allRows()
        .filter((r) => trackOf(r) === trackOf(here))
        .sort((a, b) => a.iteration - b.iteration)
    : [];
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
