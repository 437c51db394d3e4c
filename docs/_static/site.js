// What the theme leaves open for screen readers and keyboards.
const named = (selector, role, label) => document.querySelectorAll(selector).forEach((part) => {
  part.setAttribute("role", role);
  part.setAttribute("aria-label", label);
});
named(".bd-sidebar-primary", "complementary", "Pages of the site");
document.querySelectorAll("th").forEach((head) => {  // a header without text is no header
  if (!head.textContent.trim()) {
    const cell = document.createElement("td");
    cell.className = head.className;
    head.replaceWith(cell);
  }
});
const reach = () => document.querySelectorAll(".cell_output, .cell_output > .output").forEach((part) => {
  part.scrollWidth > part.clientWidth + 1 ? part.setAttribute("tabindex", "0") : part.removeAttribute("tabindex");
});
addEventListener("load", reach);
addEventListener("resize", reach);
document.addEventListener("toggle", reach, true);
