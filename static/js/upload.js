// Shows how much of a file has been sent, refuses one that is too large before it is sent, and says what went wrong where
// no answer came. Without it the form is sent as every other.
const form = document.getElementById("upload");
const file = document.getElementById("id_file");
const progress = document.getElementById("upload-progress");
const say = (words, percent) => {
  progress.hidden = false;
  progress.querySelector("progress").hidden = percent === undefined;
  if (percent !== undefined) progress.querySelector("progress").value = percent;
  progress.querySelector("span").textContent = words;
};

file.addEventListener("change", () => {
  const [chosen] = file.files;
  let refusal = "";
  if (chosen && chosen.size > Number(form.dataset.limit)) {
    refusal = `This file is larger than ${form.dataset.limitWords}, which is the most that is taken in here.`;
  } else if (chosen && chosen.size === 0) {
    refusal = "This file is empty, so it is no backup.";
  }
  file.setCustomValidity(refusal);
  if (refusal) file.reportValidity();
});
form.addEventListener("htmx:xhr:progress", ({ detail }) => {
  if (!detail.lengthComputable || !detail.total) return;
  const percent = Math.floor((100 * detail.loaded) / detail.total);
  const megabytes = (detail.loaded / 1e6).toFixed(1);
  if (detail.loaded < detail.total) say(`${megabytes} MB sent, ${percent} %`, percent);
  else say("All of it is sent. It is being checked; do not close this page.");
});
form.addEventListener("htmx:sendError", () =>
  say("The connection was lost before all of it was sent. Nothing was taken in; try again."),
);
form.addEventListener("htmx:responseError", ({ detail }) =>
  say(
    detail.xhr.status === 403
      ? "It was refused: your session or this page is too old. Nothing was taken in; load the page again."
      : `It was refused (${detail.xhr.status}). Nothing was taken in; the log of the service says why.`,
  ),
);
