// Reading values off a plot by mouse, finger and keyboard. Shapes carry their value as <title>; here it also stands in
// a line below the plot. With the keyboard a plot is one stop: the arrow keys go from value to value. A finger need not
// hit a dot: the nearest within reach is read, and follows as the finger moves.
const REACH_PX = { mouse: 12, pen: 16, touch: 28 };

function distancePx(shape, x, y) {
  const box = shape.getBoundingClientRect();
  return Math.hypot(Math.max(box.left - x, 0, x - box.right), Math.max(box.top - y, 0, y - box.bottom));
}

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
    if (i === place) return;
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
  for (const event of ["pointermove", "pointerdown"]) {
    plot.addEventListener(event, ({ target, clientX, clientY, pointerType }) => {
      const hit = shapes.findIndex((shape) => shape.contains(target));
      if (hit >= 0) return show(hit);
      const distances = shapes.map((shape) => distancePx(shape, clientX, clientY));
      const nearest = distances.indexOf(Math.min(...distances));
      if (distances[nearest] <= (REACH_PX[pointerType] ?? REACH_PX.mouse)) show(nearest);
    });
  }
}

function makeAllReadable() {
  for (const plot of document.querySelectorAll(".plot svg:not([tabindex])")) makeReadable(plot);
}

makeAllReadable();
document.addEventListener("htmx:afterSwap", makeAllReadable);
