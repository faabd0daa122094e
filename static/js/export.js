// On the page for exports: choosing all, searching, counting, copying. Without it the forms do the same by themselves.
const forms = [...document.querySelectorAll(".export-kind")];
const summary = document.getElementById("export-summary");

const boxes = (form) => [...form.querySelectorAll("input[name=ids]")];
const words = (form, number) => `${number} ${number === 1 ? form.dataset.one : form.dataset.many}`;

function count(form) {
  const chosen = boxes(form).filter((box) => box.checked);
  const all = form.querySelector(".export-all");
  all.checked = chosen.length === boxes(form).length;
  all.indeterminate = chosen.length > 0 && !all.checked;
  form.querySelector(".export-download").textContent = `Download ${words(form, chosen.length)}`;
  for (const button of form.querySelectorAll("button")) button.disabled = !chosen.length;
  for (const warning of form.querySelectorAll("[data-needed]")) {
    const number = chosen.filter((box) => box.dataset.needs === warning.dataset.needed).length;
    warning.hidden = !number;
    warning.querySelector(".export-number").textContent = number;
  }
  return chosen.length;
}

function tell() {
  const counts = forms.map((form) => [form, count(form)]).filter(([, number]) => number);
  const files = `${counts.length} ${counts.length === 1 ? "file" : "files"}`;
  const parts = counts.map(([form, number]) => words(form, number)).join(", ");
  summary.textContent = counts.length ? `Chosen: ${parts}. That is ${files}.` : "Nothing is chosen.";
}

async function copy(form) {
  const told = form.querySelector(".export-copied");
  const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  if (!answer.ok) {
    told.textContent = "It could not be copied; Download says why.";
    return;
  }
  const text = await answer.text();
  told.textContent = (await put(text)) ? "Copied." : "This browser does not let pages copy: use Preview, or Download.";
}

// Browsers have a clipboard for pages only over HTTPS and on the own machine; the older way works everywhere else.
async function put(text) {
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

// A preview that is shown follows the choice.
let waiting;
function renew(form) {
  const shown = form.querySelector(".export-preview");
  if (!shown.childElementCount) return;
  clearTimeout(waiting);
  if (boxes(form).some((box) => box.checked)) waiting = setTimeout(() => form.querySelector("[hx-post]").click(), 300);
  else shown.replaceChildren();
}

for (const form of forms) {
  for (const part of form.querySelectorAll(".export-all, .export-search")) part.parentElement.hidden = false;
  const copies = form.querySelector(".export-copy");
  copies.hidden = false;
  copies.addEventListener("click", () => copy(form));
  form.querySelector(".export-search").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    for (const row of form.querySelectorAll(".export-rows li")) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    }
  });
  form.querySelector(".export-search").addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault();
  });
  form.querySelector(".export-all").addEventListener("change", (event) => {
    for (const box of boxes(form)) box.checked = event.target.checked;
    tell();
  });
  form.addEventListener("change", () => {
    form.querySelector(".export-copied").textContent = "";
    tell();
    renew(form);
  });
}
if (forms.length) {
  document.getElementById("export-foot").hidden = false;
  tell();
}
