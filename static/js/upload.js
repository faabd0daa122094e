// Upload progress, a check of the size before sending, and messages for uploads without an answer.
const form = document.getElementById("upload");
const file = document.getElementById("id_file");
const progress = document.getElementById("upload-progress");
const report = (text, percent) => {
  progress.hidden = false;
  progress.querySelector("progress").hidden = percent === undefined;
  if (percent !== undefined) progress.querySelector("progress").value = percent;
  progress.querySelector("span").textContent = text;
};

file.addEventListener("change", () => {
  const [selected] = file.files;
  let refusal = "";
  if (selected && selected.size > Number(form.dataset.limit)) {
    refusal = `This file is too large. The limit is ${form.dataset.limitText}.`;
  } else if (selected && selected.size === 0) {
    refusal = "This file is not a backup. It is empty.";
  }
  file.setCustomValidity(refusal);
  if (refusal) file.reportValidity();
});
form.addEventListener("htmx:xhr:progress", ({ detail }) => {
  if (!detail.lengthComputable || !detail.total) return;
  const percent = Math.floor((100 * detail.loaded) / detail.total);
  const megabytes = (detail.loaded / 1e6).toFixed(1);
  if (detail.loaded < detail.total) report(`${megabytes} MB sent, ${percent} %`, percent);
  else report("Upload complete. The file is being verified. Do not close this page.");
});
form.addEventListener("htmx:sendError", () => report("Upload failed: the connection was lost. Nothing was saved. Try again."));
form.addEventListener("htmx:responseError", ({ detail }) =>
  report(
    detail.xhr.status === 403
      ? "Upload rejected: your session has expired. Nothing was saved. Reload this page."
      : `Upload failed (${detail.xhr.status}). Nothing was saved. See the log of the service.`,
  ),
);
