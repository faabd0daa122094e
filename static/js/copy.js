// Buttons that copy a text. Pages without HTTPS have no clipboard API, so the text is selected and copied instead.
const showButtons = () => document.querySelectorAll("[data-copy]").forEach((button) => (button.hidden = false));
showButtons();
document.addEventListener("htmx:afterSettle", showButtons); // htmx may have replaced them
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const select = () => (source.select ? source.select() : getSelection().selectAllChildren(source));
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(source.textContent);
    } else {
      select();
      document.execCommand("copy");
    }
    button.lastChild.textContent = " Copied";
  } catch {
    select();
    button.lastChild.textContent = " Selected: press Ctrl+C to copy";
  }
});
