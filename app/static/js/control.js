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
