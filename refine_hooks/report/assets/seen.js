// Cards far down the page are drawn when they come into view, or else when the browser has nothing better to do.
const IDLE_AFTER_MS = 250;
const unseen = new Map();
let idleTimer = 0;

const watcher = new IntersectionObserver(
  (entries) => entries.filter((e) => e.isIntersecting).forEach((e) => drawUnseen(e.target)),
  { rootMargin: "300px" },
);

// Of several tasks for one card only the last one is done.
function whenSeen(card, task) {
  unseen.set(card, task);
  watcher.unobserve(card);
  watcher.observe(card);
  clearTimeout(idleTimer);
  idleTimer = setTimeout(drawNext, IDLE_AFTER_MS);
}

function drawUnseen(card) {
  const task = unseen.get(card);
  unseen.delete(card);
  watcher.unobserve(card);
  return task ? task().catch(fault) : null;
}

async function drawNext() {
  const [card] = unseen.keys();
  if (!card) return;
  await drawUnseen(card);
  clearTimeout(idleTimer);
  idleTimer = setTimeout(drawNext, 0);
}

function drawAllUnseen() {
  return Promise.all([...unseen.keys()].map(drawUnseen));
}

// Lets the browser answer the reader between two pieces of work.
function pause() {
  return new Promise((done) => setTimeout(done));
}
