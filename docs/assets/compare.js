// Lays a state of the network over the state as it is, with a line between them that can be moved.
// Without it all states stand side by side.

(() => {
  "use strict";
  const frame = document.getElementById("compare-states");
  if (!frame) return;
  const [before, ...others] = [...frame.children];

  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: 100, value: 50 });
  slider.setAttribute("aria-label", "Share of the image as it is, from the left");
  const move = () => frame.style.setProperty("--at", `${slider.value}%`);
  slider.addEventListener("input", move);

  const said = document.createElement("p");
  said.className = "ff-compare-said";
  said.setAttribute("role", "status");
  function show(after) {
    for (const other of others) other.hidden = other !== after;
    const words = [before, after].map((one) => one.querySelector("figcaption").textContent);
    said.textContent = `Left: ${words[0]} Right: ${words[1]}`;
  }

  const choice = document.createElement("fieldset");
  choice.className = "ff-compare-choice";
  const legend = document.createElement("legend");
  legend.textContent = "Compare with";
  choice.append(legend);
  others.forEach((other, at) => {
    const label = document.createElement("label");
    const button = Object.assign(document.createElement("input"), {
      type: "radio", name: "compare", checked: at === 0,
    });
    button.addEventListener("change", () => show(other));
    label.append(button, ` ${other.dataset.state}`);
    choice.append(label);
  });

  frame.classList.add("is-live");
  frame.before(choice);
  frame.append(slider);
  frame.after(said);
  move();
  show(others[0]);
})();
