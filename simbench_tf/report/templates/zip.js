// Everything as one ZIP: each figure as SVG, its data and each table as CSV. Stored, not compressed.
(() => {
  const { button, save, fileName, svgText, data } = page;
  const table = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let bit = 0; bit < 8; bit += 1) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
    return n >>> 0;
  });
  const checksum = (bytes) => {
    let crc = 0xffffffff;
    for (const byte of bytes) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
    return (crc ^ 0xffffffff) >>> 0;
  };
  // numbers of two or four bytes, the low byte first
  const packed = (...numbers) => {
    const bytes = [];
    for (const [value, size] of numbers) for (let i = 0; i < size; i += 1) bytes.push((value >>> (8 * i)) & 255);
    return Uint8Array.from(bytes);
  };
  const zipped = (files) => {
    const encoder = new TextEncoder();
    const [parts, index] = [[], []];
    let offset = 0;
    for (const [name, text] of files) {
      const [title, content] = [encoder.encode(name), encoder.encode(text)];
      // version 2.0, names in UTF-8, stored, 1 January 1980
      const about = [[20, 2], [0x800, 2], [0, 2], [0, 2], [33, 2], [checksum(content), 4], [content.length, 4], [content.length, 4], [title.length, 2], [0, 2]];
      const head = packed([0x04034b50, 4], ...about);
      parts.push(head, title, content);
      index.push(packed([0x02014b50, 4], [20, 2], ...about, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]), title);
      offset += head.length + title.length + content.length;
    }
    const size = index.reduce((sum, part) => sum + part.length, 0);
    const end = packed([0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [size, 4], [offset, 4], [0, 2]);
    return new Blob([...parts, ...index, end], { type: "application/zip" });
  };

  const quoted = (cell) => `"${cell.textContent.trim().replaceAll('"', '""')}"`;
  const everything = () => {
    const files = [];
    for (const [number, figure] of [...document.querySelectorAll("[data-figure]")].entries()) {
      const { name, csv } = data[figure.dataset.figure];
      const title = `${String(number + 1).padStart(2, "0")}_${fileName(name)}`;
      files.push([`figures/${title}.svg`, svgText(figure.querySelector("svg"))]);
      if (csv) files.push([`figures/${title}.csv`, csv]);
    }
    for (const [number, each] of [...document.querySelectorAll("main table")].entries()) {
      const title = each.caption?.textContent.trim() ?? each.closest("section").querySelector("h2")?.textContent ?? "table";
      const lines = [...each.rows].map((row) => [...row.cells].map(quoted).join(","));
      files.push([`tables/${String(number + 1).padStart(2, "0")}_${fileName(title)}.csv`, `${lines.join("\n")}\n`]);
    }
    return files;
  };
  const name = document.querySelector(".run").textContent;
  document.getElementById("page-tools").append(
    button("ZIP", () => save(name, "application/zip", zipped(everything())), "Save all figures, their data and all tables as ZIP"),
  );
})();
