// The page of the metric: the ERL of two axons, computed again when the reader moves an error or the tolerance.
// The definition is docs/metric.md's, the picture that of axonem_eval/report/metric_figure.py; a test compares both.
const form = document.getElementById("metric-example");
const picture = document.querySelector("svg.metric");
const { spacingNm, omittedFrom, nodesA, nodesB } = Object.fromEntries(
  Object.entries(form.dataset).map(([name, value]) => [name, Number(value)]),
);

function labels({ split, omitted, shared }) {
  const a = Array.from({ length: nodesA }, (_, i) => {
    if (i >= omittedFrom && i < omittedFrom + omitted) return 0;
    return split && i >= split ? 2 : 1;
  });
  const b = Array.from({ length: nodesB }, (_, i) => (i < shared ? a[nodesA - 1] : 3));
  return [a, b];
}

function score(example) {
  const axons = labels(example);
  const nodes = axons.map((axon) => [0, 1, 2, 3].map((k) => axon.filter((label) => label === k).length));
  const least = Math.max(example.tolerance, 1);
  const isMerger = (k) => k > 0 && nodes.every((counts) => counts[k] >= least);
  const classes = [];
  const runs = axons.map((axon) => {
    const run = [0, 0, 0, 0];
    for (let i = 1; i < axon.length; i++) {
      const [u, v] = [axon[i - 1], axon[i]];
      if (u === 0 || v === 0) classes.push("omitted");
      else if (u !== v) classes.push("split");
      else {
        classes.push(isMerger(u) ? "merged" : `run${u - 1}`);
        run[u] += spacingNm;
      }
    }
    return run;
  });
  const counted = runs.flatMap((run) => run.filter((nm, k) => nm > 0 && !isMerger(k)));
  const lengths = axons.map((axon) => (axon.length - 1) * spacingNm);
  const total = lengths[0] + lengths[1];
  const mean = (parts) => parts.reduce((sum, nm) => sum + nm * nm, 0) / total;
  return { classes, counted, lengths, total, erlNm: mean(counted), ceilingNm: mean(lengths) };
}

function lines({ counted, lengths, total, erlNm, ceilingNm }) {
  const um = (nm) => (nm / 1000).toFixed(2);
  const squares = counted.map((nm) => `${um(nm)}²`).join(" + ") || "0";
  const whole = lengths.map((nm) => `${nm / 1000}²`).join(" + ");
  return [
    `Runs that count: ${counted.map((nm) => `${um(nm)} µm`).join(", ") || "none"}`,
    `ERL = (${squares}) / ${total / 1000} = ${um(erlNm)} µm`,
    `Without errors: (${whole}) / ${total / 1000} = ${um(ceilingNm)} µm. Reached: ${((100 * erlNm) / ceilingNm).toFixed(0)}%`,
  ];
}

function draw() {
  const example = {};
  for (const input of form.querySelectorAll("input")) {
    example[input.name] = Number(input.value);
    form.querySelector(`output[for="${input.id}"]`).textContent = input.value;
  }
  const result = score(example);
  const edges = [...picture.querySelectorAll(".edge")];
  edges.forEach((edge, i) => edge.setAttribute("class", `edge ${result.classes[i]}`));
  const show = (selector, isShown) =>
    picture.querySelector(selector).setAttribute("display", isShown ? "inline" : "none");
  show("text.split", example.split > 0);
  show("text.omission", example.omitted > 0);
  show("text.merger", example.shared > 0);
  const words = result.classes.includes("merged") ? "merger" : "no merger: below the tolerance";
  picture.querySelector("text.merger").textContent = words;
  show(".bridge", example.shared > 0);
  if (example.split) {
    const edge = edges[example.split - 1].getBBox();
    const mark = picture.querySelector("text.split");
    mark.setAttribute("x", edge.x + edge.width / 2);
    mark.setAttribute("y", edge.y + edge.height + 26);
  }
  const told = lines(result);
  picture.querySelectorAll("text.sum").forEach((line, i) => (line.textContent = told[i]));
  picture.setAttribute("aria-label", told.join(". "));
  form.dataset.erlNm = result.erlNm;
  document.getElementById("metric-told").textContent = told[1];
}

for (const element of document.querySelectorAll(".needs-script")) element.hidden = false;
form.addEventListener("input", draw);
form.addEventListener("reset", () => setTimeout(draw));
draw();
