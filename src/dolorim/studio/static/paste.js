// Cells that are pasted from a spreadsheet go into the fields from the focused one on, down and to the right.

document.addEventListener("paste", (event) => {
  const field = event.target.closest?.("table.pasteable input");
  const text = event.clipboardData.getData("text/plain").replace(/\r?\n$/, "");
  if (!field || field.readOnly || !/[\t\n]/.test(text)) return;
  event.preventDefault();
  const fieldsOf = (row) => [...row.querySelectorAll("td input")];
  let row = field.closest("tr");
  const column = fieldsOf(row).indexOf(field);
  for (const line of text.split(/\r?\n/)) {
    if (!row) return;
    line.split("\t").forEach((cell, i) => {
      const target = fieldsOf(row)[column + i];
      if (target) target.value = cell.trim();
    });
    row = row.nextElementSibling;
  }
});
