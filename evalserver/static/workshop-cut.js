// The page of a cut by points: Neuroglancer opens in a window of its own, and its points are taken from there.
"use strict";
const open = document.querySelector("[data-viewer]");
const take = document.querySelector("[data-take]");
const told = document.querySelector("[data-told]");
const sides = { "blue side": "this_side", "orange side": "other_side" };
let neuroglancer;

open?.addEventListener("click", () => {
  const query = new URLSearchParams(["segment", ...Object.values(sides)].map((name) => [name, document.getElementsByName(name)[0].value]));
  neuroglancer = window.open(`${open.dataset.viewer}?${query}`);
});

// Neuroglancer writes x, y, z and fractions of a voxel.
const voxel = ({ point }) => point.slice(0, 3).reverse().map(Math.floor).join(", ");

take?.addEventListener("click", () => {
  const state = neuroglancer && !neuroglancer.closed && neuroglancer.viewer?.state.toJSON();
  if (!state) {
    told.textContent = "No Neuroglancer window of this page is open. Press Place points first.";
    return;
  }
  const taken = Object.entries(sides).map(([layer, field]) => {
    const points = (state.layers.find(({ name }) => name === layer)?.annotations ?? []).filter(({ type }) => type === "point");
    document.getElementsByName(field)[0].value = points.map(voxel).join("\n");
    return `${points.length} in the ${layer}`;
  });
  told.textContent = `Points taken: ${taken.join(", ")}.`;
});
