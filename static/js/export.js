// The Export page: select all, search and count. Without scripts, the form exports what is selected in it.
const form = document.getElementById("export-form");
const kinds = [...form.querySelectorAll(".export-kind")].filter((kind) => kind.querySelector(".export-all"));
const preview = document.getElementById("export-preview");

const allBox = (kind) => kind.querySelector(".export-all");
const boxes = (kind) => [...kind.querySelectorAll(".export-rows input")];
const countLabel = (kind, number) => `${number} ${number === 1 ? kind.dataset.one : kind.dataset.many}`;

function count(kind) {
  const total = Number(kind.dataset.number);
  const listed = boxes(kind);
  const selected = listed.filter((box) => box.checked);
  if (listed.length) {
    allBox(kind).checked = selected.length === listed.length;
    allBox(kind).indeterminate = selected.length > 0 && selected.length < listed.length;
  }
  const number = listed.length ? selected.length : allBox(kind).checked ? total : 0;
  for (const warning of kind.querySelectorAll("[data-needed]")) {
    const { needed, ofAll } = warning.dataset;
    const affected = listed.length ? selected.filter((box) => box.dataset.needs === needed).length : number ? Number(ofAll) : 0;
    warning.hidden = !affected;
    warning.querySelector(".export-number").textContent = affected;
    const verb = warning.querySelector(".export-verb");
    verb.textContent = affected === 1 ? verb.dataset.one : verb.dataset.many;
  }
  return number;
}

function showSummary() {
  const counts = kinds.map((kind) => [kind, count(kind)]).filter(([, number]) => number);
  const parts = counts.map(([kind, number]) => countLabel(kind, number)).join(", ");
  const isOneFile = form.elements.as.value === "bundle";
  const files = counts.length < 2 ? "" : isOneFile ? " In one file." : " In a ZIP archive.";
  document.getElementById("export-summary").textContent = counts.length ? `Selected: ${parts}.${files}` : "Nothing selected.";
  for (const button of form.querySelectorAll(".foot button")) button.disabled = !counts.length;
  return counts.length;
}

// Listed rows replace the box for all, which then only selects and clears them.
function reveal(kind) {
  if (boxes(kind).length) allBox(kind).removeAttribute("name");
  allBox(kind).hidden = false;
  const search = kind.querySelector(".export-search");
  if (search) search.parentElement.hidden = false;
}

// An open preview follows the selection.
let waiting;
function updatePreview() {
  if (!preview.childElementCount) return;
  clearTimeout(waiting);
  if (showSummary()) waiting = setTimeout(() => form.querySelector("[hx-post]").click(), 300);
  else preview.replaceChildren();
}

form.querySelector("fieldset")?.addEventListener("change", () => {
  showSummary();
  updatePreview();
});
for (const kind of kinds) {
  reveal(kind);
  kind.addEventListener("input", ({ target }) => {
    if (!target.matches(".export-search")) return;
    const wanted = target.value.trim().toLowerCase();
    for (const row of kind.querySelectorAll(".export-rows li")) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  kind.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches(".export-search")) event.preventDefault();
  });
  // Rows that were just loaded are selected if "all" is.
  kind.addEventListener("htmx:afterSwap", () => {
    for (const box of boxes(kind)) box.checked = allBox(kind).checked;
    reveal(kind);
    showSummary();
  });
  allBox(kind).addEventListener("change", ({ target }) => {
    for (const box of boxes(kind)) box.checked = target.checked;
  });
  kind.addEventListener("change", () => {
    showSummary();
    updatePreview();
  });
}
if (kinds.length) showSummary();
