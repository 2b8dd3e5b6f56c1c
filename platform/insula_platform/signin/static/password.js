// A button beside each password that shows what was typed. Without scripts there is none.
for (const input of document.querySelectorAll("input[type=password]")) {
  const button = document.createElement("button");
  const tell = (shown) => {
    input.type = shown ? "text" : "password";
    button.textContent = shown ? "Hide" : "Show";
  };
  button.type = "button";
  button.className = "reveal";
  button.setAttribute("aria-controls", input.id);
  button.addEventListener("click", () => tell(input.type === "password"));
  const row = document.createElement("div");
  row.className = "revealing";
  input.replaceWith(row);
  row.append(input, button);
  tell(false);
  // Hidden again before it is sent: browsers remember what is typed into fields of text.
  input.form.addEventListener("submit", () => tell(false));
}
