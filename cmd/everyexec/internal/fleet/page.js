"use strict";
// Sorts and filters the rows that are in the page; without it the page shows them all.
const body = document.querySelector("#matrix tbody");
const headers = [...document.querySelectorAll("#matrix thead th")];
const rows = [...body.rows];
const collator = new Intl.Collator("en", { numeric: true });

function sortBy(column) {
  const header = headers[column];
  const down = header.getAttribute("aria-sort") === "ascending";
  for (const h of headers) h.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
  rows.sort((a, b) => (down ? -1 : 1) * collator.compare(key(a), key(b)));
  body.append(...rows);
}

function filter() {
  const words = document.getElementById("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  const variant = document.getElementById("variant").value;
  const verdicts = [...document.querySelectorAll("[name=verdict]:checked")].map((box) => box.value);
  let shown = 0;
  let hosts = 0;
  for (const row of rows) {
    const data = row.dataset;
    row.hidden = !(verdicts.includes(data.verdict) && (!variant || variant === data.variant) &&
      words.every((word) => data.search.includes(word)));
    if (row.hidden) continue;
    shown++;
    hosts += Number(data.hosts);
  }
  document.getElementById("shown").textContent =
    `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows, ${hosts.toLocaleString("en")} hosts`;
}

headers.forEach((header, column) => header.querySelector("button").addEventListener("click", () => sortBy(column)));
document.getElementById("filter").addEventListener("input", filter);
document.getElementById("filter").addEventListener("submit", (event) => event.preventDefault());
filter();
