// Buttons that copy a field's text; without JavaScript they stay hidden, and the text can be selected.
for (const button of document.querySelectorAll("button[data-copy]")) {
  const field = document.getElementById(button.dataset.copy);
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      document.execCommand("copy"); // no clipboard access, as on plain http
    }
    button.textContent = "Copied";
  });
}
