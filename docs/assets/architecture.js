// The architecture diagram: a panel beside the block that is pointed at, focused or tapped, with the
// layers and claims of its section; and the chosen network and block in the address. Switching
// between networks is the style sheet's work.

(function () {
  "use strict";

  function start(root) {
    if (root.dataset.faReady) return;
    root.dataset.faReady = "yes";
    const body = root.querySelector(".fa-body");
    const panel = root.querySelector(".fa-panel");
    const title = root.querySelector(".fa-title");
    const columns = root.querySelector(".fa-columns");
    const close = root.querySelector(".fa-close");
    const blocks = Array.from(root.querySelectorAll(".fa-block"));
    let chosen = "";
    let pinned = false;
    let before = { chosen: "", pinned: false }; // what a click began on: focus comes first

    const network = () => root.querySelector(".fa-switch input:checked").value;
    const visible = (block) =>
      blocks.find((each) => each.dataset.block === block && each.getClientRects().length);

    // The parts of a block's section that are about the network.
    function parts(block) {
      const section = document.querySelector('.fa-section[data-block="' + block + '"]');
      const folds = section ? Array.from(section.querySelectorAll("details[data-variant]")) : [];
      return folds
        .filter((fold) => fold.dataset.variant.split(" ").includes(network()))
        .map(function (fold) {
          const part = document.createElement("div");
          part.append(...Array.from(fold.cloneNode(true).childNodes).slice(1));
          return part;
        });
    }

    function show(block, keep) {
      const link = block && visible(block);
      chosen = link ? block : "";
      pinned = Boolean(link && keep);
      for (const each of blocks) each.classList.toggle("on", each.dataset.block === chosen);
      panel.classList.toggle("chosen", chosen !== "");
      panel.classList.toggle("pinned", pinned);
      close.hidden = !pinned;
      title.textContent = "";
      columns.replaceChildren();
      if (link) {
        const [name, ...rest] = link.getAttribute("aria-label").split(". ");
        const section = document.createElement("a");
        section.href = link.getAttribute("href");
        section.textContent = "section ↓";
        const strong = document.createElement("b");
        strong.textContent = name;
        title.append(strong, " ", rest.join(". "), " ", section);
        columns.append(...parts(chosen).reverse()); // claims before layers
        panel.scrollTop = 0;
        // Beside the block, on the side that has more room.
        const outer = body.getBoundingClientRect();
        const inner = link.querySelector(".panel").getBoundingClientRect();
        const right = inner.left + inner.right < outer.left + outer.right;
        panel.style.setProperty("--at-left", right ? inner.right - outer.left + 8 + "px" : "auto");
        panel.style.setProperty("--at-right", right ? "auto" : outer.right - inner.left + 8 + "px");
        panel.style.setProperty("--at-top", inner.top - outer.top + "px");
      }
      remember();
    }

    function remember() {
      const address = new URL(location.href);
      const first = root.querySelector(".fa-switch input").value;
      const state = { network: network() === first ? "" : network(), block: pinned ? chosen : "" };
      for (const [key, value] of Object.entries(state)) {
        if (value) address.searchParams.set(key, value);
        else address.searchParams.delete(key);
      }
      if (address.href !== location.href) history.replaceState(history.state, "", address);
    }

    for (const link of blocks) {
      link.addEventListener("pointerenter", function (event) {
        if (event.pointerType === "mouse" && !pinned) show(link.dataset.block, false);
      });
      link.addEventListener("pointerdown", function () {
        before = { chosen, pinned };
      });
      link.addEventListener("keydown", function () {
        before = { chosen, pinned };
      });
      link.addEventListener("focus", function () {
        if (!pinned) show(link.dataset.block, false);
      });
      // The first click or tap keeps the panel open, the second one follows to the section.
      link.addEventListener("click", function (event) {
        if (before.pinned && before.chosen === link.dataset.block) return;
        event.preventDefault();
        show(link.dataset.block, true);
      });
    }
    root.querySelector(".fa-views").addEventListener("pointerleave", function () {
      if (!pinned) show("", false);
    });
    root.querySelector(".fa-switch").addEventListener("change", function () {
      show(chosen, pinned);
    });
    close.addEventListener("click", function () {
      show("", false);
    });
    root.addEventListener("keydown", function (event) {
      if (event.key === "Escape") show("", false);
    });
    panel.hidden = false;
    const asked = new URLSearchParams(location.search);
    for (const input of root.querySelectorAll(".fa-switch input"))
      if (input.value === asked.get("network")) input.checked = true;
    show(asked.get("block") || "", true);
  }

  const startAll = () => document.querySelectorAll("[data-fa]").forEach(start);
  if (window.document$) window.document$.subscribe(startAll);
  else if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", startAll);
  else startAll();
})();
