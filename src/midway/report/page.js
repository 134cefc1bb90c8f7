"use strict";
(() => {
  // numbers under the pointer, or of a mark that is touched
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);
  const show = (event) => {
    const mark = event.target.closest ? event.target.closest("[data-tip]") : null;
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.dataset.tip;
    const width = Math.min(tip.offsetWidth, innerWidth - 16);
    tip.style.left = `${Math.max(8, Math.min(event.clientX + 12, innerWidth - width - 8)) + scrollX}px`;
    tip.style.top = `${event.clientY + 16 + scrollY}px`;
  };
  for (const kind of ["pointermove", "pointerdown"]) document.addEventListener(kind, show);

  // every table as CSV
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const csv = (table) =>
    [...table.rows].map((row) => [...row.cells].map((cell) => quoted(cell.textContent)).join(",")).join("\n") + "\n";
  for (const scroll of document.querySelectorAll(".scroll")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "csv";
    button.textContent = "CSV";
    button.title = "Save this table as a CSV file";
    button.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([csv(scroll.querySelector("table"))], { type: "text/csv" }));
      const owner = scroll.closest("[id]");
      link.download = `${owner ? owner.id : "table"}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
    scroll.before(button);
  }

  // all tables at once, to search or to print them
  const nav = document.querySelector("nav");
  const all = document.createElement("button");
  all.type = "button";
  let open = false;
  const name = () => (all.textContent = open ? "Close all tables" : "Open all tables");
  all.addEventListener("click", () => {
    open = !open;
    for (const details of document.querySelectorAll("details")) details.open = open;
    name();
  });
  name();
  if (nav) nav.append(all);

  // a link to a table opens what it is folded in
  const unfold = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", unfold);
  unfold();

  // where `midway view` serves this page (/report/NAME/report.html, see docs/view.md), numbers lead to its screens
  const served = location.protocol.startsWith("http") && /^\/report\/([^/]+)\/report\.html$/.exec(location.pathname);
  if (served) {
    const view = `/#/run/${served[1]}/`;
    for (const mark of document.querySelectorAll("[data-view]")) {
      const go = () => location.assign(view + mark.dataset.view);
      mark.classList.add("goes");
      mark.setAttribute("role", "link");
      mark.setAttribute("tabindex", "0");
      mark.addEventListener("click", go);
      mark.addEventListener("keydown", (event) => event.key === "Enter" && go());
    }
  }
})();
