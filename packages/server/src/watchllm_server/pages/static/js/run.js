// The page of a run: the row of the event that is shown, and what comes while the run goes on.
(() => {
  "use strict";

  function mark() {
    const detail = document.getElementById("detail");
    const rows = document.getElementById("rows");
    if (!detail || !rows) return;
    for (const link of rows.querySelectorAll("a[aria-current]")) link.removeAttribute("aria-current");
    const shown = detail.dataset.event;
    for (const link of rows.querySelectorAll("[data-row] a")) {
      if (new URL(link.href).searchParams.get("event") === shown) link.setAttribute("aria-current", "true");
    }
  }

  // On a narrow screen the event stands below the outline, out of sight.
  function reveal() {
    const detail = document.getElementById("detail");
    if (detail.getBoundingClientRect().top > window.innerHeight * 0.8) detail.scrollIntoView();
  }

  // htmx tells of each element that it has put in: of hundreds of rows at a time.
  let waiting = false;
  function settled(event) {
    if (event.detail.target?.id === "detail") reveal();
    if (waiting) return;
    waiting = true;
    window.requestAnimationFrame(() => {
      waiting = false;
      mark();
    });
  }

  function listen() {
    const sign = document.querySelector("[data-live]");
    if (!sign || !window.EventSource || !window.htmx) return;
    const source = new EventSource(sign.dataset.live);
    let known = null;
    source.addEventListener("open", () => { sign.hidden = false; });
    // A browser connects again by itself, unless it was refused.
    source.addEventListener("error", () => { sign.hidden = true; });
    source.addEventListener("changed", (event) => {
      if (known === null) known = Number(document.querySelector("[data-events]").dataset.events);
      if (Number(event.data) === known) return;
      known = Number(event.data);
      window.htmx.ajax("GET", window.location.href, {
        source: sign, target: "#rows", select: "#rows > li", swap: "innerHTML", selectOOB: "#summary",
      });
    });
    source.addEventListener("ended", () => {
      source.close();
      sign.hidden = true;
    });
    window.addEventListener("pagehide", () => source.close());
  }

  document.addEventListener("htmx:afterSettle", settled);
  document.addEventListener("DOMContentLoaded", listen);
})();
