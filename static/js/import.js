// On the pages of an import: a file is read as soon as it is chosen or dropped, and what the server cannot answer is said.
const upload = document.getElementById("import-file");
const preview = document.getElementById("import-form");

if (upload) {
  const input = upload.querySelector("input[type=file]");
  const problem = document.getElementById("file-problem");
  const read = () => {
    const [file] = input.files;
    if (!file) return;
    const tooLarge = file.size > Number(upload.dataset.most);
    problem.hidden = !tooLarge;
    if (tooLarge) {
      problem.textContent = `“${file.name}” has ${(file.size / 1e6).toFixed(1)} MB; an export is at most 32 MiB. Nothing was sent.`;
      input.value = "";
    } else upload.requestSubmit();
  };
  upload.querySelector(".drop-word").hidden = false;
  input.addEventListener("change", read);
  for (const name of ["dragover", "dragleave", "drop"]) {
    upload.addEventListener(name, (event) => {
      event.preventDefault();
      upload.classList.toggle("is-over", name === "dragover");
    });
  }
  upload.addEventListener("drop", (event) => {
    input.files = event.dataTransfer.files;
    read();
  });
}

if (preview) {
  // A form sends only what was changed on this page: the rest is on the server, and another tab may have changed it.
  preview.addEventListener("change", ({ target }) => { (target.closest("tr") ?? target).dataset.changed = ""; }, true);
  // Signing in again, perhaps in another tab, has made another token than the one of this page.
  const token = () => document.cookie.match(/tvarr_backup_csrf=(\w+)/)?.[1];
  preview.addEventListener("formdata", ({ formData }) => {
    for (const { name } of [...preview.elements].filter((each) => /^(action|name|reference)-/.test(each.name) && !each.closest("[data-changed]"))) {
      formData.delete(name);
    }
    if (token()) formData.set("csrfmiddlewaretoken", token());
  });
  document.addEventListener("htmx:configRequest", ({ detail }) => {
    if (token()) detail.headers["X-CSRFToken"] = token();
  });
  // While the rows are on their way nothing can be chosen in them that would be shown no more; then the focus is where it was.
  let focus;
  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    if (detail.target.id !== "review") return;
    focus = document.activeElement.id;
    detail.target.inert = true;
  });
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    if (detail.target.id !== "review") return;
    document.getElementById("review").inert = false;
    document.getElementById(focus)?.focus({ preventScroll: true });
  });
  document.addEventListener("htmx:afterSettle", () => {
    document.getElementById("import-now").disabled = document.getElementById("import-promise").dataset.canImport === "no";
  });
  for (const failure of ["htmx:sendError", "htmx:responseError"]) {
    preview.addEventListener(failure, () => {
      document.getElementById("import-totals").textContent = "The server did not answer, and nothing was imported. Your last choice is not saved yet: it is sent again when you import.";
    });
  }
}
