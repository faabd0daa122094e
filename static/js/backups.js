// One button that ticks all boxes of the page. The list is renewed when an operation ends, so the whole page is listened to.
const show = () => document.querySelectorAll("[data-choose-all]").forEach((button) => (button.hidden = false));
show();
document.addEventListener("htmx:afterSettle", show);
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-choose-all]")) return;
  const boxes = [...document.querySelectorAll("input[form=choose]")];
  const all = boxes.every((box) => box.checked);
  boxes.forEach((box) => (box.checked = !all));
});
