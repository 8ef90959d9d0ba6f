// Every table can be taken along as CSV. Without a script, the tables are as they are.

(() => {
  "use strict";
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const line = (row) =>
    [...row.cells].map((cell) => quoted(cell.innerText.replace(/\s+/g, " ").trim())).join(",");

  for (const table of document.querySelectorAll(".ff-table table")) {
    const title = table.caption?.textContent ?? document.querySelector("h1").textContent;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "ff-csv";
    button.textContent = "CSV";
    button.title = "Download this table as CSV";
    button.addEventListener("click", () => {
      const text = [...table.rows].map(line).join("\r\n");
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([`\ufeff${text}\r\n`], { type: "text/csv" }));
      link.download = `${title.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 60)}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href));
    });
    (table.caption ?? table.createCaption()).append(" ", button);
  }
})();
