// COPY below each block of commands.  Without JavaScript, or where the browser keeps the clipboard closed, they are selected by hand.

const SAID_MS = 2000;

async function copy(button, block) {
  const named = button.getAttribute("aria-label");
  try {
    await navigator.clipboard.writeText(block.textContent);
    button.textContent = "COPIED";
  } catch {
    getSelection().selectAllChildren(block);
    button.textContent = "SELECTED";
  }
  button.setAttribute("aria-label", `${button.textContent}: ${block.getAttribute("aria-label")}`);
  setTimeout(() => {
    button.textContent = "COPY";
    button.setAttribute("aria-label", named);
  }, SAID_MS);
}

function offer() {
  if (!navigator.clipboard) return;
  for (const block of document.querySelectorAll("pre.commands:not([data-copied])")) {
    block.dataset.copied = "offered";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "COPY";
    button.setAttribute("aria-label", `COPY: ${block.getAttribute("aria-label")}`);
    button.addEventListener("click", () => copy(button, block));
    block.after(button);
  }
}

offer();
document.body.addEventListener("htmx:afterSettle", offer);
