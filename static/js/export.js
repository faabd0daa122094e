// On the page for exports: choosing all, searching, counting, copying. Without it the forms do the same by themselves.
const forms = [...document.querySelectorAll(".export-kind")];
const summary = document.getElementById("export-summary");

const boxes = (form) => [...form.querySelectorAll("input[name=ids]")];
const whole = (form) => form.querySelector("input[name=all]"); // stands for all rows as long as they are not here
const words = (form, number) => `${number} ${number === 1 ? form.dataset.one : form.dataset.many}`;

function count(form) {
  const total = Number(form.dataset.number);
  const chosen = boxes(form).filter((box) => box.checked);
  const number = whole(form) ? (whole(form).disabled ? 0 : total) : chosen.length;
  const all = form.querySelector(".export-all");
  all.checked = number === (whole(form) ? total : boxes(form).length);
  all.indeterminate = number > 0 && !all.checked;
  form.querySelector(".export-download").textContent = `Download ${words(form, number)}`;
  for (const button of form.querySelectorAll("button")) button.disabled = !number;
  for (const warning of form.querySelectorAll("[data-needed]")) {
    const { needed, ofAll } = warning.dataset;
    const those = whole(form) ? (number ? Number(ofAll) : 0) : chosen.filter((box) => box.dataset.needs === needed).length;
    warning.hidden = !those;
    warning.querySelector(".export-number").textContent = those;
  }
  return number;
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
  if (count(form)) waiting = setTimeout(() => form.querySelector("[hx-post]").click(), 300);
  else shown.replaceChildren();
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
  // The rows have come, and are chosen as all of them were.
  form.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (!detail.target.matches(".export-choice")) return;
    for (const box of boxes(form)) box.checked = all.checked;
    reveal(form);
    tell();
  });
  all.addEventListener("change", () => {
    if (whole(form)) whole(form).disabled = !all.checked;
    for (const box of boxes(form)) box.checked = all.checked;
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
