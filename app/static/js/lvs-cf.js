// LVS.CF: line numbers beside the text field, a way from a remark to its line, and a word before edits are lost.  The page works without.

const text = document.getElementById("text");

if (text) {
  const gutter = document.createElement("pre");
  gutter.className = "gutter";
  gutter.setAttribute("aria-hidden", "true");
  text.before(gutter);

  let shown = 0;
  const follow = () => (gutter.scrollTop = text.scrollTop);
  const count = () => {
    let lines = 1;
    for (let at = text.value.indexOf("\n"); at !== -1; at = text.value.indexOf("\n", at + 1)) lines += 1;
    if (lines !== shown) {
      shown = lines;
      gutter.textContent = Array.from({ length: lines }, (_, index) => index + 1).join("\n");
    }
    follow();
  };

  text.addEventListener("input", count);
  text.addEventListener("scroll", follow, { passive: true });
  new ResizeObserver(follow).observe(text);
  count();

  const form = document.getElementById("editor");
  const before = text.defaultValue;
  let sent = false;
  form.addEventListener("submit", () => (sent = true));
  form.querySelector("a.btn")?.addEventListener("click", () => (sent = true)); // CANCEL means it
  window.addEventListener("pageshow", () => (sent = false));
  window.addEventListener("beforeunload", (event) => {
    if (!sent && ("edited" in form.dataset || text.value !== before)) event.preventDefault();
  });

  document.getElementById("remarks")?.addEventListener("click", (event) => {
    const line = Number(event.target.closest("[data-line]")?.dataset.line);
    if (!line) return;
    event.preventDefault();
    let start = 0;
    for (let passed = 1; passed < line; passed += 1) start = text.value.indexOf("\n", start) + 1;
    const end = text.value.indexOf("\n", start);
    text.focus();
    text.setSelectionRange(start, end === -1 ? text.value.length : end);
    text.scrollTop = Math.max(0, (line - 6) * parseFloat(getComputedStyle(text).lineHeight));
    text.scrollIntoView({ block: "center" });
  });
}
