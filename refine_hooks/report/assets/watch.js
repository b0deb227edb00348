// Whether a watch is running: on the live page what the server says now, in a report what was so when it was written.
const WATCH = {
  live: "running: a watch measures every new round",
  stopped: "stopped: no watch is running",
  stalled: "stalled: no sign of the watch lately",
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
  if (!state.log || node.dataset.state === "lost") return;
  node.dataset.watch = live ? watch : "then";
  if (live) {
    node.textContent = WATCH[watch] || "connected";
    return;
  }
  node.hidden = false;
  node.textContent = ["Report of " + localTime(state.log.written_at), WATCH_THEN[watch]].filter(Boolean).join(": ");
}
