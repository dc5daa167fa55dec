"use strict";
// What all of the page's script shares; sorting tables, saving figures, the theme. Names are only ever set as text.
const page = (() => {
  const make = (tag, attributes = {}, text = null, space = null) => {
    const element = space ? document.createElementNS(space, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== null) element.textContent = text;
    return element;
  };
  const button = (text, action, title = text) => {
    const element = make("button", { type: "button", title }, text);
    // a name that is said is one that is seen, but for signs
    if (!/[a-z]/i.test(text) || title.includes(text)) element.setAttribute("aria-label", title);
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

  const endings = { "image/svg+xml": "svg", "text/csv": "csv", "application/zip": "zip" };
  const fileName = (name) => name.replace(/[^\w.-]+/g, "_").slice(0, 80);
  const save = (name, kind, content) => {
    const link = make("a", { download: `${fileName(name)}.${endings[kind]}` });
    link.href = URL.createObjectURL(new Blob([content], { type: kind }));
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
    for (const mark of copy.querySelectorAll("[data-told]")) {
      mark.prepend(make("title", {}, mark.dataset.told, copy.namespaceURI));
      mark.removeAttribute("data-told");
    }
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

  // what scrolls sideways can be reached by the keyboard
  const reachable = () => {
    for (const holder of document.querySelectorAll(".scroll, .canvas, pre")) {
      if (holder.scrollWidth > holder.clientWidth + 1) holder.tabIndex = 0;
      else if (!holder.dataset.steps) holder.removeAttribute("tabindex");
    }
  };
  reachable();
  addEventListener("resize", reachable);

  // theme: as the system has it, light, dark

  const themes = ["light dark", "light", "dark"];
  const titles = { "light dark": "Auto", light: "Light", dark: "Dark" };
  const theme = button("", () => wear(themes[(themes.indexOf(theme.dataset.theme) + 1) % themes.length]));
  const wear = (name) => {
    document.documentElement.style.colorScheme = name;
    theme.dataset.theme = name;
    theme.textContent = titles[name];
    theme.title = "Theme: as the system has it, light, or dark";
    theme.setAttribute("aria-label", `Theme: ${titles[name]}`);
  };
  wear("light dark");
  document.getElementById("page-tools").append(theme);

  return { make, button, read, save, fileName, svgText, data };
})();
