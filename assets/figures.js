/* Interactive figures that need no server: closed forms and precomputed series, moved by sliders.

   The page holds, in each figure, what to draw (a script of JSON) and a table inside <noscript>;
   book/_ext/interactive.py writes both, and the places that are filled here: with sliders, the plot
   and a sentence with the values. The table moves to a <details>, where it follows the sliders. */
(() => {
  "use strict";

  // memlib has the same formulas in Python, and a test compares the two.
  const sum = (series, count) => series.slice(0, count).reduce((a, b) => a + b, 0);
  const formulas = {
    memorization_bound: (v) => Math.tanh(v.epsilon / 2),
    printed_bound: (v) => -Math.expm1(-v.epsilon),
    standard_error: ({ p, q, fraction, models }) =>
      Math.sqrt((p * (1 - p)) / (fraction * models) + (q * (1 - q)) / ((1 - fraction) * models)),
    worst_error: (v) => formulas.standard_error({ ...v, p: 0.5, q: 0.5 }),
    with_memorization: ({ rho, ratio }) =>
      (rho - ratio) / Math.sqrt(1 - 2 * rho * ratio + ratio * ratio),
    with_difficulty: ({ rho, ratio }) =>
      (1 - rho * ratio) / Math.sqrt(1 - 2 * rho * ratio + ratio * ratio),
    threshold: (v) => v.tau,
    running_mean: (v, series) => sum(series, v.epochs) / v.epochs,
    learning_time: (v, series) => {
      let time = 1; // one more than the length of the series: never
      while (time <= series.length && sum(series, time) > v.tau * time) time += 1;
      return time;
    },
  };

  // Two samples of a linear classifier with Gibbs loss, r the ratio of their first residuals; one
  // step on both removes the residuals (memlib/theory/orders/instances.py).
  function twins({ difference }) {
    const r = 1 - difference;
    const gram = [
      [4 * r ** 2, 2 * r * (r ** 2 + 2 * r - 1)],
      [2 * r * (r ** 2 + 2 * r - 1), (r ** 2 + 2 * r - 1) ** 2 + (1 - r ** 2) ** 2],
    ];
    const rate = 1 / (r * (1 + r)) ** 2;
    const loss = (residual) => Math.max(residual, 0) ** 2 / 2;
    // the losses of both after two steps on the k-th alone
    const alone = (k) => {
      let residuals = [1 / 2, r / 2];
      for (let step = 0; step < 2; step += 1) {
        const push = rate * Math.max(residuals[k], 0);
        residuals = residuals.map((residual, i) => residual - push * gram[k][i]);
      }
      return residuals.map(loss);
    };
    const held = [alone(1), alone(0)]; // trained without the first, without the second
    const beta = Math.max(...held.map((pair) => (pair[0] + pair[1]) / 2));
    const [first, second] = [loss(1 / 2), loss(r / 2)];
    return { r, mem: held[0][0], beta, start: (first + second) / 2, sigma: (first - second) / 2 };
  }

  formulas.twin_bound = (v) => {
    const { mem, beta, start, sigma } = twins(v);
    return (2 / start) * (mem + 2 * beta + (2 * sigma) / Math.sqrt(v.delta));
  };
  formulas.twin_gap = (v) => {
    const { r } = twins(v);
    return formulas.learning_time({ tau: r ** 2 }, [1, 0, 0]) - 1; // gradients over the first of a
  };

  const evaluate = (spec, curve, values) => formulas[curve.formula](values, spec.data[curve.data]);

  const show = (axis, value) => axis.names[value] ?? value.toFixed(axis.decimals);

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function shape(parent, tag, attributes, text = "") {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text) made.setAttribute("fill", "currentcolor");
    made.textContent = text;
    parent.append(made);
    return made;
  }

  // How the k-th curve of a panel is drawn: told apart by its dashes, too.
  const stroke = (k) => ({
    stroke: `var(--series-${k})`,
    "stroke-width": 2.5,
    "stroke-dasharray": ["none", "8 4", "2 3"][k],
    fill: "none",
  });

  // The place of a value on an axis that runs from pixel `start` to pixel `end`.
  function place(axis, value, start, end) {
    const [low, high, at] = [axis.low, axis.high, value].map(axis.log ? Math.log : Number);
    return start + ((at - low) / (high - low)) * (end - start);
  }

  function drawAxes(svg, panel, box) {
    const grid = { class: "grid", stroke: "currentcolor", "stroke-opacity": 0.15 };
    for (const tick of panel.x.ticks) {
      const x = place(panel.x, tick, box.left, box.right);
      shape(svg, "line", { ...grid, x1: x, x2: x, y1: box.top, y2: box.bottom });
      const label = { class: "tick-x", x, y: box.bottom + 18, "text-anchor": "middle" };
      shape(svg, "text", label, panel.x.names[tick] ?? String(tick));
    }
    for (const tick of panel.y.ticks) {
      const y = place(panel.y, tick, box.bottom, box.top);
      shape(svg, "line", { ...grid, x1: box.left, x2: box.right, y1: y, y2: y });
      const label = { class: "tick-y", x: box.left - 6, y: y + 4, "text-anchor": "end" };
      shape(svg, "text", label, panel.y.names[tick] ?? String(tick));
    }
    shape(svg, "path", {
      fill: "none",
      stroke: "currentcolor",
      d: `M${box.left} ${box.top}V${box.bottom}H${box.right}`,
    });
    shape(svg, "text", { class: "label", x: 0, y: 14 }, panel.y.label);
    const middle = { x: (box.left + box.right) / 2, y: box.bottom + 40, "text-anchor": "middle" };
    shape(svg, "text", { class: "label", ...middle }, panel.x.label);
  }

  function drawPanel(svg, spec, panel, values) {
    const width = Math.max(svg.clientWidth, 200);
    const box = { left: 46, right: width - 12, top: 30, bottom: svg.clientHeight - 48 };
    const at = (x, y) => [
      place(panel.x, x, box.left, box.right).toFixed(2),
      place(panel.y, y, box.bottom, box.top).toFixed(2),
    ];
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${svg.clientHeight}`);
    drawAxes(svg, panel, box);
    if (panel.key in values) {
      const [x] = at(values[panel.key], panel.y.low);
      const dotted = { stroke: "currentcolor", "stroke-dasharray": "2 4" };
      shape(svg, "line", { ...dotted, x1: x, x2: x, y1: box.top, y2: box.bottom });
    }
    panel.curves.forEach((curve, k) => {
      const value = (x) => evaluate(spec, curve, { ...values, [panel.key]: x });
      const points = panel.values.map((x) => at(x, value(x)));
      const joined = points.map(([x, y], i) => (panel.steps && i ? `H${x}V${y}` : `L${x} ${y}`));
      const path = "M" + joined.join("").slice(1);
      shape(svg, "path", { class: "curve", ...stroke(k), d: path });
      // a dot where the slider is, or where another curve of the figure says
      const times = spec.panels.flatMap((other) => other.curves);
      const mark = times.find((other) => other.key === curve.mark);
      const x = mark ? evaluate(spec, mark, values) : values[panel.key];
      if (x >= panel.x.low && x <= panel.x.high) {
        const [cx, cy] = at(x, value(x));
        const dot = { ...stroke(k), "stroke-dasharray": "none", fill: "var(--pst-color-background)" };
        shape(svg, "circle", { ...dot, cx, cy, r: 5 });
      }
    });
  }

  function legend(panel) {
    const list = element("ul", { class: "interactive-legend" });
    panel.curves.forEach((curve, k) => {
      const item = element("li");
      const line = shape(item, "svg", { width: 28, height: 10, "aria-hidden": "true" });
      shape(line, "path", { ...stroke(k), d: "M1 5H27" });
      item.append(" " + curve.label);
      list.append(item);
    });
    return list;
  }

  // The same text as in the table of the page: "p = 0.90, q = 0.60"
  function settings(spec, panel, values) {
    const others = spec.sliders.filter((s) => s.key !== panel.key);
    const used = others.filter((s) => panel.uses.includes(s.key));
    return used.map((s) => `${s.symbol} = ${show(s, values[s.key])}`).join(", ");
  }

  function fillTable(table, spec, panel, values) {
    table.caption.textContent = [panel.title, settings(spec, panel, values)]
      .filter(Boolean)
      .join(": ");
    panel.rows.forEach((x, i) =>
      panel.curves.forEach((curve, k) => {
        const value = evaluate(spec, curve, { ...values, [panel.key]: x });
        table.tBodies[0].rows[i].cells[k + 1].textContent = show(panel.y, value);
      }),
    );
  }

  function sentence(spec, values) {
    const words = {};
    for (const slider of spec.sliders) words[slider.key] = show(slider, values[slider.key]);
    for (const panel of spec.panels)
      for (const curve of panel.curves)
        if (spec.readout.includes(`{${curve.key}}`))
          words[curve.key] = show(panel.y, evaluate(spec, curve, values));
    return spec.readout.replace(/\{(\w+)\}/g, (_, key) => words[key]);
  }

  function start(script) {
    const spec = JSON.parse(script.textContent);
    const figure = script.closest("figure");
    const noscript = figure.querySelector("noscript");
    const values = {};
    const readout = element("output", { class: "interactive-readout" });
    const controls = figure.querySelector(".interactive-controls");
    const plots = figure.querySelector(".interactive-plots");

    const panels = spec.panels.map((panel, k) => {
      const cell = plots.children[k];
      const svg = shape(cell, "svg", { role: "img", "aria-label": panel.description });
      cell.append(legend(panel));
      return svg;
    });

    // With scripts on, the content of <noscript> is text.
    const details = element("details", {}, element("summary", {}, "The values as a table"));
    details.insertAdjacentHTML("beforeend", noscript.textContent);
    const tables = details.querySelectorAll("table");

    function draw() {
      spec.panels.forEach((panel, k) => drawPanel(panels[k], spec, panel, values));
    }

    function update() {
      draw();
      spec.panels.forEach((panel, k) => fillTable(tables[k], spec, panel, values));
      readout.textContent = sentence(spec, values);
    }

    spec.sliders.forEach((slider, k) => {
      const id = `${spec.name}-${slider.key}`;
      const last = slider.values.length - 1;
      const attributes = { type: "range", id, min: 0, max: last, step: 1, autocomplete: "off" };
      const input = element("input", attributes);
      const output = element("output", { for: id, "aria-live": "off" });
      input.value = slider.values.indexOf(slider.start);
      const take = () => {
        values[slider.key] = slider.values[Number(input.value)];
        output.textContent = `${slider.symbol} = ${show(slider, values[slider.key])}`;
        input.setAttribute("aria-valuetext", output.textContent);
      };
      take();
      input.addEventListener("input", () => {
        take();
        update();
      });
      controls.children[k].append(element("label", { for: id }, slider.label), input, output);
    });

    plots.after(readout, details);
    update();
    new ResizeObserver(draw).observe(plots);
  }

  window.interactiveFigures = { evaluate };
  document.querySelectorAll("script[data-figure]").forEach(start);
})();
