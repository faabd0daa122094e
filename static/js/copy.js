// Copies a text that is shown, at the click of a button that names it. Browsers give the clipboard to secure pages only;
// on others the text is selected and copied in the old way.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const shown = document.getElementById(button.dataset.copy);
    try {
      if (navigator.clipboard) {
        await navigator.clipboard.writeText(shown.textContent);
      } else {
        getSelection().selectAllChildren(shown);
        document.execCommand("copy");
      }
      button.lastChild.textContent = " Copied";
    } catch {
      getSelection().selectAllChildren(shown);
      button.lastChild.textContent = " Selected: copy it with the keyboard";
    }
  });
}
