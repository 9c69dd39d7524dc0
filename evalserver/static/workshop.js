// Keys of the workshop: on a batch they press its buttons and links, in the list those of the row that is framed.
"use strict";
const rows = [...document.querySelectorAll(".workshop-candidate")];
const boxes = [...document.querySelectorAll(".workshop-segment input[type=checkbox]")];
const linked = location.hash ? document.getElementById(location.hash.slice(1)) : null;
// After a verdict the next open row is framed.
const first = rows.findIndex((row) => (!linked || rows.indexOf(row) > rows.indexOf(linked)) && !row.classList.contains("decided"));
if (rows.length) rows[Math.max(0, first)].focus();

function frame(list, place) {
  list[Math.min(list.length - 1, Math.max(0, place))].focus();
}

// How many boxes stand beside each other: an arrow down leads to the one below.
function across() {
  const top = boxes[0].closest(".workshop-segment").offsetTop;
  const next = boxes.findIndex((box) => box.closest(".workshop-segment").offsetTop !== top);
  return next < 0 ? boxes.length : next;
}

function stepOf(key) {
  if (rows.length) return { j: 1, k: -1 }[key];
  if (!boxes.length) return undefined;
  return { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across(), ArrowUp: -across() }[key];
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=text], textarea, select")) return;
  const step = stepOf(event.key);
  const row = event.target.closest(".workshop-candidate");
  if (step !== undefined) {
    event.preventDefault();
    const here = rows.length ? rows.indexOf(row) : boxes.indexOf(event.target);
    frame(rows.length ? rows : boxes, here < 0 ? 0 : here + step);
    return;
  }
  if (event.key === "x") boxes.forEach((box) => (box.checked = !box.checked));
  const key = `[data-key="${CSS.escape(event.key)}"]`;
  const target = row?.querySelector(key) || document.querySelector(`.crumb ${key}, .workshop-bar ${key}`);
  if (target) {
    event.preventDefault();
    target.click();
  }
});
