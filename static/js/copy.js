// Buttons that copy a text. Pages without HTTPS have no clipboard API, so the text is selected and copied instead.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      if (navigator.clipboard) {
        await navigator.clipboard.writeText(source.textContent);
      } else {
        getSelection().selectAllChildren(source);
        document.execCommand("copy");
      }
      button.lastChild.textContent = " Copied";
    } catch {
      getSelection().selectAllChildren(source);
      button.lastChild.textContent = " Selected: press Ctrl+C to copy";
    }
  });
}
