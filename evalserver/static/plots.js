// Reading values off a plot by mouse, finger and keyboard. Shapes carry their value as <title>; here it also stands in
// a line below the plot. With the keyboard a plot is one stop: the arrow keys go from value to value.
function makeReadable(plot) {
  const shapes = [...plot.querySelectorAll("title")].map((title) => title.parentNode);
  if (!shapes.length) return;
  const reading = document.createElement("p");
  reading.className = "reading help";
  reading.setAttribute("role", "status");
  if (plot.classList.contains("narrow")) reading.classList.add("narrow");
  if (plot.classList.contains("wide")) reading.classList.add("wide");
  plot.after(reading);
  let place = -1;

  const show = (i) => {
    shapes[place]?.classList.remove("read");
    place = i;
    shapes[place].classList.add("read");
    reading.textContent = shapes[place].querySelector("title").textContent;
  };
  plot.setAttribute("tabindex", "0");
  plot.setAttribute("role", "group");
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    show((Math.max(place, step > 0 ? -1 : 0) + step + shapes.length) % shapes.length);
  });
  for (const event of ["pointerover", "click"]) {
    plot.addEventListener(event, ({ target }) => {
      const i = shapes.findIndex((shape) => shape.contains(target));
      if (i >= 0) show(i);
    });
  }
}

function makeAllReadable() {
  for (const plot of document.querySelectorAll(".plot svg:not([tabindex])")) makeReadable(plot);
}

makeAllReadable();
document.addEventListener("htmx:afterSwap", makeAllReadable);
