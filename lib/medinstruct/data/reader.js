// Make tables sortable and records searchable; without this script both are plain HTML.
(() => {
  const make = (name, more, parent) => parent.appendChild(Object.assign(document.createElement(name), more));
  const start = kind => [...document.querySelectorAll(`.mi-${kind}:not(.mi-on)`)]
    .map(root => (root.classList.add("mi-on"), root));
  const numeric = text => parseFloat(text.replace(/[,<%\s]/g, "").replace("−", "-"));

  for (const root of start("table")) {
    const table = root.querySelector("table"), body = table.tBodies[0], rest = root.querySelector(".mi-rest");
    const few = body.rows.length;
    if (rest) { body.append(...rest.querySelector("tbody").rows); rest.remove(); }
    const fold = () => [...body.rows].forEach((row, n) => { row.hidden = !!more && more.value === "folded" && n >= few; });
    const more = rest && make("button", { type: "button", value: "folded" }, make("div", { className: "mi-tools" }, root));
    const label = () => { more.textContent = more.value === "folded" ? `Show all ${body.rows.length} rows` : `Show ${few} rows`; };
    if (more) { more.onclick = () => { more.value = more.value === "folded" ? "open" : "folded"; label(); fold(); }; label(); }
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (body.rows.length <= 10) return;  // short tables need no sorting
      const button = make("button", { type: "button", textContent: head.textContent }, head);
      head.replaceChildren(button);
      button.onclick = () => {
        const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
        for (const cell of head.parentNode.cells) cell.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", order);
        const text = row => row.cells[column].textContent.trim(), sign = order === "ascending" ? 1 : -1;
        const compare = (a, b) => {
          if (text(a) === "–" || text(b) === "–") return (text(a) === "–") - (text(b) === "–");  // missing: last
          const gap = numeric(text(a)) - numeric(text(b));
          return sign * (Number.isNaN(gap) ? text(a).localeCompare(text(b)) : gap);
        };
        body.append(...[...body.rows].sort(compare));
        fold();
      };
    });
    fold();
  }

  for (const root of start("reader")) {
    const rest = root.querySelector(".mi-rest"), status = root.querySelector(".mi-place");
    const names = JSON.parse(root.dataset.labels), step = Number(root.dataset.step);
    const tools = make("div", { className: "mi-tools" }, root);
    root.querySelector(".mi-place").after(tools);
    if (rest) { rest.before(...rest.querySelectorAll(".mi-card")); rest.remove(); }
    const cards = [...root.querySelectorAll(".mi-card")]
      .map(node => ({ node, values: JSON.parse(node.dataset.values), text: node.textContent.toLowerCase() }));
    const search = make("input", { type: "search", placeholder: "search the texts", ariaLabel: "search the texts" }, tools);
    const menus = names.map((name, n) => {
      const menu = make("select", { ariaLabel: name }, tools), counts = new Map();
      for (const card of cards) counts.set(card.values[n], (counts.get(card.values[n]) || 0) + 1);
      menu.add(new Option(`(all) ${name}`, "*"));
      [...counts].sort((a, b) => b[1] - a[1]).forEach(([value, count]) => menu.add(new Option(`${value} (${count})`, "=" + value)));
      return menu;
    });
    const back = make("button", { type: "button", textContent: "previous" }, tools);
    const next = make("button", { type: "button", textContent: "next" }, tools);
    let first = 0;
    const draw = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const chosen = cards.filter(card => words.every(word => card.text.includes(word)) &&
        menus.every((menu, n) => menu.value === "*" || menu.value === "=" + card.values[n]));
      for (const card of cards) card.node.hidden = true;
      const page = chosen.slice(first, first + step);
      page.forEach((card, n) => { card.node.hidden = false; card.node.open = n === 0 && !("closed" in root.dataset); });
      status.lastChild.textContent = !chosen.length ? "No record matches." :
        `${first + 1} to ${first + page.length} of ${chosen.length}${chosen.length < cards.length ? " that match" : ""}`;
      back.disabled = first === 0;
      next.disabled = first + step >= chosen.length;
    };
    search.oninput = () => { first = 0; draw(); };
    for (const menu of menus) menu.onchange = search.oninput;
    back.onclick = () => { first -= step; draw(); };
    next.onclick = () => { first += step; draw(); };
    draw();
  }
})();
