// The countdown of a guarded change: counts by itself, and looks now and then what has become of it, in every session.

const IDLE_MS = 5000;
const WATCHING_MS = 2000;

let left = 0;
let since = 0;

const banner = () => document.getElementById("guard");

function begin() {
  left = Number(banner()?.dataset.left ?? 0);
  since = performance.now();
}

function count() {
  const shown = banner()?.querySelector(".left");
  if (shown) shown.textContent = String(Math.max(0, Math.round(left - (performance.now() - since) / 1000)));
}

async function look() {
  if (document.hidden || !banner()) return;
  const path = encodeURIComponent(location.pathname + location.search);
  const answer = await fetch(`/guard/live?auto=1&next=${path}`, { headers: { "X-Auto-Update": "1" } });
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("guard");
  if (!fresh) return;
  // The same change: only its seconds are other ones, and nobody's focus is moved.
  if (fresh.dataset.key === banner().dataset.key) {
    if (fresh.dataset.left) banner().dataset.left = fresh.dataset.left;
  } else {
    banner().replaceWith(document.adoptNode(fresh));
  }
  begin();
}

async function follow() {
  try {
    await look();
  } catch {
    // The console does not answer: the next look may find it again.
  }
  setTimeout(follow, banner()?.dataset.left ? WATCHING_MS : IDLE_MS);
}

begin();
setInterval(count, 250);
setTimeout(follow, banner()?.dataset.left ? WATCHING_MS : IDLE_MS);
document.addEventListener("visibilitychange", () => look().catch(() => {}));
