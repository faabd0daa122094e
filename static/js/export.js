// The Export page: select all, search, count, copy. Without scripts, each form exports what is selected in it.
const forms = [...document.querySelectorAll(".export-kind")];
const summary = document.getElementById("export-summary");

const boxes = (form) => [...form.querySelectorAll("input[name=ids]")];
const whole = (form) => form.querySelector("input[name=all]"); // present until the rows are loaded
const countLabel = (form, number) => `${number} ${number === 1 ? form.dataset.one : form.dataset.many}`;

function count(form) {
  const total = Number(form.dataset.number);
  const selected = boxes(form).filter((box) => box.checked);
  const number = whole(form) ? (whole(form).disabled ? 0 : total) : selected.length;
  const all = form.querySelector(".export-all");
  all.checked = number === (whole(form) ? total : boxes(form).length);
  all.indeterminate = number > 0 && !all.checked;
  form.querySelector(".export-download").textContent = `Download ${countLabel(form, number)}`;
  for (const button of form.querySelectorAll("button")) button.disabled = !number;
  for (const warning of form.querySelectorAll("[data-needed]")) {
    const { needed, ofAll } = warning.dataset;
    const affected = whole(form) ? (number ? Number(ofAll) : 0) : selected.filter((box) => box.dataset.needs === needed).length;
    warning.hidden = !affected;
    warning.querySelector(".export-number").textContent = affected;
  }
  return number;
}

function showSummary() {
  const counts = forms.map((form) => [form, count(form)]).filter(([, number]) => number);
  const files = `${counts.length} ${counts.length === 1 ? "file" : "files"}`;
  const parts = counts.map(([form, number]) => countLabel(form, number)).join(", ");
  summary.textContent = counts.length ? `Selected: ${parts} (${files}).` : "Nothing selected.";
}

async function copy(form) {
  const status = form.querySelector(".export-copied");
  const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  if (!answer.ok) {
    status.textContent = "Copy failed. Select Download to see why.";
    return;
  }
  const text = await answer.text();
  status.textContent = (await copyText(text)) ? "Copied." : "This browser blocks copying. Use Preview or Download.";
}

// Browsers offer the clipboard API only over HTTPS and on localhost. The older command works elsewhere.
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = Object.assign(document.createElement("textarea"), { value: text, className: "visually-hidden" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

// An open preview follows the selection.
let waiting;
function updatePreview(form) {
  const preview = form.querySelector(".export-preview");
  if (!preview.childElementCount) return;
  clearTimeout(waiting);
  if (count(form)) waiting = setTimeout(() => form.querySelector("[hx-post]").click(), 300);
  else preview.replaceChildren();
}

function search(form, text) {
  const wanted = text.trim().toLowerCase();
  for (const row of form.querySelectorAll(".export-rows li")) row.hidden = !row.textContent.toLowerCase().includes(wanted);
}

function reveal(form) {
  for (const part of form.querySelectorAll(".export-all, .export-search")) part.parentElement.hidden = false;
}

for (const form of forms) {
  const all = form.querySelector(".export-all");
  const copies = form.querySelector(".export-copy");
  reveal(form);
  copies.hidden = false;
  copies.addEventListener("click", () => copy(form));
  form.addEventListener("input", ({ target }) => {
    if (target.matches(".export-search")) search(form, target.value);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches(".export-search")) event.preventDefault();
  });
  // Rows that were just loaded are selected if "all" is.
  form.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (!detail.target.matches(".export-selection")) return;
    for (const box of boxes(form)) box.checked = all.checked;
    reveal(form);
    showSummary();
  });
  all.addEventListener("change", () => {
    if (whole(form)) whole(form).disabled = !all.checked;
    for (const box of boxes(form)) box.checked = all.checked;
    showSummary();
  });
  form.addEventListener("change", () => {
    form.querySelector(".export-copied").textContent = "";
    showSummary();
    updatePreview(form);
  });
}
if (forms.length) {
  document.getElementById("export-foot").hidden = false;
  showSummary();
}
