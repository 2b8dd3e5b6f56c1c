// Passkeys: the browser's own dialog, between asking what is to be signed and sending the form.
// The forms are hidden until it is known that the browser can do it.
const able = window.PublicKeyCredential?.parseRequestOptionsFromJSON !== undefined;

const ask = async (form) => {
  const asked = new URLSearchParams(new FormData(form));
  const answer = await fetch(form.dataset.options, { method: "POST", body: asked, redirect: "error" });
  if (!answer.ok) {
    throw new Error(`the server answered ${answer.status}`);
  }
  const options = await answer.json();
  return form.dataset.passkey === "create"
    ? navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
    : navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
};

for (const form of able ? document.querySelectorAll("form[data-passkey]") : []) {
  form.hidden = false;
  const problem = form.querySelector("[role=alert]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    try {
      form.elements.credential.value = JSON.stringify(await ask(form));
    } catch (error) {
      problem.textContent =
        error.name === "NotAllowedError" || error.name === "AbortError"
          ? "No passkey was used. Try again when you are ready."
          : error.name === "InvalidStateError"
            ? "This device has a passkey for your account already."
            : "That did not work. Reload the page and try again.";
      problem.hidden = false;
      return;
    }
    form.submit();
  });
}
