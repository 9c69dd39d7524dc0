// Keys of the workshop: on a batch they press its buttons and links, in the list those of the row that is framed.
"use strict";
const rows = [...document.querySelectorAll(".workshop-candidate")];
const linked = location.hash ? document.getElementById(location.hash.slice(1)) : null;
// After a verdict the next open row is framed.
const first = rows.findIndex((row) => (!linked || rows.indexOf(row) > rows.indexOf(linked)) && !row.classList.contains("decided"));
if (rows.length) rows[Math.max(0, first)].focus();
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=text], textarea, select")) return;
  const row = event.target.closest(".workshop-candidate");
  if (rows.length && (event.key === "j" || event.key === "k")) {
    const next = rows.indexOf(row) + (event.key === "j" ? 1 : -1);
    rows[Math.min(rows.length - 1, Math.max(0, next))].focus();
    return;
  }
  const target = (rows.length ? row : document)?.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (target) {
    event.preventDefault();
    target.click();
  }
});
