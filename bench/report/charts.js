// Runs in the report's page, after uPlot: draws the throughput plots from the JSON beside them.
(() => {
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const HEIGHT_PX = 260;
  const COLOURS = 8;

  const draw = () => {
    for (const { id, unit, series } of plots) {
      const element = document.getElementById(id);
      element.replaceChildren();
      const data = uPlot.join(series.map(({ times, rates }) => [times, rates]));
      const axis = {
        stroke: colour("--muted"),
        grid: { stroke: colour("--line"), width: 1 },
        ticks: { show: false },
      };
      const options = {
        width: element.clientWidth,
        height: HEIGHT_PX,
        scales: { x: { time: false }, y: { range: (_, __, highest) => [0, (highest || 1) * 1.05] } },
        axes: [
          { ...axis, values: (_, ticks) => ticks.map((tick) => `${tick} s`) },
          { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => tick.toLocaleString("en-US")) },
        ],
        series: [
          { label: "seconds", value: (_, value) => (value === null ? "" : value.toFixed(2)) },
          ...series.map(({ name }, index) => ({
            label: name,
            stroke: colour(`--series-${index % COLOURS}`),
            width: 2,
            spanGaps: true,
            points: { show: false },
            value: (_, value) =>
              value === null ? "" : `${Math.round(value).toLocaleString("en-US")} ${unit}`,
          })),
        ],
      };
      new uPlot(options, data, element);
    }
  };

  draw();
  let waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(draw, 150);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
