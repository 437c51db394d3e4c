// Draws the cards and the session's view and sends back votes; turning pages, folding and editing stay in the page. Every text becomes
// a text node: there is no innerHTML here, so what a model wrote can only be read.

const KEYS = {
  dataset: [["a", "accept"], ["e", "edit"], ["r", "reject"]],
  answers: [["1", "left", "ArrowLeft"], ["2", "right", "ArrowRight"], ["0", "tie", "t"]],
};
KEYS.seeds = KEYS.dataset;
const MEANING = { correctness: "1 wrong … 5 right", helpfulness: "1 useless … 5 very helpful", harm: "0 none, 1 slight, 2 serious, 3 grave" };
const FIRST = 3000; // characters of a text that are shown before "show all"

function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function render({ model, el }) {
  const root = make("div", { class: "review", tabindex: "0", role: "application", "aria-label": "Review desk" });
  root.setAttribute("data-lm-suppress-shortcuts", "true"); // or JupyterLab takes "a" and "d" for its own
  el.appendChild(root);
  let busy = false, serial = -1, form = null, marked = "", place = 0, full = false, editing = false, since = 0;

  const view = () => {
    const state = model.get("view"), card = model.get("cards")[place] || { tags: [], reasons: [], earlier: [], texts: [] };
    const scales = state.kind === "answers" ? [] : model.get("scales");
    return { ...state, ...card, scales, mine: state.votes[place] };
  };
  const turn = (to) => {
    place = Math.max(0, Math.min(to, view().of - 1));
    full = editing = false;
    since = performance.now();
    form = fresh(view());
    marked = view().scales[0]?.[0] || "";
    draw();
  };
  const nextOpen = () => {
    const votes = view().votes, at = votes.findIndex((vote, n) => n >= place && !vote);
    turn(at >= 0 ? at : Math.max(0, votes.findIndex((vote) => !vote)));
  };
  const edit = (on) => { editing = on && view().kind !== "answers"; draw(); };
  const send = (message) => {
    if (busy) return;
    busy = true;
    model.send(message);
    setTimeout(() => busy && root.append(make("div", { class: "review-error", role: "alert" },
      "The kernel has not answered yet. If it is busy, wait: your vote is queued. If it has stopped, run the cell again.")), 5000);
  };
  const fresh = (shown) => ({
    scores: Object.fromEntries(shown.scales.map(([name]) => [name, shown.mine ? shown.mine[name] : null])),
    comment: shown.mine ? shown.mine.comment : "", edit: null,
  });

  function vote(action) {
    const shown = view();
    if (action === "edit" && !editing) return edit(true);
    const edited = {}, seconds = Math.round((performance.now() - since) / 100) / 10;
    for (const [name, box] of Object.entries(form.boxes || {})) if (box.value !== box.dataset.before) edited[name] = box.value;
    send({ act: "vote", action, place, serial: shown.serial, scores: form.scores, comment: form.comment, edit: edited, seconds });
  }

  function signIn(shown) {
    const name = make("input", { class: "review-name", placeholder: "your name or initials", "aria-label": "Reviewer" });
    const start = () => send({ act: "sign_in", name: name.value });
    name.addEventListener("keydown", (event) => event.key === "Enter" && start());
    root.append(
      make("p", {}, `${shown.of} items to review. Enter your name: it stays in the database; other files hold an alias.`),
      make("div", { class: "review-row" }, name, button("Start", start, "Enter")));
  }

  function button(text, press, key = "", on = false) {
    const hint = key ? make("kbd", {}, key) : null;
    return make("button", { class: on ? "review-on" : "", type: "button", onclick: () => { press(); root.focus({ preventScroll: true }); } }, text, hint);
  }

  function scale([name, values]) {
    const given = values.map((value) =>
      make("button", { type: "button", class: form.scores[name] === value ? "review-on" : "", "aria-pressed": String(form.scores[name] === value),
        onclick: () => rate(name, value) }, String(value)));
    return make("div", { class: name === marked ? "review-scale review-marked" : "review-scale", "data-scale": name },
      make("span", {}, name), ...given, make("small", {}, MEANING[name]));
  }

  function rate(name, value) {
    const names = view().scales.map(([one]) => one);
    form.scores[name] = form.scores[name] === value ? null : value;
    marked = names[(names.indexOf(name) + 1) % names.length];
    draw(true);
    root.focus({ preventScroll: true });
  }

  function text([name, body, raw]) {
    const head = make("b", {}, name);
    if (editing && raw !== null) {
      const box = make("textarea", { "aria-label": name, rows: String(Math.min(14, 2 + Math.ceil(raw.length / 90))) });
      box.value = form.typed && name in form.typed ? form.typed[name] : raw;
      box.dataset.before = raw.replace(/\r\n?/g, "\n"); // as the box itself holds it
      box.addEventListener("input", () => { (form.typed ||= {})[name] = box.value; });
      form.boxes[name] = box;
      return make("div", { class: "review-text" }, head, box);
    }
    const cut = body.length > FIRST && !full;
    const more = cut ? make("div", {}, button(`show all ${body.length.toLocaleString()} characters`, showAll, "s")) : null;
    const shown = (cut ? body.slice(0, FIRST) : body) || "(empty)";
    return make("div", { class: "review-text", "data-name": name }, head, make("div", { class: "review-body" }, shown), more);
  }

  const showAll = () => { full = true; draw(true); };

  function draw(kept = false) {
    const shown = view();
    const stays = document.activeElement, inside = root.contains(stays);
    if (shown.who && shown.serial !== serial) { serial = shown.serial; turn(shown.place); return; }
    form ||= fresh(shown);
    form.boxes = {};
    root.replaceChildren();
    if (shown.error) root.append(make("div", { class: "review-error", role: "alert" }, shown.error));
    if (!shown.who) { signIn(shown); return; }
    if (!shown.of) { root.append(make("p", {}, "There is nothing to review.")); return; }
    const done = shown.votes.filter(Boolean).length;
    const bar = make("progress", { max: String(shown.of), value: String(done), "aria-label": "Progress" });
    root.append(make("div", { class: "review-row review-head" },
      make("b", {}, `${place + 1} of ${shown.of}`), bar, make("span", { class: "review-done" }, `${done} done`),
      make("small", {}, `${shown.role} · alias ${shown.who}`), make("span", { class: "review-note", role: "status" }, shown.note)));
    const about = make("div", { class: "review-tags" }, ...shown.tags.map((tag) => make("span", {}, tag)),
      ...shown.reasons.map((why) => make("span", { class: "review-why" }, why)));
    root.append(about);
    const texts = shown.texts.filter(([name, body]) => body || name !== "input" || editing).map(text);
    const sides = shown.kind === "answers" ? texts.splice(1) : [];
    root.append(...texts, sides.length ? make("div", { class: "review-sides" }, ...sides) : "");
    if (shown.earlier.length) root.append(make("div", { class: "review-text" }, make("b", {}, "votes"), ...shown.earlier.map((vote) => make("div", { class: "review-body" }, vote))));
    root.append(...shown.scales.map(scale));
    const comment = make("textarea", { class: "review-comment", rows: "1", placeholder: "comment (key: c)", "aria-label": "comment" });
    comment.value = form.comment;
    comment.addEventListener("input", () => { form.comment = comment.value; });
    root.append(comment, buttons(shown));
    root.append(make("small", { class: "review-help" }, help(shown)));
    if (editing && !kept) Object.values(form.boxes).at(-1)?.focus({ preventScroll: true });
    else if (inside && stays !== root && stays.tagName === "TEXTAREA" && kept) comment.focus({ preventScroll: true });
    else if (inside) root.focus({ preventScroll: true });
  }

  function buttons(shown) {
    const row = (...given) => make("div", { class: "review-row" }, ...given);
    if (editing)
      return row(button("save edit", () => vote("edit"), "Ctrl ↵"), button("leave edit", () => edit(false), "Esc"));
    const given = shown.mine ? shown.mine.action : "";
    const keyed = KEYS[shown.kind].map(([key, action]) => button(action, () => vote(action), key, action === given));
    const rest = [button("undo", () => send({ act: "undo" }), "u"), button("back", () => turn(place - 1), "p"),
      button("forward", () => turn(place + 1), "n"), button("next open", nextOpen, "o")];
    return row(...keyed, make("span", { class: "review-gap" }), ...rest);
  }

  const help = (shown) => editing ? "Ctrl+Enter saves the edit, Esc leaves it."
    : shown.kind === "answers" ? "Keys: 1 or ← left is better, 2 or → right is better, 0 tie, c comment, u undo, p back, n forward."
      : "Keys: digits rate the marked scale and go to the next, Tab marks another, a accept, e edit, r reject, c comment, u undo, p back, n forward, o next open. Click into the page once to use them.";

  root.addEventListener("keydown", (event) => {
    event.stopPropagation();
    const shown = view(), typing = ["TEXTAREA", "INPUT"].includes(event.target.tagName);
    if (!shown.who || !shown.of || event.altKey || event.metaKey) return;
    const used = () => event.preventDefault();
    if (event.key === "Escape") { used(); if (editing) edit(false); else root.focus(); return; }
    if (event.ctrlKey) { if (event.key === "Enter") { used(); if (editing) vote("edit"); else root.focus(); } return; }
    if (editing || typing || (event.target.tagName === "BUTTON" && ["Enter", " "].includes(event.key))) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const simple = { u: () => send({ act: "undo" }), p: () => turn(place - 1), n: () => turn(place + 1), o: nextOpen, s: showAll };
    const hit = KEYS[shown.kind].find((row) => [row[0], ...row.slice(2)].includes(key));
    const at = shown.scales.find(([name]) => name === marked);
    if (hit) { used(); if (!event.repeat) vote(hit[1]); }
    else if (simple[key]) { used(); simple[key](); }
    else if (key === "c") { used(); root.querySelector(".review-comment").focus(); }
    else if (at && at[1].includes(Number(key)) && key.trim()) { used(); rate(marked, Number(key)); }
    else if (key === "Tab" && event.target === root && shown.scales.length && !event.shiftKey) {
      const names = shown.scales.map(([name]) => name), next = names.indexOf(marked) + 1;
      if (next < names.length) { used(); marked = names[next]; draw(true); root.focus(); }
    }
  });

  const changed = () => { busy = false; draw(); };
  const answered = (message) => { if (message.done) busy = false; };
  model.on("change:view", changed);
  model.on("msg:custom", answered);
  draw();
  return () => { model.off("change:view", changed); model.off("msg:custom", answered); };
}

export default { render };
