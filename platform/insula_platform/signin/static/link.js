// What opens the door is behind the # of the link, which browsers send to nobody: put it into the form.
const field = document.querySelector("[data-link]");
const opener = location.hash.slice(1);
if (field && opener) {
  history.replaceState(null, "", location.pathname); // out of the address bar and the history
  field.value = opener;
  if (field.dataset.link === "send") {
    field.form.requestSubmit();
  } else {
    field.closest("[data-link-row]").hidden = true;
  }
}
