// The Import pages: send a file as soon as it is selected or dropped, and report failed requests.
const upload = document.getElementById("import-file");
const preview = document.getElementById("import-form");

if (upload) {
  const input = upload.querySelector("input[type=file]");
  const problem = document.getElementById("file-problem");
  const send = () => {
    const files = [...input.files];
    if (!files.length) return;
    const size = files.reduce((sum, file) => sum + file.size, 0);
    const tooLarge = size > Number(upload.dataset.most);
    problem.hidden = !tooLarge;
    if (tooLarge) {
      const names = files.map((file) => `"${file.name}"`).join(", ");
      problem.textContent = `${names} ${files.length > 1 ? "are" : "is"} too large (${(size / 1e6).toFixed(1)} MB). The limit is 32 MiB. Nothing was sent.`;
      input.value = "";
    } else upload.requestSubmit();
  };
  upload.querySelector(".drop-hint").hidden = false;
  input.addEventListener("change", send);
  for (const name of ["dragover", "dragleave", "drop"]) {
    upload.addEventListener(name, (event) => {
      event.preventDefault();
      upload.classList.toggle("is-over", name === "dragover");
    });
  }
  upload.addEventListener("drop", (event) => {
    input.files = event.dataTransfer.files;
    send();
  });
}

if (preview) {
  // Send only what was changed on this page. The server has the rest, and another tab may have changed it.
  for (const name of ["change", "input"]) {
    preview.addEventListener(name, ({ target }) => { (target.closest("tr") ?? target).dataset.changed = ""; }, true);
  }
  // The page has an old token after the user has signed in again in another tab.
  const token = () => document.cookie.split("; ").map((each) => each.split("=")).find(([name]) => name === preview.dataset.csrfCookie)?.[1];
  preview.addEventListener("formdata", ({ formData }) => {
    for (const { name } of [...preview.elements].filter((each) => /^(action|name|reference|fix)-/.test(each.name) && !each.closest("[data-changed]"))) {
      formData.delete(name);
    }
    if (token()) formData.set("csrfmiddlewaretoken", token());
  });
  document.addEventListener("htmx:configRequest", ({ detail }) => {
    if (token()) detail.headers["X-CSRFToken"] = token();
  });
  // Block the rows while they are being replaced, and restore the focus afterwards.
  let focus;
  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    if (detail.target.id !== "preview-items") return;
    focus = document.activeElement.id;
    detail.target.inert = true;
  });
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    if (detail.target.id !== "preview-items") return;
    document.getElementById("preview-items").inert = false;
    document.getElementById(focus)?.focus({ preventScroll: true });
  });
  document.addEventListener("htmx:afterSettle", () => {
    document.getElementById("import-now").disabled = document.getElementById("import-promise").dataset.canImport === "no";
  });
  const expand = () => preview.querySelector("[data-expand-all]");
  const showExpand = () => (expand().hidden = !preview.querySelector("#preview-items details"));
  showExpand();
  document.addEventListener("htmx:afterSettle", showExpand);
  preview.addEventListener("click", ({ target }) => {
    if (target !== expand()) return;
    const all = [...preview.querySelectorAll("#preview-items details")];
    const open = all.some((each) => !each.open);
    for (const each of all) each.open = open;
    target.textContent = open ? "Collapse all" : "Expand all";
  });
  for (const failure of ["htmx:sendError", "htmx:responseError"]) {
    preview.addEventListener(failure, () => {
      document.getElementById("import-totals").textContent = "The server did not answer. Nothing was imported. Your last choice has not been saved; it is sent again when you import.";
    });
  }
}
