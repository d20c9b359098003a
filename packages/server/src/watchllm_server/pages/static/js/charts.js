// Draw the charts of a page with uPlot in place of the server's drawing. A stretch that is marked
// becomes the page's time, in its address.
(() => {
  "use strict";

  const HEIGHT = 160;
  const drawn = new Map();

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const NAMED = { error: "--error", muted: "--neutral" };
  const colour = (tone) => style(NAMED[tone] || `--series-${tone}`);

  const digits = (value) => Number(value.toPrecision(3)).toLocaleString();
  const UNITS = {
    count(value) {
      if (value >= 1e9) return `${digits(value / 1e9)} G`;
      if (value >= 1e6) return `${digits(value / 1e6)} M`;
      if (value >= 1e4) return `${digits(value / 1e3)} k`;
      return value.toLocaleString(undefined, { maximumFractionDigits: 2 });
    },
    usd: (value) => (value === 0 ? "$0" : `$${value >= 1 ? value.toLocaleString(undefined, { maximumFractionDigits: 2 }) : Number(value.toPrecision(2))}`),
    ms: (value) => (value >= 1000 ? `${digits(value / 1000)} s` : `${digits(value)} ms`),
    share: (value) => `${digits(100 * value)} %`,
  };

  const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
  const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });

  // Days, or hours with the day below the first one of each.
  function dates(marks, step) {
    const days = marks.map((at) => DAY.format(1000 * at));
    if (step >= 86400) return days;
    return marks.map((at, i) => CLOCK.format(1000 * at) + (days[i] === days[i - 1] ? "" : `\n${days[i]}`));
  }

  // Each line of a stack is drawn with all lines below it added; its legend shows its own value.
  function columns(chart) {
    if (chart.kind !== "stacked") return chart.lines.map((line) => line.values);
    const sums = chart.times.map(() => 0);
    return chart.lines.map((line) => line.values.map((value, i) => (sums[i] += value || 0)));
  }

  function options(chart, width, zoom) {
    const read = (value) => (value === null || value === undefined ? "–" : UNITS[chart.unit](value));
    // Where the pointer is away the legend has names alone.
    const pointed = (i, text) => (i === null || i === undefined ? "" : text());
    const bars = chart.kind === "line" ? undefined : uPlot.paths.bars({ size: [0.8, 40], align: 1 });
    const axis = { stroke: style("--muted"), grid: { stroke: style("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const series = chart.lines.map((line) => ({
      label: line.label,
      stroke: colour(line.tone),
      fill: bars ? colour(line.tone) : undefined,
      width: bars ? 0 : 1.6,
      paths: bars,
      points: { show: !bars && chart.times.length < 3 },
      value: (_, __, ___, i) => pointed(i, () => read(line.values[i])),
    }));
    return {
      width,
      height: HEIGHT,
      padding: [8, 22, 0, 0],
      cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
      scales: { x: { range: (_, from, to) => [from, bars ? to + chart.width : to] }, y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] } },
      axes: [{ ...axis, size: (_, marks) => (marks?.some((mark) => mark.includes("\n")) ? 38 : 24), space: 56, values: (_, marks, __, ___, step) => dates(marks, step) }, { ...axis, size: 52, values: (_, marks) => marks.map(read) }],
      series: [{ label: "Time", value: (_, at, __, i) => pointed(i, () => MOMENT.format(1000 * at)) }, ...series],
      hooks: { setSelect: [(plot) => zoom(plot, chart)] },
    };
  }

  function zoom(plot, chart) {
    if (plot.select.width < 6) return;
    const at = (pixels) => plot.posToVal(pixels, "x");
    const from = Math.floor(at(plot.select.left) / 60) * 60;
    const to = Math.min(Math.ceil(at(plot.select.left + plot.select.width) / 60) * 60, chart.times.at(-1) + chart.width);
    const address = new URL(window.location.href);
    for (const name of ["range", "cursor"]) address.searchParams.delete(name);
    const text = (seconds) => new Date(1000 * seconds).toISOString().slice(0, 19) + "Z";
    address.searchParams.set("from", text(from));
    address.searchParams.set("to", text(Math.max(to, from + 60)));
    window.location.assign(address);
  }

  function draw(figure) {
    const chart = JSON.parse(figure.dataset.chart);
    const drawing = figure.querySelector("svg");
    if (!drawing && !drawn.has(figure)) return;
    let place = figure.querySelector(".plot");
    if (!place) {
      place = document.createElement("div");
      place.className = "plot";
      place.setAttribute("role", "group");
      place.setAttribute("aria-label", drawing.getAttribute("aria-label"));
      drawing.replaceWith(place);
    }
    drawn.get(figure)?.destroy();
    const lines = columns(chart);
    const settings = options(chart, place.clientWidth, zoom);
    if (chart.kind === "stacked") {
      // The highest is drawn first, and the lower ones before it.
      lines.reverse();
      settings.series = [settings.series[0], ...settings.series.slice(1).reverse()];
    }
    drawn.set(figure, new uPlot(settings, [chart.times, ...lines], place));
    if (chart.kind === "stacked") {
      // Names stand in the order that they were given in, as in the table below.
      const names = place.querySelector(".u-legend tbody");
      names.append(...[...names.children].slice(1).reverse());
    }
  }

  const widths = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      drawn.get(target)?.setSize({ width: target.clientWidth, height: HEIGHT });
    }
  });

  document.addEventListener("watchllm:ready", (event) => {
    if (typeof uPlot === "undefined") return;
    for (const figure of event.target.querySelectorAll("[data-chart]")) {
      draw(figure);
      widths.observe(figure);
    }
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const figure of drawn.keys()) draw(figure);
  });
})();
