// The keys of the pages: j and k walk rows, / searches, ? explains, g and a letter lead elsewhere.
(() => {
  "use strict";

  let leading = false;
  let current = -1;

  function rows() {
    return [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);
  }

  function walk(step) {
    const all = rows();
    if (!all.length) return;
    const focused = all.findIndex((row) => row.contains(document.activeElement));
    const from = focused >= 0 ? focused : current;
    current = Math.min(Math.max(from + step, 0), all.length - 1);
    const target = all[current].querySelector("a, summary, button") || all[current];
    target.focus();
    all[current].scrollIntoView({ block: "nearest" });
  }

  function help() {
    const dialog = document.querySelector("dialog.help");
    if (!dialog.open) dialog.showModal();
  }

  const actions = {
    j: () => walk(1),
    k: () => walk(-1),
    "?": help,
    "/": () => document.querySelector("[data-search], [data-filters] input[type=text]")?.focus(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input, textarea, select, [contenteditable], dialog")) return;
    if (leading) {
      leading = false;
      for (const link of document.querySelectorAll(".nav a")) {
        if (link.dataset.key && link.dataset.key === event.key) {
          event.preventDefault();
          link.click();
        }
      }
    } else if (event.key === "g") {
      leading = true;
    } else if (event.key in actions) {
      event.preventDefault();
      actions[event.key]();
    }
  });

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-help]")) {
      button.hidden = false;
      button.addEventListener("click", help);
    }
  });
})();
