// Axons in the box of their volume, turned by mouse, finger and keyboard. A worker made the courses; here they are
// turned, sorted by depth and drawn as thick lines, the far ones paler.
const canvas = document.getElementById("courses");
const boxes = [...document.querySelectorAll("input[data-course]")];
const START = { yaw: -0.6, pitch: 0.4, size: 1 };
const [TURN, GROW, LEAST, MOST] = [0.15, 1.25, 0.5, 8];
const THINNEST_PX = 1.6;
const view = { ...START };
let courses = [];
let box = [1, 1, 1];
let isWaiting = false;

// z, y, x in nm to pixels right and down, and depth; x points to the right, y down, z away.
function projection(width, height) {
  const [sinYaw, cosYaw, sinPitch, cosPitch] = [Math.sin(view.yaw), Math.cos(view.yaw), Math.sin(view.pitch), Math.cos(view.pitch)];
  const diagonal = Math.hypot(...box);
  const scale = (view.size * Math.min(width, height)) / diagonal;
  const at = ([z, y, x]) => {
    const [dz, dy, dx] = [z - box[0] / 2, y - box[1] / 2, x - box[2] / 2];
    const [right, away] = [dx * cosYaw + dz * sinYaw, dz * cosYaw - dx * sinYaw];
    const [down, depth] = [dy * cosPitch - away * sinPitch, away * cosPitch + dy * sinPitch];
    return [width / 2 + right * scale, height / 2 + down * scale, depth / diagonal + 0.5];
  };
  return { at, scale };
}

function style(name) {
  return getComputedStyle(canvas).getPropertyValue(name).trim();
}

function drawBox(pen, at) {
  pen.strokeStyle = style("--ink-soft");
  pen.lineWidth = 1;
  pen.globalAlpha = 0.6;
  const corner = (i) => [0, 1, 2].map((axis) => ((i >> axis) & 1) * box[axis]);
  for (let i = 0; i < 8; i++) {
    for (let axis = 0; axis < 3; axis++) {
      if ((i >> axis) & 1) continue;
      const [a, b] = [at(corner(i)), at(corner(i | (1 << axis)))];
      pen.beginPath();
      pen.moveTo(a[0], a[1]);
      pen.lineTo(b[0], b[1]);
      pen.stroke();
    }
  }
  pen.globalAlpha = 1;
}

// How long the three sides are that meet in the corner of voxel 0, 0, 0.
function nameSides(pen, at) {
  pen.fillStyle = style("--ink");
  pen.font = "12px system-ui, sans-serif";
  for (let axis = 0; axis < 3; axis++) {
    const [x, y] = at(box.map((side, i) => (i === axis ? side / 2 : 0)));
    pen.fillText(`${"zyx"[axis]} ${Number((box[axis] / 1000).toPrecision(3))} µm`, x + 4, y - 4);
  }
}

function pieces(at, scale) {
  const found = [];
  for (const input of boxes.filter((input) => input.checked)) {
    const { nodes, edges } = courses[Number(input.dataset.course)];
    const colour = getComputedStyle(input).getPropertyValue("--axon").match(/\d+/g).map(Number);
    const places = nodes.map(at);
    for (const [u, v] of edges) {
      const width = Math.max(THINNEST_PX, (nodes[u][3] + nodes[v][3]) * scale);
      found.push({ a: places[u], b: places[v], depth: (places[u][2] + places[v][2]) / 2, width, colour });
    }
  }
  return found.sort((one, other) => other.depth - one.depth);
}

function draw() {
  isWaiting = false;
  const dense = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width * dense;
  canvas.height = height * dense;
  const pen = canvas.getContext("2d");
  pen.scale(dense, dense);
  const { at, scale } = projection(width, height);
  drawBox(pen, at);
  const isDark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  const ground = isDark ? 30 : 255;
  pen.lineCap = "round";
  for (const { a, b, depth, width: thick, colour } of pieces(at, scale)) {
    const pale = 0.6 * Math.min(1, Math.max(0, depth));
    pen.strokeStyle = `rgb(${colour.map((c) => Math.min(255, c * (isDark ? 1.4 : 1)) * (1 - pale) + ground * pale).join(" ")})`;
    pen.lineWidth = thick;
    pen.beginPath();
    pen.moveTo(a[0], a[1]);
    pen.lineTo(b[0], b[1]);
    pen.stroke();
  }
  nameSides(pen, at);
  canvas.dataset.drawn = `${view.yaw.toFixed(2)} ${view.pitch.toFixed(2)} ${view.size.toFixed(2)}`;
}

function redraw() {
  if (!isWaiting) requestAnimationFrame(draw);
  isWaiting = true;
}

const keys = {
  ArrowLeft: () => (view.yaw -= TURN),
  ArrowRight: () => (view.yaw += TURN),
  ArrowUp: () => (view.pitch -= TURN),
  ArrowDown: () => (view.pitch += TURN),
  "+": () => (view.size = Math.min(MOST, view.size * GROW)),
  "-": () => (view.size = Math.max(LEAST, view.size / GROW)),
  0: () => Object.assign(view, START),
};

function listen() {
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
    redraw();
  });
  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    view.yaw += event.movementX / 150;
    if (event.pointerType !== "touch") view.pitch += event.movementY / 150;
    redraw();
  });
  for (const button of document.querySelectorAll("button[data-key]")) {
    button.addEventListener("click", () => {
      keys[button.dataset.key]();
      redraw();
    });
  }
  for (const input of boxes) input.addEventListener("change", redraw);
  new ResizeObserver(redraw).observe(canvas);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

const answer = await fetch(canvas.dataset.source);
if (answer.ok) {
  ({ courses, box_nm: box } = await answer.json());
  for (const element of document.querySelectorAll(".needs-script")) element.hidden = false;
  listen();
}
