// CONTROL/MONITORING: small comforts on top of a page that works without them.

const form = document.getElementById("monitor");

// Ticking Auto update or changing its seconds counts at once.
form?.addEventListener("change", () => form.requestSubmit());

// A page that nobody looks at does not ask for updates.
document.body.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden) event.preventDefault();
});

// While the console itself is silent, say so where the time stands.
function silent() {
  const stamp = document.getElementById("stamp");
  if (stamp && !stamp.dataset.silent) {
    stamp.dataset.silent = "yes";
    stamp.textContent = `${stamp.textContent.trim()} · the console does not answer`;
  }
}
document.body.addEventListener("htmx:sendError", silent);
document.body.addEventListener("htmx:timeout", silent);
document.body.addEventListener("htmx:responseError", silent);

// A part that is replaced keeps what the reader did to it: opened details, and how far a table was pushed aside.
const pushed = new Map();
const scrollers = (element) => [element, ...element.querySelectorAll(".scroll")].filter((one) => one.classList?.contains("scroll"));

document.body.addEventListener("htmx:oobBeforeSwap", (event) => {
  const { target, fragment } = event.detail;
  for (const one of target.querySelectorAll("details[open][id]")) fragment.querySelector(`#${one.id}`)?.setAttribute("open", "");
  pushed.set(target.id, scrollers(target).map((one) => one.scrollLeft));
});

document.body.addEventListener("htmx:oobAfterSwap", (event) => {
  const id = event.detail.target.id;
  const now = document.getElementById(id);
  if (now) scrollers(now).forEach((one, index) => (one.scrollLeft = pushed.get(id)?.[index] ?? 0));
});
