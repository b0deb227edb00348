// Whether a watch is running: on the live page what the server says now, in a report what was so when it was written.
const WATCH = {
  live: "running: a watch measures every new round",
  stopped: "stopped: no watch is running",
  stalled: "stalled: no sign of the watch",
  "not watched": "not watched",
};
const WATCH_THEN = {
  live: "the watch was running",
  stopped: "the watch had ended",
  stalled: "the watch was stalled",
};

function showWatch() {
  const node = $("live"),
    watch = state.log?.watch || "";
  if (state.log) showStalled(watch, state.log.heard_at);
  if (!state.log || node.dataset.state === "lost") return;
  node.dataset.watch = live ? watch : "then";
  if (live) {
    node.textContent = (WATCH[watch] || "connected") + since(watch);
    return;
  }
  node.hidden = false;
  const then = WATCH_THEN[watch] && WATCH_THEN[watch] + since(watch);
  node.textContent = ["Report of " + localTime(state.log.written_at), then].filter(Boolean).join(": ");
}

function since(watch) {
  const at = state.log.heard_at;
  return at && (watch === "stalled" || watch === "stopped") ? ` since ${localTime(at)}` : "";
}

// A silent watch, in words that nobody takes for the refinement's.
function showStalled(watch, at) {
  const node = $("stalled");
  node.hidden = watch !== "stalled";
  if (node.hidden) return;
  fill(
    node,
    el(
      "b",
      {},
      `The watch of refine_hooks ${live ? "is" : "was"} stalled: no sign of it`,
      at && ` since ${localTime(at)}`,
      ". ",
    ),
    "This says nothing of the refinement itself, but its new rounds are not measured. Look with ",
    el("code", {}, "refine-hooks status"),
    "; if no watch runs, start ",
    el("code", {}, "refine-hooks watch"),
    " again: it measures what it missed.",
  );
}
