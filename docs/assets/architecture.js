// The architecture diagram's panel: the layers of the block that is pointed at, focused or tapped,
// and the claims about it. Switching between networks is the style sheet's work.

(function () {
  "use strict";

  function start(root) {
    if (root.dataset.faReady) return;
    root.dataset.faReady = "yes";
    const panel = root.querySelector(".fa-panel");
    const live = root.querySelector(".fa-live");
    const close = root.querySelector(".fa-close");
    const entries = Array.from(root.querySelectorAll(".fa-about"));
    const blocks = Array.from(root.querySelectorAll(".fa-block"));
    let chosen = ""; // the network as a whole
    let touched = false;

    const network = () => root.querySelector(".fa-switch input:checked").value;

    function show(block, aloud) {
      chosen = block;
      const variant = network();
      let entry = null;
      for (const each of entries) {
        each.hidden =
          each.dataset.block !== block || !each.dataset.variant.split(" ").includes(variant);
        if (!each.hidden && each.dataset.live) entry = each;
      }
      for (const each of blocks) each.classList.toggle("on", each.dataset.block === block);
      panel.classList.toggle("chosen", block !== "");
      close.hidden = block === "";
      panel.scrollTop = 0;
      if (aloud) live.textContent = entry ? entry.dataset.live : "";
    }

    for (const link of blocks) {
      link.addEventListener("pointerenter", function (event) {
        if (event.pointerType === "mouse") show(link.dataset.block, false);
      });
      link.addEventListener("focus", function () {
        if (!touched) show(link.dataset.block, false);
      });
      // A finger cannot hover: its first tap shows, a second one on the same block follows.
      link.addEventListener("pointerdown", function (event) {
        touched = event.pointerType !== "mouse";
      });
      link.addEventListener("click", function (event) {
        if (touched && chosen !== link.dataset.block) {
          event.preventDefault();
          show(link.dataset.block, true);
        }
        touched = false;
      });
    }
    root.querySelector(".fa-switch").addEventListener("change", function () {
      show(chosen, true);
    });
    function dismiss() {
      show("", true);
    }
    close.addEventListener("click", dismiss);
    root.addEventListener("keydown", function (event) {
      if (event.key === "Escape" && chosen !== "") dismiss();
    });
    panel.hidden = false;
    show("", false);
  }

  const startAll = () => document.querySelectorAll("[data-fa]").forEach(start);
  if (window.document$) window.document$.subscribe(startAll);
  else if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", startAll);
  else startAll();
})();
