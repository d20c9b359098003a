// What pages do beyond showing themselves. Nothing that is to be read depends on it.
(() => {
  "use strict";

  const PARTS = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const THIS_YEAR = new Intl.DateTimeFormat(undefined, PARTS);
  const ANY_YEAR = new Intl.DateTimeFormat(undefined, { ...PARTS, year: "numeric" });

  // Show times in the reader's own zone; the server's text, in UTC, is what the title keeps.
  function localTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const moment = new Date(time.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      const format = moment.getFullYear() === new Date().getFullYear() ? THIS_YEAR : ANY_YEAR;
      time.textContent = format.format(moment);
      time.dataset.local = "";
    }
  }

  // A form of filters asks at once when a choice is made, and keeps empty fields out of the address.
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-filters]");
    if (form && event.target.matches("select")) form.requestSubmit();
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.confirm && !window.confirm(form.dataset.confirm)) event.preventDefault();
    if (form.method !== "get") return;
    for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
    // A browser that comes back to this page finds its fields as they were.
    window.setTimeout(() => {
      for (const field of form.elements) field.disabled = false;
    });
  });

  document.addEventListener("click", async (event) => {
    for (const open of document.querySelectorAll("details.switch[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    const before = button.textContent;
    button.textContent = "Copied";
    window.setTimeout(() => { button.textContent = before; }, 1500);
  });

  // Whatever htmx puts into the page is made ready like the page itself.
  function ready(root) {
    localTimes(root);
    for (const button of root.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
    for (const form of root.querySelectorAll("form[data-filters]")) {
      // What asks by itself needs no button.
      if (!form.querySelector("input:not([type=hidden])")) form.querySelector("button").hidden = true;
    }
    root.dispatchEvent(new CustomEvent("watchllm:ready", { bubbles: true }));
    document.body.dataset.ready = "";
  }
  document.addEventListener("DOMContentLoaded", () => ready(document.body));
  document.addEventListener("htmx:afterSwap", (event) => ready(event.target));
})();
