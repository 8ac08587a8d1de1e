// Runs in the report's page, after uPlot: draws the throughput plots from the JSON beside them.
(() => {
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const HEIGHT_PX = 260;
  const COLOURS = 8;

  const rateText = (rate, unit) => `${Math.round(rate).toLocaleString("en-US")} ${unit}`;
  const medianOf = (rates) => rates.toSorted((a, b) => a - b)[Math.floor(rates.length / 2)];

  /** Each line has samples at its own moments: where it has none, the nearest sample counts. */
  const nearest = (values, index) => {
    for (let away = 0; away < values.length; away++) {
      const value = values[index - away] ?? values[index + away];
      if (value != null) return value;
    }
    return undefined;
  };

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
          {
            label: "at",
            value: (_, value) => (value == null ? "any time (median)" : `${value.toFixed(2)} s`),
          },
          ...series.map(({ name, rates }, index) => ({
            label: name,
            stroke: colour(`--series-${index % COLOURS}`),
            width: 2,
            spanGaps: true,
            points: { show: false },
            value: (plot, _, line, at) =>
              rateText(at == null ? medianOf(rates) : (nearest(plot.data[line], at) ?? 0), unit),
          })),
        ],
      };
      new uPlot(options, data, element);
    }
  };

  const hint = () => {
    for (const box of document.querySelectorAll(".scroll"))
      box.previousElementSibling.hidden = box.scrollWidth <= box.clientWidth;
  };

  draw();
  hint();
  let waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      draw();
      hint();
    }, 150);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
