// Draws the cards and the session's view and sends back votes; turning pages, folding and editing stay in the page.
// Every text becomes a text node: there is no innerHTML here, so what a model wrote can only be read.

const ITEM = [["a", "accept"], ["e", "edit"], ["r", "reject"]];
const KEYS = {
  dataset: ITEM, seeds: ITEM,
  answers: [["1", "left", "ArrowLeft"], ["2", "right", "ArrowRight"], ["0", "tie", "t"]],
};
const LABELS = { left: "left is better", right: "right is better", tie: "tie" };
const MEANING = {
  correctness: "1 wrong … 5 right", helpfulness: "1 useless … 5 very helpful",
  harm: "0 none, 1 slight, 2 serious, 3 grave",
};
const FIRST = 3000; // characters of a text that are shown before "show all"
const LARGEST = 4e6; // cells of the table behind a diff by words
const WORD = /\s*[\p{L}\p{N}]+(?:[.,'’-][\p{L}\p{N}]+)*|\s*[^\p{L}\p{N}\s]|\s+/gu; // numbers whole, punctuation apart

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

// Control, bidirectional and zero-width characters written out, as `review.visible` does.
const visible = (text) => text.replace(/[\p{Cc}\p{Cf}]/gu, (char) => {
  const code = char.codePointAt(0);
  if ("\n\t".includes(char)) return char;
  return code < 32 ? String.fromCodePoint(0x2400 + code) : `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
});

// A text and its edit as runs of words: ["same" | "del" | "ins", text], by the longest common subsequence.
function diff(before, after) {
  const [a, b] = [before, after].map((text) => text.match(WORD) || []);
  let start = 0, end = 0;
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start++;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const left = a.slice(start, a.length - end), right = b.slice(start, b.length - end), runs = [];
  const add = (kind, words) => {
    if (words.length && runs.at(-1)?.[0] === kind) runs.at(-1)[1] += words.join("");
    else if (words.length) runs.push([kind, words.join("")]);
  };
  add("same", a.slice(0, start));
  if (left.length * right.length > LARGEST) {
    add("del", left);
    add("ins", right);
  } else {
    for (const [kind, word] of steps(left, right)) add(kind, [word]);
  }
  add("same", a.slice(a.length - end));
  return runs;
}

function steps(a, b) {
  const width = b.length + 1, common = new Uint32Array((a.length + 1) * width), path = [];
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      common[i * width + j] = a[i] === b[j] ? common[(i + 1) * width + j + 1] + 1
        : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { path.push(["same", a[i]]); i++; j++; }
    else if (i < a.length && (j === b.length || common[(i + 1) * width + j] >= common[i * width + j + 1]))
      path.push(["del", a[i++]]);
    else path.push(["ins", b[j++]]);
  }
  return path;
}

function changes(before, after) {
  const tags = { same: "span", del: "del", ins: "ins" };
  return diff(before, after).map(([kind, words]) => make(tags[kind], {}, visible(words)));
}

const lines = (text) => text.replace(/\r\n?/g, "\n"); // as a text box holds it

function render({ model, el }) {
  const root = make("div", { class: "review", tabindex: "0", role: "application", "aria-label": "Review" });
  root.setAttribute("data-lm-suppress-shortcuts", "true"); // or JupyterLab takes "a" and "d" for its own
  el.appendChild(root);
  let busy = false, serial = -1, form = null, marked = "", place = 0, full = false, editing = false, since = 0;

  const view = () => {
    const empty = { tags: [], reasons: [], causes: [], earlier: [], texts: [] };
    const state = model.get("view"), card = model.get("cards")[place] || empty;
    const scales = state.kind === "answers" ? [] : model.get("scales");
    return { ...state, ...card, scales, mine: state.votes[place] };
  };
  const turn = (to) => {
    const active = root.contains(document.activeElement);
    place = Math.max(0, Math.min(to, view().of - 1));
    full = editing = false;
    since = performance.now();
    form = fresh(view());
    marked = view().scales[0]?.[0] || "";
    draw();
    if (active) root.querySelector(".review-head")?.scrollIntoView({ block: "nearest" });
  };
  const nextUnreviewed = () => {
    const votes = view().votes, at = votes.findIndex((vote, n) => n >= place && !vote);
    turn(at >= 0 ? at : Math.max(0, votes.findIndex((vote) => !vote)));
  };
  const edit = (on) => { editing = on && view().kind !== "answers"; form.typed = {}; draw(); };
  const showAll = () => { full = true; draw(true); };
  const send = (message) => {
    if (busy) return;
    busy = true;
    model.send(message);
    setTimeout(() => busy && root.append(make("div", { class: "review-error", role: "alert" },
      "The kernel has not answered yet. If it is busy, wait: your vote is queued. If it has stopped, run the cell again.")), 5000);
  };
  const fresh = (shown) => ({
    scores: Object.fromEntries(shown.scales.map(([name]) => [name, shown.mine ? shown.mine[name] : null])),
    comment: shown.mine ? shown.mine.comment : "", typed: {},
  });

  function vote(action) {
    const shown = view(), edited = {}, seconds = Math.round((performance.now() - since) / 100) / 10;
    if (action === "edit" && !editing) return edit(true);
    for (const [name, box] of Object.entries(form.boxes)) if (box.value !== box.dataset.before) edited[name] = box.value;
    send({ act: "vote", action, place, serial: shown.serial, scores: form.scores, comment: form.comment, edit: edited, seconds });
  }

  function signIn(shown) {
    const name = make("input", { class: "review-name", placeholder: "your name or initials", "aria-label": "Reviewer" });
    const start = () => send({ act: "sign_in", name: name.value });
    name.addEventListener("keydown", (event) => event.key === "Enter" && start());
    root.append(
      make("p", {}, `${shown.of} items to review. Enter your name: it stays in the database; other files hold an alias.`),
      make("div", { class: "review-row" }, name, button("Start", start, "Enter", "review-edit")));
  }

  function button(text, press, key = "", kind = "", pressed = null) {
    const hint = key ? make("kbd", {}, key) : null, state = pressed === null ? {} : { "aria-pressed": String(pressed) };
    const done = () => { press(); root.focus({ preventScroll: true }); };
    return make("button", { class: kind, type: "button", onclick: done, ...state }, text, hint);
  }

  function scale([name, values]) {
    const given = values.map((value) => button(String(value), () => rate(name, value), "",
      form.scores[name] === value ? "review-on" : "", form.scores[name] === value));
    return make("div", { class: name === marked ? "review-scale review-marked" : "review-scale", "data-scale": name },
      make("span", {}, name), ...given, make("small", {}, MEANING[name]));
  }

  function rate(name, value) {
    const names = view().scales.map(([one]) => one);
    form.scores[name] = form.scores[name] === value ? null : value;
    marked = names[(names.indexOf(name) + 1) % names.length];
    draw(true);
  }

  function text({ name, pieces, raw }) {
    const mine = view().mine, edited = mine?.action === "edit" ? mine.edit[name] : undefined;
    if (editing && raw !== null) return box(name, lines(raw), edited);
    if (edited !== undefined)
      return block(name, " with your edit", make("div", { class: "review-body" }, ...changes(lines(raw), lines(edited))));
    const { shown, length, hidden } = cut(pieces);
    const words = `show all ${length.toLocaleString("en")} characters` + (hidden ? ` (${hidden} more flagged)` : "");
    const body = make("div", { class: "review-body" }, ...(shown.length ? shown : ["(empty)"]));
    return block(name, "", body, length > FIRST && !full ? button(words, showAll, "s") : null);
  }

  const block = (name, note, ...parts) =>
    make("div", { class: "review-text", "data-name": name }, make("b", {}, name + note), ...parts);

  // The pieces of a text, flagged ones marked; of a long text the first, until all is asked for.
  function cut(pieces) {
    const shown = [];
    let length = 0, hidden = 0;
    for (const [words, why] of pieces) {
      const part = full ? words : words.slice(0, Math.max(0, FIRST - length));
      if (part) shown.push(why ? make("mark", { title: why }, part) : part);
      else hidden += why ? 1 : 0;
      length += words.length;
    }
    return { shown, length, hidden };
  }

  function box(name, before, edited) {
    const rows = Math.min(14, 1 + Math.ceil(before.length / 90));
    const area = make("textarea", { "aria-label": name, rows: String(rows) });
    const changed = make("div", { class: "review-body review-diff", "aria-label": `your changes of ${name}` });
    const compare = () => changed.replaceChildren(...(area.value === before ? [] : changes(before, area.value)));
    area.value = form.typed[name] ?? edited ?? before;
    area.dataset.before = before;
    area.addEventListener("input", () => { form.typed[name] = area.value; compare(); });
    form.boxes[name] = area;
    compare();
    return block(name, "", area, changed);
  }

  function draw(kept = false) {
    const shown = view();
    const stays = document.activeElement, inside = root.contains(stays);
    if (shown.who && shown.serial !== serial) { serial = shown.serial; turn(shown.place); return; }
    form ||= fresh(shown);
    form.boxes = {};
    root.replaceChildren();
    if (!shown.of) { root.append(make("p", {}, "There is nothing to review.")); return; }
    const error = shown.error ? make("div", { class: "review-error", role: "alert" }, shown.error) : null;
    if (!shown.who) { root.append(error || ""); signIn(shown); root.append(summary(shown)); return; }
    const texts = shown.texts.filter(({ name, pieces }) => pieces.length || name !== "input" || editing).map(text);
    const sides = shown.kind === "answers" ? make("div", { class: "review-sides" }, ...texts.splice(1)) : null;
    const comment = make("textarea", { class: "review-comment", rows: "1", placeholder: "comment (key: c)", "aria-label": "comment" });
    comment.value = form.comment;
    comment.addEventListener("input", () => { form.comment = comment.value; });
    root.append(
      make("div", { class: "review-card" }, head(shown), ...texts, sides, causes(shown), earlier(shown),
        ...shown.scales.map(scale), comment, make("div", { class: "review-bar" }, error, buttons(shown))),
      summary(shown), make("small", { class: "review-help" }, help(shown)));
    if (editing && !kept) {
      const area = Object.values(form.boxes).at(-1);
      area?.focus({ preventScroll: true });
      area?.scrollIntoView({ block: "nearest" });
    }
    else if (inside && stays.tagName === "TEXTAREA" && kept) comment.focus({ preventScroll: true });
    else if (inside) root.focus({ preventScroll: true });
  }

  function head(shown) {
    const done = shown.votes.filter(Boolean).length, people = shown.people[place];
    const by = people === 1 ? "1 person has" : `${people || "no"} people have`;
    return make("div", { class: "review-head" },
      make("div", { class: "review-row" },
        make("b", {}, `Item ${place + 1} of ${shown.of}`),
        make("progress", { max: String(shown.of), value: String(done), "aria-label": "Items that you have reviewed" }),
        make("span", { class: "review-done" }, `${done} of ${shown.of} reviewed by you`),
        make("small", {}, make("span", { class: "review-people" }, `${by} reviewed this item`),
          ` · ${shown.role}, your alias: ${shown.who}`)),
      make("div", { class: "review-tags" }, ...shown.tags.map((tag) => make("span", {}, tag)),
        ...shown.reasons.map((why) => make("span", { class: "review-why" }, `⚑ ${why}`))));
  }

  function causes(shown) {
    const row = ([why, words]) => make("li", {},
      ...words.flatMap((word, n) => [n ? ", " : "", make("mark", { title: why }, word)]), ` – ${why}`);
    return shown.causes.length
      ? make("div", { class: "review-causes" }, make("b", {}, "flagged words"), make("ul", {}, ...shown.causes.map(row))) : null;
  }

  const earlier = (shown) => shown.earlier.length
    ? block("votes", "", ...shown.earlier.map((vote) => make("div", { class: "review-body" }, vote))) : null;

  function buttons(shown) {
    const note = make("span", { class: "review-note", role: "status" }, shown.note);
    const row = (...given) => make("div", { class: "review-row" }, ...given);
    if (editing)
      return row(button("save edit", () => vote("edit"), "Ctrl ↵", "review-edit"), button("cancel", () => edit(false), "Esc"), note);
    const given = shown.mine ? shown.mine.action : "";
    const keyed = KEYS[shown.kind].map(([key, action]) => button((action === given ? "✓ " : "") + (LABELS[action] || action),
      () => vote(action), key, `review-${action}`, action === given));
    const rest = make("div", { class: "review-row review-rest" }, button("undo", () => send({ act: "undo" }), "u"),
      button("previous", () => turn(place - 1), "p"), button("next", () => turn(place + 1), "n"),
      button("next unreviewed", nextUnreviewed, "o"));
    return row(...keyed, note, rest);
  }

  function summary(shown) {
    const part = ([name, count]) => make("span", { class: `review-${name}`, style: `flex-grow: ${count}` });
    return make("div", { class: "review-summary" },
      make("div", { class: "review-stack", "aria-hidden": "true" }, ...shown.counts.filter(([, count]) => count).map(part)),
      make("span", {}, shown.summary));
  }

  const help = (shown) => editing ? "Ctrl+Enter saves the edit, Esc cancels it."
    : shown.kind === "answers" ? "Keys: 1 or ← left is better, 2 or → right is better, 0 tie, c comment, u undo, p previous, n next, o next unreviewed."
      : "Keys: digits rate the highlighted scale, Tab goes to the next one, a accept, e edit, r reject, c comment, u undo, p previous, n next, "
        + "o next unreviewed. Click the card once to use them.";

  root.addEventListener("keydown", (event) => {
    event.stopPropagation();
    const shown = view(), typing = ["TEXTAREA", "INPUT"].includes(event.target.tagName);
    if (!shown.who || !shown.of || event.altKey || event.metaKey) return;
    const used = () => event.preventDefault();
    if (event.key === "Escape") { used(); if (editing) edit(false); else root.focus(); return; }
    if (event.ctrlKey) { if (event.key === "Enter") { used(); if (editing) vote("edit"); else root.focus(); } return; }
    if (editing || typing || (event.target.tagName === "BUTTON" && ["Enter", " "].includes(event.key))) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const simple = {
      u: () => send({ act: "undo" }), p: () => turn(place - 1), n: () => turn(place + 1), o: nextUnreviewed, s: showAll,
    };
    const hit = KEYS[shown.kind].find((row) => [row[0], ...row.slice(2)].includes(key));
    const at = shown.scales.find(([name]) => name === marked);
    if (hit) { used(); if (!event.repeat) vote(hit[1]); }
    else if (simple[key]) { used(); simple[key](); }
    else if (key === "c") { used(); root.querySelector(".review-comment").focus(); }
    else if (at && at[1].includes(Number(key)) && key.trim()) { used(); rate(marked, Number(key)); }
    else if (key === "Tab" && event.target === root && shown.scales.length && !event.shiftKey) {
      const names = shown.scales.map(([name]) => name), next = names.indexOf(marked) + 1;
      if (next < names.length) { used(); marked = names[next]; draw(true); }
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
