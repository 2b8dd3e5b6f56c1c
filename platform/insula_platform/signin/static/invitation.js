// The invitation is behind the # of the link, which browsers send to nobody: put it into the form.
const invitation = location.hash.slice(1);
if (invitation) {
  history.replaceState(null, "", location.pathname); // out of the address bar and the history
  document.getElementById("invitation").value = invitation;
  document.getElementById("open").requestSubmit();
}
