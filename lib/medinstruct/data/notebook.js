(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const box = document.querySelector("#hide-code"), key = "medinstruct: hide code";
  const saved = { get: () => { try { return localStorage.getItem(key); } catch { return null; } },
    set: (value) => { try { localStorage.setItem(key, value); } catch { /* this page only */ } } };
  const fold = () => {
    document.documentElement.classList.toggle("no-code", box.checked);
    for (const cell of all("details.code")) cell.open = !box.checked;
  };
  box.parentElement.hidden = false;
  box.checked = saved.get() === "yes";
  box.addEventListener("change", () => { saved.set(box.checked ? "yes" : "no"); fold(); });
  fold();

  // Contents: beside the text on wide screens, folded above it on narrow ones.
  const contents = document.querySelector(".contents details"), wide = matchMedia("(min-width: 72rem)");
  const place = () => { contents.open = wide.matches; };
  wide.addEventListener("change", place);
  place();
  const links = new Map(all(".contents a").map((link) => [decodeURIComponent(link.hash.slice(1)), link]));
  const marks = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
  const mark = () => {
    const here = marks.filter((heading) => heading.getBoundingClientRect().top < 120).pop();
    for (const [id, link] of links) id === here?.id ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  };
  addEventListener("scroll", mark, { passive: true });
  mark();

  // What scrolls sideways can be reached with the keyboard.
  const reach = () => all(".out, .prose table").forEach((part) => {
    const scrolls = part.scrollWidth > part.clientWidth + 1;
    scrolls ? part.setAttribute("tabindex", "0") : part.removeAttribute("tabindex");
  });
  addEventListener("resize", reach);
  document.addEventListener("toggle", reach, true);
  addEventListener("load", reach);
})();
