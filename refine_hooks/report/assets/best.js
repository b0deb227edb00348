// Which round is best: the lowest number of ours that no warning doubts, among rounds that were read alike.

// Read from one curve at one level, of half maps of one kind; the run and the class may differ.
function isReadAlike(row, other) {
  return (
    row.headline === other.headline &&
    row.origin === other.origin &&
    row.independence === other.independence &&
    row.res[row.headline][1] === other.res[other.headline][1]
  );
}

function hasNumber(row) {
  return Boolean(row.headline && row.res[row.headline]);
}

// The lowest number, and where a warning doubts it, the lowest of those that none doubts; null without any number.
function bestOf(rows, curves) {
  const read = rows.filter(hasNumber),
    own = read.filter((r) => !isOfProgram(curves[r.headline]) && r.origin !== "regularised"),
    compared = own.length ? own : read;
  if (!compared.length) return null;
  const alike = compared.filter((r) => isReadAlike(r, compared.at(-1)));
  const row = lowest(alike);
  const sound = row.doubted ? lowest(alike.filter((r) => !r.doubted)) : row;
  return { row, of: alike.length, among: read.length, sound, ofProgram: !own.length };
}

function lowest(rows) {
  const number = (r) => r.res[r.headline][0];
  return rows.length ? rows.reduce((a, b) => (number(b) < number(a) ? b : a)) : null;
}

// Whether two numbers with intervals overlap.
function withinError(one, other) {
  const [a, b] = [one, other].map((row) => row.res[row.headline]);
  return a.length > 2 && b.length > 2 && a[2] >= b[3] && b[2] >= a[3];
}

// One sentence below the verdict, and a way to the best round where another one is shown.
function bestWords(row, best, named, onPick) {
  if (!best || !row || best.among < 2) return null;
  if (best.of < 2)
    return el("p", { class: "best" }, "No other round was read alike, so that none can be called best.");
  const name = (one) => {
    const words = [trackWords(one, named), one.label].filter(Boolean).join(" · ");
    const button = el("button", { type: "button", onclick: () => onPick(one.key) }, words);
    return one.key === row.key ? [el("b", {}, "this one")] : [button, ` ${angstrom(one.res[one.headline][0])}`];
  };
  const { sound } = best,
    near = best.row.key !== row.key && hasNumber(row) && withinError(row, best.row);
  return el(
    "p",
    { class: "best" },
    `Best of ${plural(best.of, "measured round")}${best.ofProgram ? ", by the program's own numbers" : ""}: `,
    name(best.row),
    near && ", unchanged within error from this one",
    ...(sound === best.row ? [] : [", if its number holds; ", ...doubtless(sound && name(sound))]),
    ".",
  );
}

function doubtless(name) {
  return name ? ["best whose number no warning doubts: ", ...name] : ["a warning doubts every number"];
}

// What is compared: all classes of the shown run, or everything where everything is listed.
function comparedForBest() {
  if (!state.track || !state.row) return state.rows;
  return allRows().filter((r) => r.run === state.row.run);
}
