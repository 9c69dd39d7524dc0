// The client (2.41.2) makes all layers of a state before it fills the first. Meanwhile each change asks for the address
// of the whole state, which is debounced. Where filling takes 200 ms it is made at once, an annotation layer that is not
// filled yet cannot give its part, and the layer that is being filled is dropped. So the clock stands still within each
// task until the layers are there.
const { now } = Date;
let held;
Date.now = () => {
  if (held === undefined) {
    held = now();
    setTimeout(() => {
      held = undefined;
    });
  }
  return held;
};
const untilThere = setInterval(() => {
  if (window.viewer && window.viewer.layerManager.managedLayers.length) {
    Date.now = now;
    clearInterval(untilThere);
  }
}, 500);
