// All findings of the log, one line a cause with the rounds that it concerns: as many as the audit counts.
const ROUNDS_NAMED = 8;

// "warning\nrule" -> title, severity, rounds and how many findings. The first of a round's rules are its warnings.
function causesOf(rows, titles) {
  const causes = new Map();
  for (const row of rows) {
    (row.rules || []).forEach((rule, i) => {
      const severity = i < row.found[0] ? "warning" : "note",
        cause = severity + "\n" + rule;
      if (!causes.has(cause)) causes.set(cause, { severity, title: titles[rule] || rule, rows: new Set(), count: 0 });
      const known = causes.get(cause);
      known.rows.add(row);
      known.count++;
    });
  }
  const rank = (one) => (one.severity === "warning" ? 0 : 1);
  return [...causes.values()].sort((a, b) => rank(a) - rank(b) || b.rows.size - a.rows.size);
}

function countWords(rows) {
  const sum = (i) => rows.reduce((all, row) => all + (row.found ? row.found[i] : 0), 0);
  const waiting = rows.filter((row) => !row.found).length;
  const told = `${plural(sum(0), "warning")} and ${plural(sum(1), "note")} in ${plural(rows.length, "round")}`;
  return told + (waiting ? `; ${plural(waiting, "round")} not audited yet` : "");
}

function showLogFindings(rows, titles, named, onPick) {
  const causes = causesOf(rows, titles);
  $("all-findings").hidden = rows.length < 2;
  $("all-findings-count").textContent = `All rounds of this log: ${countWords(rows)}`;
  fill(
    $("all-findings-list"),
    causes.map((cause) => {
      const newest = [...cause.rows].reverse(),
        shown = newest.slice(0, ROUNDS_NAMED),
        more = newest.length - shown.length;
      const button = (row) =>
        el(
          "button",
          { type: "button", onclick: () => onPick(row.key) },
          [trackWords(row, named), row.label].filter(Boolean).join(" · "),
        );
      return el(
        "div",
        { class: "finding", "data-severity": cause.severity },
        el("h3", {}, el("b", {}, cause.severity === "warning" ? "⚠ Warning" : "Note"), " ", cause.title),
        el(
          "p",
          { class: "chips" },
          shown.map(button),
          more > 0 && el("span", { class: "quiet" }, `and ${more} more`),
        ),
      );
    }),
  );
}
