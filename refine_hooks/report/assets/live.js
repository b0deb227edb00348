// The live page: new rounds, and whether a watch is running.

// The reader who looks at the newest round is taken along, any other only hears of it.
async function arrived(id) {
  if (!state.log || state.log.id !== id) return;
  const news = await got(`api/log/${id}?after=${state.seq}`);
  if (!state.log || state.log.id !== id) return;
  const following = !state.key || allRows().at(-1)?.key === state.key;
  const known = new Map(allRows().map((r) => [r.key, r]));
  const fresh = news.rows.filter((r) => !known.has(r.key));
  const again = news.rows.filter((r) => {
    const before = known.get(r.key);
    return before && (before.at !== r.at || before.revision !== r.revision);
  });
  const byKey = news.restarted ? new Map() : known;
  for (const row of news.rows) byKey.set(row.key, row);
  for (const row of again) delete state.log.details[row.key];
  Object.assign(state.log, news, { rows: [...byKey.values()], details: news.restarted ? {} : state.log.details });
  state.seq = news.seq;
  showWatch();
  if (!fresh.length && !news.restarted && !again.length) {
    state.rows = listed();
    showList();
    return;
  }
  const newest = allRows().at(-1);
  if (fresh.length && following) state.track = state.track && trackOf(newest);
  showTracks();
  if (fresh.length && !following) toast(`${newest.label} has been measured.`, newest.key);
  await select(newest && (following || !byKey.has(state.key)) ? newest.key : state.key);
}

function toast(text, key) {
  const node = $("toast");
  const show = () => {
    node.hidden = true;
    goTo(key).catch(fault);
  };
  fill(node, text, el("button", { type: "button", onclick: show }, "Show it"));
  node.hidden = false;
}

function listen() {
  const node = $("live"),
    stream = new EventSource("api/events");
  node.hidden = false;
  const say = (words, lost) => {
    node.textContent = words;
    node.dataset.state = lost ? "lost" : "open";
  };
  stream.onopen = () => {
    say("connected");
    showWatch();
    if (state.log) arrived(state.log.id).catch(fault);
  };
  stream.onerror = () => say("connection lost; trying again", true);
  stream.addEventListener("log", (event) => {
    if (state.log) return arrived(JSON.parse(event.data).id).catch(fault);
    return showLogs()
      .then(() => state.logs.length > 1 && showOverview(state.logs))
      .catch(fault);
  });
  stream.addEventListener("logs", () =>
    showLogs()
      .then(() => {
        return state.log || !state.logs.length ? null : follow();
      })
      .catch(fault),
  );
}
