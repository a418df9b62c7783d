/* Training curves by uPlot: drawn when they come into view, and anew where colours or widths change. */
const curves = JSON.parse(document.getElementById("curves").textContent);
const HEIGHT = 210;

/* Exponential smoothing without its pull towards 0 at the beginning. */
function smoothed(values, weight) {
  let sum = 0, whole = 0;
  return values.map((value) => {
    sum = weight * sum + (1 - weight) * value;
    whole = weight * whole + (1 - weight);
    return sum / whole;
  });
}

function shortNumber(value) {
  for (const [unit, name] of [[1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= unit) return `${+(value / unit).toPrecision(3)}${name}`;
  }
  return `${+value.toPrecision(4)}`;
}

function drawChart(place, chart, weight, syncKey) {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  const written = (plot, value) => (value === null || value === undefined ? "–" : shortNumber(value));
  const last = chart.data[0].length - 1;
  const atTheEnd = (plot) => plot.setLegend({ idx: last });
  return new uPlot({
    width: place.clientWidth,
    height: HEIGHT,
    hooks: {
      ready: [(plot) => { atTheEnd(plot); plot.over.addEventListener("mouseleave", () => requestAnimationFrame(() => atTheEnd(plot))); }],
    },
    cursor: { sync: { key: syncKey }, y: false },
    scales: { x: { time: false }, y: chart.bounds ? { range: chart.bounds } : {} },
    axes: [
      { ...axis, grid: { show: false }, values: (plot, values) => values.map(shortNumber) },
      { ...axis, size: 46, values: (plot, values) => values.map(shortNumber) },
    ],
    series: [
      { label: "images seen", value: (plot, value) => (value === null || value === undefined ? "–" : value.toLocaleString("en")) },
      ...chart.labels.map((label, index) => ({
        label, stroke: colour(`--series-${(index % 4) + 1}`), width: 1.5, value: written, points: { show: chart.data[0].length === 1 },
      })),
    ],
  }, [chart.data[0], ...chart.data.slice(1).map((values) => (weight ? smoothed(values, weight) : values))], place);
}

const redraws = [];
for (const block of all("[data-curves]")) {
  if (typeof uPlot === "undefined") break;
  const slider = block.querySelector("input");
  const places = all(".plot", block);
  const plots = [];
  const draw = () => {
    const weight = slider.value / 100;
    block.querySelector("output").textContent = weight ? String(weight) : "none";
    for (const plot of plots.splice(0)) plot.destroy();
    curves[block.dataset.curves].forEach((chart, index) => {
      plots.push(drawChart(places[index], chart, weight, block.dataset.curves));
    });
  };
  let drawn = false;
  slider.addEventListener("input", () => drawn && draw());
  new ResizeObserver(() => {
    plots.forEach((plot, index) => plot.setSize({ width: places[index].clientWidth, height: HEIGHT }));
  }).observe(block);
  const watch = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    drawn = true;
    draw();
    watch.disconnect();
    redraws.push(draw);
  }, { rootMargin: "600px" });
  watch.observe(block);
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraws.forEach((draw) => draw()));
