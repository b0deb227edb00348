// The list of rounds: measured ones and failed ones, the newest first, and the words for where a round belongs.
const ROW_PX = 50;

function trackOf(row) {
  return row.run + "\n" + row.class;
}
function severalTracks(rows) {
  return rows.some((row) => trackOf(row) !== trackOf(rows[0]));
}
function runName(row) {
  return row.run.split("/").pop();
}

// What tells the tracks of a log apart: the run's name, the class, or both.
function trackParts(rows) {
  return { run: new Set(rows.map((r) => r.run)).size > 1, class: rows.some((r) => r.class !== rows[0].class) };
}

function trackWords(row, named) {
  return [named.run && runName(row), named.class && `class ${row.class}`].filter(Boolean).join(", ");
}

// "job012, class 2 · it009 against it008 · 2026-11-28 09:15"
function placeWords(row, named, against) {
  const label = against ? `${row.label} against ${against}` : row.label;
  return [trackWords(row, named), label, localTime(row.at)].filter(Boolean).join(" · ");
}

// "1 warning, 3 notes"
function foundWords(warnings, notes) {
  return [warnings && plural(warnings, "warning"), notes && plural(notes, "note")].filter(Boolean).join(", ");
}

function roundNumber(row, named) {
  return named ? `${runName(row).slice(0, 10)} ${row.iteration}` : String(row.iteration);
}

// Only the rows in sight exist, so that five thousand rounds scroll like fifty.
function showRounds(rows, shown, named, onPick) {
  const node = $("rounds"),
    n = rows.length,
    selected = rows.findIndex((r) => r.key === shown.key),
    spacer = el("div", { role: "presentation" });
  spacer.style.height = n * ROW_PX + "px";
  node.style.height = n * ROW_PX + 2 + "px";
  const failed = rows.filter((r) => r.failed).length;
  $("round-count").textContent = n ? String(n) + (failed ? `, ${failed} of them failed` : "") : "";
  const draw = () => {
    const first = Math.max(0, Math.floor(node.scrollTop / ROW_PX) - 4),
      made = [];
    const last = Math.min(n, first + Math.ceil((node.clientHeight || 600) / ROW_PX) + 8);
    for (let i = first; i < last; i++) made.push(roundRow(rows, n - 1 - i, i, shown, named, onPick));
    fill(spacer, made);
    node.setAttribute("aria-activedescendant", "round-" + selected);
  };
  fill(node, spacer);
  const at = n - 1 - selected;
  const above = at * ROW_PX < node.scrollTop,
    below = (at + 1) * ROW_PX > node.scrollTop + node.clientHeight;
  if (at < n && (above || below)) node.scrollTop = Math.max(0, (at - 2) * ROW_PX);
  node.onscroll = draw;
  draw();
}

function roundRow(rows, index, position, shown, named, onPick) {
  const row = rows[index],
    [warnings] = row.found || [0, 0];
  const node = el(
    "div",
    {
      class: "row",
      role: "option",
      id: "round-" + index,
      "aria-selected": String(row.key === shown.key),
      title: row.key,
      "aria-posinset": position + 1,
      "aria-setsize": rows.length,
      onclick: () => onPick(row.key),
    },
    el("b", {}, row.label, row.key === shown.best?.row.key && shown.best.of > 1 && bestMark(shown.best)),
    el("span", { class: "number" }, row.failed ? "failed" : headlineNumber(row, state.log.curves)),
    el(
      "small",
      { title: row.particles ? `${count(row.particles)} particles` : "" },
      warnings ? warningsOf(row, warnings) : "",
      [
        trackWords(row, named),
        localTime(row.at, false),
        !warnings && row.particles && `${count(row.particles)} particles`,
      ]
        .filter(Boolean)
        .join(" · "),
    ),
    beside(row, rows, index, state.log.curves),
  );
  node.dataset.failed = String(Boolean(row.failed));
  node.style.top = position * ROW_PX + "px";
  return node;
}

// Set apart where one of them doubts the number.
function warningsOf(row, warnings) {
  const doubt = row.failed || row.doubted,
    title = row.doubted ? "a warning doubts this number" : row.failed ? "" : "none of them doubts this number";
  return el("span", { class: doubt ? "warn" : "", title }, `${doubt ? "⚠ " : ""}${plural(warnings, "warning")} · `);
}

function bestMark({ row, ofProgram }) {
  const title = ofProgram ? "the lowest of the program's own numbers" : "the lowest number",
    doubt = row.doubted ? ", but a warning doubts it" : "",
    kind = row.doubted ? " doubted" : ofProgram ? " own" : "";
  return el("span", { class: "best" + kind, title: title + doubt }, row.doubted ? "best?" : "best");
}

// Below the number: whose it is where it is not ours, else the change.
function beside(row, rows, index, curves) {
  const r = row.headline && row.res[row.headline];
  if (r && isOfProgram(curves[row.headline])) return el("small", {}, `program, FSC ${Number(r[1].toPrecision(3))}`);
  const change = row.failed ? null : changeOf(rows, index);
  return el("small", { class: change?.tone, title: change?.why }, change?.text);
}

// A number that the program states is set apart, so that nobody takes it for ours.
function headlineNumber(row, curves) {
  const r = row.headline && row.res[row.headline],
    curve = curves[row.headline];
  if (!r) return "–";
  return isOfProgram(curve) ? el("i", {}, angstrom(r[0])) : angstrom(r[0]);
}

// Against the last round of its run and class that has a number: like with like, and only what exceeds the error.
function changeOf(rows, index) {
  const row = rows[index],
    before = earlier(rows, index),
    name = row.headline;
  const here = name ? row.res[name] : null,
    there = before && name ? before.res[name] : null;
  if (!here || !there || before.headline !== name || !isLike(row, before, name)) return null;
  const by = here[0] - there[0],
    text = signed(by);
  const known = here.length > 2 && there.length > 2,
    apart = known && (here[2] < there[3] || there[2] < here[3]);
  if (!apart) return { text, tone: "unchanged", why: known ? "unchanged within error" : "no interval is known" };
  if (row.doubted) return { text, tone: "unchanged", why: "a warning doubts this number" };
  return { text, tone: by < 0 ? "up" : "down", why: by < 0 ? "better" : "worse" };
}

function signed(by) {
  const size = Math.abs(by).toFixed(2);
  return size === "0.00" ? size : `${by < 0 ? "−" : "+"}${size}`;
}

function earlier(rows, index) {
  for (let i = index - 1; i >= 0; i--) {
    if (trackOf(rows[i]) === trackOf(rows[index]) && !rows[i].failed && rows[i].headline) return rows[i];
  }
  return null;
}

// What the list does not say: rounds that were measured and could not be measured again, and the log's own faults.
function showFaults(failures, known, faults) {
  const again = failures.filter((f) => known.has(f.key));
  fill(
    $("failures"),
    again.map((f) => el("p", { class: "failed" }, `${f.label} (${f.key}) could not be measured again: ${f.reason}`)),
    faults.map((f) => el("p", { class: "failed" }, f)),
  );
}

// One run or class, for the selector: name, dates, rounds and the best number of ours.
function trackTitle(rows, curves) {
  const best = bestOf(
    rows.filter((r) => !r.failed),
    curves,
  );
  const days = [...new Set([rows[0], rows.at(-1)].map((r) => localTime(r.at).slice(0, 10)))].join(" to ");
  const found = [`${rows[0].run}, class ${rows[0].class}`, best && !best.ofProgram && finest(best)];
  return [...found, plural(rows.length, "round"), days].filter(Boolean).join(" · ");
}

// The number of the best round, as the verdict has it.
function finest({ row, of }) {
  const number = angstrom(row.res[row.headline][0]);
  if (row.doubted) return `finest ${number}, in doubt`;
  return of > 1 ? `best ${number}` : number;
}
