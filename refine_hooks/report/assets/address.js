// The address names the project and the round, so that both can be mailed, kept and opened again.
function addressOf(log, key) {
  const parts = [live && log && `log=${encodeURIComponent(log)}`, key && `round=${encodeURIComponent(key)}`];
  return "#" + parts.filter(Boolean).join("&");
}

function linked() {
  const found = {};
  for (const part of location.hash.slice(1).split("&")) {
    const [name, value] = part.split("=");
    try {
      if (name && value) found[name] = decodeURIComponent(value);
    } catch {
      /* not one of ours */
    }
  }
  return found;
}

// Opens what the address names: a project with its round, else the overview where there are several.
async function follow() {
  if (location.hash && document.getElementById(location.hash.slice(1))) return; // a place on this page
  const { log: id, round } = linked(),
    known = state.logs.find((l) => l.id === id);
  if (!known && state.logs.length > 1) {
    state.log = null;
    return showOverview(state.logs);
  }
  const wanted = (known || state.logs[0]).id;
  $("overview").hidden = true;
  $("one-log").hidden = false;
  $("log-pick").hidden = $("all-logs").hidden = state.logs.length < 2;
  if (state.log?.id !== wanted) return openLog(wanted);
  if (round && round !== state.key && allRounds().some((r) => r.key === round)) return goTo(round);
}
