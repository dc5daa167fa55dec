"use strict";
// Sorting tables, saving figures, and the sequence browser. Names are only ever set as text.
(() => {
  const make = (tag, attributes = {}, text = null, space = null) => {
    const element = space ? document.createElementNS(space, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== null) element.textContent = text;
    return element;
  };
  const button = (text, action, title = text) => {
    const element = make("button", { type: "button", title, "aria-label": title }, text);
    element.addEventListener("click", action);
    return element;
  };
  const read = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");

  // tables

  const number = (text) => Number.parseFloat(text.replaceAll(",", "").replace("−", "-"));
  const sortBy = (head, column) => {
    const table = head.closest("table");
    const falling = head.getAttribute("aria-sort") === "descending" ? false : head.getAttribute("aria-sort") !== "ascending" || null;
    const down = falling === null ? true : falling;
    const rows = [...table.tBodies[0].rows];
    const keys = new Map(rows.map((row) => [row, row.cells[column].textContent.trim()]));
    const numeric = rows.some((row) => !Number.isNaN(number(keys.get(row))));
    rows.sort((one, other) => {
      const [a, b] = [keys.get(one), keys.get(other)];
      if (!numeric) return down ? b.localeCompare(a) : a.localeCompare(b);
      const [x, y] = [number(a), number(b)];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return down ? y - x : x - y;
    });
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    table.tBodies[0].append(...rows);
  };
  for (const table of document.querySelectorAll("main table")) {
    if (table.tBodies[0].rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const sort = button(head.textContent, () => sortBy(head, column), `Sort by ${head.textContent}`);
      sort.className = "sort";
      head.replaceChildren(sort);
    });
  }

  // saving

  const save = (name, kind, content) => {
    const link = make("a", { download: `${name.replace(/[^\w.-]+/g, "_").slice(0, 80)}.${kind === "image/svg+xml" ? "svg" : "csv"}` });
    link.href = URL.createObjectURL(new Blob([content], { type: `${kind};charset=utf-8` }));
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const svgText = (svg) => {
    const copy = svg.cloneNode(true);
    const [, , width, height] = copy.getAttribute("viewBox").split(" ");
    for (const [name, value] of Object.entries({ width, height, xmlns: "http://www.w3.org/2000/svg", "font-family": "sans-serif" }))
      copy.setAttribute(name, value);
    // the page's colours stay behind: their mid-tones show on any ground
    return new XMLSerializer().serializeToString(copy).replace(/var\(--[\w-]+, ?(#[0-9a-f]{6})\)/g, "$1");
  };
  const data = read("figure-data") ?? {};
  for (const figure of document.querySelectorAll("[data-figure]")) {
    const { name, csv } = data[figure.dataset.figure];
    const tools = make("div", { class: "tools" });
    tools.append(button("SVG", () => save(name, "image/svg+xml", svgText(figure.querySelector("svg"))), `Save ${name} as SVG`));
    if (csv) tools.append(button("CSV", () => save(name, "text/csv", csv), `Save the data of ${name} as CSV`));
    figure.append(tools);
  }

  // the sequence browser

  const browser = document.getElementById("browser");
  const store = read("browser-data");
  if (!browser || !store) return;
  const SVG = "http://www.w3.org/2000/svg";
  const colours = { A: "#2a9d4e", C: "#3b7dd8", G: "#e0a100", T: "#d6453d" };
  const ROW = 74;
  const HEAD = 40;
  const LETTERS_FROM = 5; // pixels a base: below, bars
  const decoded = new Map();
  const state = { place: 0, row: 0, start: 0, end: 1, off: new Set() };

  const select = (label, change) => {
    const holder = make("label", {}, `${label} `);
    const element = make("select");
    element.addEventListener("change", () => change(Number(element.value)));
    holder.append(element);
    return [holder, element];
  };
  const fill = (element, names) => element.replaceChildren(...names.map((name, value) => make("option", { value }, name)));
  const place = () => store.places[state.place];
  const scores = (method) => {
    if (!decoded.has(method)) {
      const text = atob(method.scores);
      decoded.set(method, Int8Array.from(text, (letter) => letter.charCodeAt(0)));
    }
    return decoded.get(method).subarray(state.row * place().length, (state.row + 1) * place().length);
  };

  const [placeLabel, placeSelect] = select("Model and task", (value) => choosePlace(value));
  const [rowLabel, rowSelect] = select("Sequence", (value) => chooseRow(value));
  const picture = make("svg", { role: "img", tabindex: 0, "aria-label": "Attributions along the sequence; arrow keys move, + and - zoom" }, null, SVG);
  const methods = make("fieldset");
  const remark = make("p", { class: "note", "aria-live": "polite" });
  const bar = make("div", { class: "bar" });

  const choosePlace = (value) => {
    state.place = value;
    fill(rowSelect, place().ids);
    methods.replaceChildren(make("legend", {}, "Methods"));
    place().methods.forEach((method, number) => {
      const label = make("label");
      const box = make("input", { type: "checkbox" });
      box.checked = !state.off.has(method.label);
      box.addEventListener("change", () => {
        if (box.checked) state.off.delete(method.label);
        else state.off.add(method.label);
        draw();
      });
      label.append(box, ` ${method.label}`);
      methods.append(label);
    });
    chooseRow(0);
  };
  const chooseRow = (value) => {
    const n = place().ids.length;
    state.row = ((value % n) + n) % n;
    rowSelect.value = String(state.row);
    [state.start, state.end] = [0, place().length];
    draw();
  };
  const zoom = (factor, at = 0.5) => {
    const width = state.end - state.start;
    const wider = Math.min(place().length, Math.max(20, Math.round(width * factor)));
    move(state.start + (width - wider) * at, wider);
  };
  const move = (start, width = state.end - state.start) => {
    state.start = Math.round(Math.min(Math.max(0, start), place().length - width));
    state.end = state.start + width;
    draw();
  };
  const toSites = () => {
    const [first] = place().sites[state.row];
    const width = Math.min(80, place().length);
    if (first) move((first[1] + first[2] - width) / 2, width);
  };

  const draw = () => {
    const { length, of, ids } = place();
    const bases = place().bases[state.row];
    const sites = place().sites[state.row];
    const shown = place().methods.filter((method) => !state.off.has(method.label));
    const width = Math.max(300, Math.round(browser.clientWidth));
    const height = HEAD + ROW * Math.max(shown.length, 1) + 22;
    const step = width / (state.end - state.start);
    const x = (position) => (position - state.start) * step;
    const add = (tag, attributes, text = null) => {
      const element = make(tag, attributes, text, SVG);
      picture.append(element);
      return element;
    };
    picture.replaceChildren();
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const clip = add("clipPath", { id: "browser-window" });
    clip.append(make("rect", { x: 0, y: 0, width, height }, null, SVG));
    const counted = new Uint8Array(length);
    let free = [-1, -1];
    for (const [name, start, end, strand, counts] of sites) {
      if (counts) counted.fill(1, start, end);
      if (end <= state.start || start >= state.end) continue;
      const [left, right] = [Math.max(0, x(start)), Math.min(width, x(end))];
      const style = counts ? { "fill-opacity": 0.22 } : { "fill-opacity": 0.07, stroke: "var(--plot-site, #e0b040)", "stroke-dasharray": "3 3" };
      add("rect", { x: left, y: HEAD - 6, width: right - left, height: height - HEAD - 12, fill: "var(--plot-site, #e0b040)", ...style });
      const line = left > free[0] ? 0 : 1;
      if (left > free[line]) {
        add("text", { x: left, y: 13 + 15 * line, class: "site", fill: "var(--plot-ink, #6b7580)", "font-size": 12 }, `${name} ${strand === "-" ? "←" : "→"}`);
        free[line] = left + 7.2 * (name.length + 3);
      }
    }
    shown.forEach((method, number) => {
      const values = scores(method);
      const top = HEAD + ROW * number;
      let [low, high] = [0, 0];
      for (let i = state.start; i < state.end; i += 1) [low, high] = [Math.min(low, values[i]), Math.max(high, values[i])];
      const scale = (ROW - 24) / (high - low || 1);
      const zero = top + 18 + high * scale;
      add("line", { x1: 0, x2: width, y1: zero, y2: zero, stroke: "var(--plot-faint, #b4bcc5)", "stroke-width": 0.6 });
      if (step >= LETTERS_FROM) {
        for (let i = state.start; i < state.end; i += 1) {
          const size = values[i] * scale;
          const base = bases[i];
          if (!size || !(base in colours)) continue;
          const at = `translate(${(x(i) + 0.04 * step).toFixed(2)} ${(zero - Math.max(size, 0)).toFixed(2)})`;
          const turned = size < 0 ? `translate(0 ${(-size).toFixed(2)}) scale(1 -1) ` : "";
          add("path", { d: store.letters[base], fill: colours[base], transform: `${at} ${turned}scale(${(0.92 * step).toFixed(3)} ${Math.abs(size).toFixed(3)})` });
        }
      } else {
        for (const [truth, colour] of [[0, "var(--plot-quiet, #8f99a4)"], [1, "var(--plot-accent, #12928a)"]]) {
          const parts = [];
          for (let i = state.start; i < state.end; i += 1)
            if (values[i] && counted[i] === truth) parts.push(`M${x(i + 0.5).toFixed(2)} ${zero.toFixed(2)}V${(zero - values[i] * scale).toFixed(2)}`);
          add("path", { d: parts.join(""), stroke: colour, "stroke-width": Math.max(0.8, 0.8 * step).toFixed(2), fill: "none" });
        }
      }
      const auprc = method.auprc[state.row];
      add("text", { x: 2, y: top + 11, class: "method", fill: "var(--plot-ink, #6b7580)", "font-size": 12 }, method.label + (auprc === null ? "" : `  auPRC ${auprc.toFixed(2)}`));
    });
    const every = [5, 10, 20, 50, 100, 200, 500].find((tick) => tick * step >= 60) ?? 1000;
    for (let tick = Math.ceil(state.start / every) * every; tick < state.end; tick += every)
      add("text", { x: x(tick), y: height - 4, fill: "var(--plot-quiet, #8f99a4)", "font-size": 11 }, String(tick));
    const less = ids.length < of ? ` The first ${ids.length} of ${of} sequences are in this page.` : "";
    remark.textContent = `${ids[state.row]}: bases ${state.start} to ${state.end} of ${length}.${less}`;
  };

  fill(placeSelect, store.places.map(({ model, task }) => `${task}, ${model}`));
  bar.append(placeLabel, rowLabel, button("‹", () => chooseRow(state.row - 1), "Previous sequence"), button("›", () => chooseRow(state.row + 1), "Next sequence"));
  bar.append(button("+", () => zoom(0.5), "Zoom in"), button("−", () => zoom(2), "Zoom out"), button("◀", () => move(state.start - (state.end - state.start) / 3), "Move left"), button("▶", () => move(state.start + (state.end - state.start) / 3), "Move right"));
  bar.append(button("to the sites", toSites, "Zoom to the first site"), button("all", () => move(0, place().length), "Show the whole sequence"));
  bar.append(button("SVG", () => save(`${place().ids[state.row]}`, "image/svg+xml", svgText(picture)), "Save this picture as SVG"));
  bar.append(button("CSV", () => {
    const shown = place().methods.filter((method) => !state.off.has(method.label));
    const quoted = (text) => `"${String(text).replaceAll('"', '""')}"`;
    const columns = shown.map((method) => Array.from(scores(method), (value) => (value * method.scale[state.row]) / 127));
    const lines = Array.from(place().bases[state.row], (base, i) => [i, base, ...columns.map((column) => column[i].toPrecision(4))].join(","));
    save(`${place().ids[state.row]}`, "text/csv", [["position", "base", ...shown.map((method) => quoted(method.label))].join(","), ...lines].join("\n") + "\n");
  }, "Save this sequence's attributions as CSV"));
  const view = make("div", { class: "view" });
  view.append(picture);
  browser.append(bar, methods, view, remark);
  picture.addEventListener("keydown", (event) => {
    const third = (state.end - state.start) / 3;
    const act = { ArrowLeft: () => move(state.start - third), ArrowRight: () => move(state.start + third), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2) }[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  });
  picture.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.altKey) return; // the page scrolls
    event.preventDefault();
    const box = picture.getBoundingClientRect();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, (event.clientX - box.left) / box.width);
  }, { passive: false });
  let dragged = null;
  picture.addEventListener("pointerdown", (event) => { dragged = [event.clientX, state.start]; });
  addEventListener("pointermove", (event) => {
    if (dragged) move(dragged[1] - ((event.clientX - dragged[0]) * (state.end - state.start)) / picture.clientWidth);
  });
  addEventListener("pointerup", () => { dragged = null; });
  let waiting = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(draw);
  });
  choosePlace(0);
})();
