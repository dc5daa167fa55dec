// What a mark of a figure tells: under the pointer or a finger, and by the keyboard, where arrow keys step from mark to mark.
(() => {
  const tip = page.make("div", { class: "tip", role: "status", hidden: "" });
  document.body.append(tip);
  let pointed = [];
  const hide = () => {
    tip.hidden = true;
    for (const mark of pointed) mark.classList.remove("pointed");
    pointed = [];
  };
  const box = (marks) => {
    const boxes = marks.map((mark) => mark.getBoundingClientRect());
    const [left, top] = ["left", "top"].map((side) => Math.min(...boxes.map((each) => each[side])));
    return { left, top, right: Math.max(...boxes.map((each) => each.right)), bottom: Math.max(...boxes.map((each) => each.bottom)) };
  };
  const show = (marks, outlined) => {
    hide();
    pointed = marks;
    if (outlined) for (const mark of marks) mark.classList.add("pointed");
    tip.textContent = marks[0].dataset.told;
    tip.hidden = false;
    const { left, top, right, bottom } = box(marks);
    const above = top - tip.offsetHeight - 6;
    tip.style.left = `${Math.max(4, Math.min((left + right - tip.offsetWidth) / 2, innerWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${above < 4 ? bottom + 6 : above}px`;
  };
  for (const canvas of document.querySelectorAll(".canvas")) {
    // a dot and its bars are one mark
    const marks = new Map();
    for (const mark of canvas.querySelectorAll(".told")) {
      const title = mark.querySelector("title");
      mark.dataset.told = title.textContent;
      title.remove(); // the browser's own would come late, and beside ours
      marks.set(mark.dataset.told, [...(marks.get(mark.dataset.told) ?? []), mark]);
    }
    if (!marks.size) continue;
    const all = [...marks.values()];
    canvas.addEventListener("pointerover", (event) => {
      const mark = event.target.closest(".told");
      if (mark) show(marks.get(mark.dataset.told), false);
      else hide();
    });
    canvas.addEventListener("pointerleave", hide);
    const name = page.data[canvas.closest("[data-figure]").dataset.figure].name;
    canvas.tabIndex = 0;
    canvas.dataset.steps = all.length;
    canvas.setAttribute("role", "group");
    canvas.setAttribute("aria-label", `${name}: arrow keys step through its ${all.length} values`);
    let at = 0;
    const step = (to) => {
      at = Math.min(Math.max(0, to), all.length - 1);
      all[at][0].scrollIntoView({ block: "nearest", inline: "nearest" });
      show(all[at], true);
    };
    // cells of a heat map stand row by row: up and down stay in the column
    const columns = new Set(all.map((each) => Math.round(each[0].getBoundingClientRect().left))).size;
    const rows = new Set(all.map((each) => Math.round(each[0].getBoundingClientRect().top))).size;
    const line = columns * rows === all.length ? columns : 1;
    const keys = { ArrowRight: () => at + 1, ArrowLeft: () => at - 1, ArrowDown: () => at + line, ArrowUp: () => at - line, Home: () => 0, End: () => all.length - 1 };
    canvas.addEventListener("focus", () => { if (canvas.matches(":focus-visible")) step(at); });
    canvas.addEventListener("blur", hide);
    canvas.addEventListener("keydown", (event) => {
      if (event.key === "Escape") hide();
      const to = keys[event.key]?.();
      if (to === undefined) return;
      event.preventDefault();
      if (to >= 0 && to < all.length) step(to);
    });
  }
  addEventListener("scroll", () => { if (!document.activeElement?.dataset.steps) hide(); }, { passive: true });
})();
