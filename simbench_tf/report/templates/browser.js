// The sequence browser: attributions of every method along a sequence, with addresses, orders and what lies under the pointer.
(() => {
  const { make, button, read, save, svgText } = page;
  const browser = document.getElementById("browser");
  const store = read("browser-data");
  if (!browser || !store) return;
  const SVG = "http://www.w3.org/2000/svg";
  const colours = { A: "#2a9d4e", C: "#3b7dd8", G: "#e0a100", T: "#d6453d" };
  const ROW = 74;
  const HEAD = 40;
  const LETTERS_FROM = 5; // pixels a base: below, bars
  const decoded = new Map();
  const state = { place: 0, list: [], at: 0, row: 0, start: 0, end: 1, off: new Set(), addressed: false };

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

  const [placeLabel, placeSelect] = select("Model and task", (number) => choosePlace(number));
  const [rowLabel, rowSelect] = select("Sequence", (number) => chooseAt(number));
  const picture = make("svg", { role: "img", tabindex: 0, "aria-label": "Attributions along the sequence; arrow keys move, + and - zoom" }, null, SVG);
  const methods = make("fieldset");
  const remark = make("p", { class: "note", "aria-live": "polite" });
  const bar = make("div", { class: "bar" });

  // which sequences there are to step through, and in what order

  const ORDERS = ["as explained", "by score of", "with motif", "found by"];
  const [orderLabel, orderSelect] = select("Order", () => chooseOrder());
  const [whichLabel, whichSelect] = select("", () => chooseOrder());
  const [otherLabel, otherSelect] = select("and not by", () => chooseOrder());
  const motifs = () => [...new Set(place().sites.flatMap((sites) => sites.filter(([, , , , counts]) => counts).map(([name]) => name)))].sort();
  const onlyFirstFinds = (row) => {
    const [first, second] = [whichSelect, otherSelect].map((each) => place().methods[Number(each.value)].found[row]);
    return [...first].filter((mark, site) => mark === "1" && second[site] === "0").length;
  };
  // of each order, a value of each sequence; those without any are left out, the others stand from the highest down
  const value = {
    0: () => 0,
    1: (row) => place().methods[Number(whichSelect.value)].auprc[row],
    2: (row) => place().sites[row].filter(([name, , , , counts]) => counts && name === motifs()[Number(whichSelect.value)]).length || null,
    3: (row) => onlyFirstFinds(row) || null,
  };
  const chooseOrder = (row = null) => {
    const order = Number(orderSelect.value);
    const names = [[], place().methods.map(({ label }) => label), motifs(), place().methods.map(({ label }) => label)][order];
    const [kept, other] = [whichSelect, otherSelect].map((each) => Number(each.value) || 0);
    fill(whichSelect, names);
    fill(otherSelect, order === 3 ? names : []);
    whichSelect.value = String(Math.min(kept, Math.max(names.length - 1, 0)));
    if (order === 3) otherSelect.value = String(other === Number(whichSelect.value) ? (other + 1) % names.length : Math.min(other, names.length - 1));
    whichLabel.hidden = order === 0;
    otherLabel.hidden = order !== 3;
    whichSelect.setAttribute("aria-label", order === 2 ? "Motif" : "Method");
    const rows = place().ids.map((_, number) => [number, value[order](number)]).filter(([, each]) => each !== null);
    if (order) rows.sort((one, two) => two[1] - one[1]);
    state.list = rows.map(([number]) => number);
    fill(rowSelect, rows.map(([number, each]) => (order === 0 ? place().ids[number] : `${place().ids[number]} (${order === 1 ? each.toFixed(2) : each})`)));
    chooseAt(row === null ? 0 : Math.max(0, state.list.indexOf(row)));
  };
  const choosePlace = (number, row = null) => {
    state.place = number;
    placeSelect.value = String(number);
    methods.replaceChildren(make("legend", {}, "Methods"));
    for (const method of place().methods) {
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
    }
    orderSelect.value = "0";
    chooseOrder(row);
  };
  const chooseAt = (at) => {
    const n = state.list.length;
    state.at = n ? ((at % n) + n) % n : 0;
    state.row = n ? state.list[state.at] : -1;
    rowSelect.value = String(state.at);
    [state.start, state.end] = [0, place().length];
    draw();
  };

  // addresses: #TASK/SEQUENCE/START-END, and /MODEL where it is not the first of that task

  const address = () => {
    const { task, model, ids } = place();
    const first = store.places.findIndex((each) => each.task === task) === state.place;
    const parts = [task, ids[state.row], `${state.start}-${state.end}`, ...(first ? [] : [model])];
    return `#${parts.map(encodeURIComponent).join("/")}`;
  };
  const decodedParts = (hash) => {
    try {
      return hash.slice(1).split("/").map(decodeURIComponent);
    } catch {
      return []; // no address of ours
    }
  };
  const follow = (hash) => {
    const [task, id, stretch, model] = decodedParts(hash);
    if (id === undefined) return false;
    const number = store.places.findIndex((each) => each.task === task && (model === undefined || each.model === model));
    const row = number < 0 ? -1 : store.places[number].ids.indexOf(id);
    if (row < 0) {
      remark.textContent = `This page has no sequence ${id} of ${task}.`;
      return false;
    }
    choosePlace(number, row);
    const [, start, end] = /^(\d+)-(\d+)$/.exec(stretch ?? "") ?? [];
    if (Number(end) > Number(start)) move(Number(start), Math.min(Math.max(Number(end) - Number(start), 20), place().length));
    return true;
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
    const [first] = place().sites[state.row] ?? [];
    const width = Math.min(80, place().length);
    if (first) move((first[1] + first[2] - width) / 2, width);
  };

  const draw = () => {
    const { length, of, ids } = place();
    if (state.row < 0) {
      picture.replaceChildren();
      remark.textContent = "No sequence is so.";
      return;
    }
    // an address that was not asked for is not put into the bar
    if (state.addressed) history.replaceState(null, "", address());
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
    const stripes = add("pattern", { id: "browser-missed", width: 4, height: 4, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
    stripes.append(make("rect", { width: 2.4, height: 4, fill: "var(--plot-chance, #c77d17)" }, null, SVG));
    const counted = new Uint8Array(length);
    const free = [-1, -1];
    for (const [name, start, end, strand, counts] of sites) {
      if (counts) counted.fill(1, start, end);
      if (end <= state.start || start >= state.end) continue;
      const [left, right] = [Math.max(0, x(start)), Math.min(width, x(end))];
      const style = counts ? { "fill-opacity": 0.16 } : { "fill-opacity": 0.05, stroke: "var(--plot-site, #e0b040)", "stroke-dasharray": "3 3" };
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
      sites.forEach(([name, start, end], site) => {
        const mark = method.found[state.row][site];
        if (mark === "-" || end <= state.start || start >= state.end) return;
        const [left, right] = [Math.max(0, x(start)), Math.min(width, x(end))];
        const found = mark === "1";
        const colour = found ? { class: "found", fill: "var(--plot-accent, #12928a)" } : { class: "missed", fill: "url(#browser-missed)" };
        add("rect", { x: left, y: top + ROW - 5, width: right - left, height: 4, ...colour })
          .append(make("title", {}, `${name} ${start}-${end}: ${found ? "found" : "missed"} by ${method.label}`, SVG));
      });
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
      const score = auprc === null ? "" : `auPRC ${auprc.toFixed(2)}`;
      const longest = Math.floor((width - 8 - 7.2 * score.length) / 6.6);
      const name = method.label.length > longest ? `${method.label.slice(0, longest - 1)}…` : method.label;
      add("text", { x: 2, y: top + 11, class: "method", fill: "var(--plot-ink, #6b7580)", "font-size": 12 }, name);
      add("text", { x: width - 2, y: top + 11, "text-anchor": "end", class: "score", fill: "var(--plot-ink, #6b7580)", "font-size": 12 }, score);
    });
    const every = [5, 10, 20, 50, 100, 200, 500].find((tick) => tick * step >= 60) ?? 1000;
    for (let tick = Math.ceil(state.start / every) * every; tick < state.end; tick += every)
      add("text", { x: x(tick), y: height - 4, fill: "var(--plot-quiet, #8f99a4)", "font-size": 11 }, String(tick));
    const some = state.list.length < ids.length ? ` ${state.at + 1} of ${state.list.length} so ordered.` : "";
    const less = ids.length < of ? ` The first ${ids.length} of ${of} sequences are in this page.` : "";
    remark.textContent = `${ids[state.row]}: bases ${state.start} to ${state.end} of ${length}.${some}${less}`;
  };

  // what lies under the pointer

  const tip = make("div", { class: "tip", hidden: "" });
  const tell = (event) => {
    const box = picture.getBoundingClientRect();
    const shown = place().methods.filter((method) => !state.off.has(method.label));
    const position = state.start + Math.floor(((event.clientX - box.left) / box.width) * (state.end - state.start));
    const method = shown[Math.floor((((event.clientY - box.top) / box.height) * Number(picture.getAttribute("viewBox").split(" ")[3]) - HEAD) / ROW)];
    tip.hidden = state.row < 0 || !method || position < state.start || position >= state.end;
    if (tip.hidden) return;
    const inSites = place().sites[state.row].map((site, number) => [...site, method.found[state.row][number]]).filter(([, start, end]) => start <= position && position < end);
    const marks = { 1: ", found", 0: ", missed", "-": ", not counted" };
    const attribution = (scores(method)[position] * method.scale[state.row]) / 127;
    const told = [`${position} ${place().bases[state.row][position]}`, `${method.label} ${attribution.toPrecision(3)}`];
    tip.textContent = [...told, ...inSites.map(([name, start, end, , , mark]) => `${name} ${start}-${end}${marks[mark]}`)].join(" · ");
    tip.style.left = `${Math.min(event.clientX - box.left + 12, Math.max(0, box.width - tip.offsetWidth - 4))}px`;
    tip.style.top = `${event.clientY - box.top + 18}px`;
  };
  picture.addEventListener("pointermove", tell);
  picture.addEventListener("pointerleave", () => { tip.hidden = true; });

  fill(placeSelect, store.places.map(({ model, task }) => `${task}, ${model}`));
  fill(orderSelect, store.places.some((each) => each.methods.length > 1) ? ORDERS : ORDERS.slice(0, 3));
  const ordering = make("div", { class: "bar" });
  ordering.append(orderLabel, whichLabel, otherLabel);
  bar.append(placeLabel, rowLabel, button("‹", () => chooseAt(state.at - 1), "Previous sequence"), button("›", () => chooseAt(state.at + 1), "Next sequence"));
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
  bar.append(button("link", async () => {
    history.replaceState(null, "", address());
    try {
      await navigator.clipboard.writeText(location.href);
      remark.textContent = "The address of this stretch was copied.";
    } catch {
      remark.textContent = `The address of this stretch: ${location.href}`;
    }
  }, "Copy the address of this stretch"));
  const view = make("div", { class: "view" });
  view.append(picture, tip);
  browser.append(bar, ordering, methods, view, remark);
  picture.addEventListener("keydown", (event) => {
    const third = (state.end - state.start) / 3;
    const act = { ArrowLeft: () => move(state.start - third), ArrowRight: () => move(state.start + third), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), n: () => chooseAt(state.at + 1), p: () => chooseAt(state.at - 1) }[event.key];
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
  for (const event of ["pointerdown", "keydown", "change"])
    browser.addEventListener(event, () => { state.addressed = true; }, { capture: true, once: true });
  // drawn examples lead to the same sequence here
  for (const article of document.querySelectorAll("article[data-sequence]")) {
    const { task, model, sequence } = article.dataset;
    const number = store.places.findIndex((each) => each.task === task && each.model === model);
    const row = number < 0 ? -1 : store.places[number].ids.indexOf(sequence);
    if (row < 0) continue;
    article.querySelector("h3").append(" ", button("in the browser", () => {
      state.addressed = true;
      choosePlace(number, row);
      browser.scrollIntoView();
    }, `Show ${sequence} in the sequence browser`));
  }
  choosePlace(0);
  const open = () => {
    // what is no sequence here is said there
    if (follow(location.hash) || decodedParts(location.hash).length > 1) browser.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();
})();
