// One button that ticks all boxes of the page, and what keeps boxes ticked, menus open and the focus where it is when the list
// is renewed, which happens when an operation ends: so the whole page is listened to.
const show = () => document.querySelectorAll("[data-choose-all]").forEach((button) => (button.hidden = false));
show();
document.addEventListener("htmx:afterSettle", show);
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-choose-all]")) return;
  const boxes = [...document.querySelectorAll("input[form=choose]")];
  const all = boxes.every((box) => box.checked);
  boxes.forEach((box) => (box.checked = !all));
});

const rows = () => new Map([...document.querySelectorAll(".backups tbody tr")].map((row) => [row.querySelector("th a").href, row]));
const parts = (row) => [...row.querySelectorAll("input, a, summary, button")];
let before = [];
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.target.id !== "overview") return;
  before = [...rows()].map(([address, row]) => ({
    address,
    isTicked: row.querySelector("input")?.checked,
    isOpen: row.querySelector("details")?.open,
    focus: parts(row).indexOf(document.activeElement),
  }));
});
document.addEventListener("htmx:afterSettle", () => {
  const now = rows();
  for (const { address, isTicked, isOpen, focus } of before) {
    const row = now.get(address);
    if (!row) continue;
    if (isTicked) row.querySelector("input").checked = true;
    if (isOpen) row.querySelector("details").open = true;
    if (focus >= 0) parts(row)[focus]?.focus({ preventScroll: true });
  }
  before = [];
});
