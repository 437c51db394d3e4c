// Draws the session that the kernel sends and sends back what was pressed. Every text becomes a text node: there is no innerHTML
// here, so a model's text can only be read. Texts come as messages and are no state of the widget: a saved notebook holds none.

const FIRST = 6000; // characters of an answer that are drawn before "Show all" is pressed
const VERDICTS = [["right", "✓ Right"], ["wrong", "✗ Wrong"], ["unsafe", "⚠ Unsafe"]];
const SAVED = { yes: "✓ Saved in this run", no: "Not saved", asks: "Not saved yet: waits for your decision below", never: "Not saved, as you asked" };
const KINDS = { number: "number that the input does not hold", drug: "drug name that the input does not hold" };
const ENDINGS = {
  stop: ["", ""], error: ["failed", ""], stopped: ["stopped", "You stopped this answer; its end is missing."],
  length: ["cut", "Cut at the token limit. Raise the limit and send the question again."],
  interrupted: ["cut", "The server ended the answer without a reason."], content_filter: ["cut", "The server's content filter cut the answer."],
};
const FREE = { name: "", title: "Free question", readers: {}, responsibility: "You are responsible for what is done with an answer." };

function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "key") element.dataset.key = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function render({ model, el }) {
  const me = Math.random().toString(36).slice(2);
  let view = null, last = null, count = 0, waiting = null, stick = true, asked = "", typed = "";
  const nodes = new Map(); // "turn/model" -> the parts of a growing answer
  const whole = new Set(); // "turn/model" of the long answers that are shown in full
  const closed = new Set(); // keys of the second reader's lists that are folded
  const open = {}; // what is being typed: "edit/turn" -> text, "judge/turn/model" -> {verdict, correction, comment}
  const chosen = { models: null, way: "", reader: "", settings: null, name: "" };

  const status = make("div", { class: "mi-hidden", role: "status" });
  const top = make("div", { class: "mi-top" });
  const problem = make("div", { class: "mi-problem", role: "alert", hidden: true });
  const log = make("div", { class: "mi-log", role: "log", "aria-live": "off", "aria-label": "Conversation", tabindex: "0" });
  const asks = make("div");
  const box = make("textarea", { class: "mi-box", key: "box", rows: "2", "aria-label": "Your question", placeholder: "Ask a question or paste a case, without names. You are asked about possible identifiers before anything is sent or saved." });
  const tools = make("div", { class: "mi-tools" });
  const duty = make("div", { class: "mi-duty" });
  const root = make("section", { class: "mi-chat", "aria-label": "Chat beside a clinician" }, top, problem, log, asks,
    make("div", { class: "mi-composer" }, box, tools), duty, status);
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  el.appendChild(root);

  const button = (text, press, options = {}) => make("button", { type: "button", onclick: press, ...options }, text);

  function send(message) {
    last = message;
    const nonce = `${me}-${++count}`;
    const clean = Object.entries(message).map(([name, value]) => [name, typeof value === "string" ? value.toWellFormed?.() ?? value : value]);
    model.send({ ...Object.fromEntries(clean), nonce });
    clearTimeout(waiting);
    waiting = setTimeout(() => tell("The kernel has not answered yet. If it is busy, wait; your input is safe. If it has stopped, run the cell again."), 6000);
  }

  function tell(text) {
    problem.textContent = text;
    problem.hidden = !text;
  }

  function ask(text, replaces = "") {
    if (!view || view.busy || view.pending || !text.trim()) return;
    typed = text;
    send({ act: "ask", text, replaces, models: chosen.models, way: chosen.way, reader: chosen.reader, settings: chosen.settings });
  }

  // The text of an answer with its marks.
  function marked(row, text) {
    const parts = [];
    let at = 0;
    const signs = [...row.text].length === row.text.length ? null : [...row.text]; // offsets count code points
    const cut = (from, to) => signs ? signs.slice(from, to).join("") : row.text.slice(from, to);
    for (const [from, to, kind, why] of row.marks) {
      if (to > text.length) break;
      parts.push(cut(at, from), make("mark", { class: `mi-${kind}`, title: why, tabindex: "0", "aria-label": `${cut(from, to)} (${KINDS[kind]})` }, cut(from, to)));
      at = to;
    }
    return [...parts, cut(at, text.length)];
  }

  function judged(row) {
    return row.judgments.map((judgment) => make("div", { class: `mi-said mi-${judgment.verdict}` },
      make("b", {}, judgment.verdict), ` · ${judgment.reviewer}`, judgment.comment ? ` · ${judgment.comment}` : "",
      judgment.correction ? make("div", { class: "mi-better" }, make("small", {}, "corrected to"), judgment.correction) : null));
  }

  function judging(turn, row) {
    const key = `judge/${turn.id}/${row.name}`, form = open[key];
    const buttons = make("div", { class: "mi-row", role: "group", "aria-label": `Is the answer of ${row.name} right?` }, ...VERDICTS.map(([verdict, text]) =>
      button(text, () => {
        if (form && form.verdict === verdict) delete open[key];
        else open[key] = { correction: row.text, comment: "", ...form, verdict };
        stick = false;
        draw();
        root.querySelector(`[data-key="${key}/comment"]`)?.closest(".mi-form").scrollIntoView({ block: "nearest" });
      }, { class: `mi-verdict mi-${verdict}`, "aria-pressed": String(form?.verdict === verdict), key: `${key}/${verdict}` })));
    if (!form) return buttons;
    const field = (name, label, rows) => {
      const area = make("textarea", { rows, "aria-label": label, key: `${key}/${name}` });
      area.value = form[name];
      area.addEventListener("input", () => { form[name] = area.value; });
      return make("label", {}, make("small", {}, label), area);
    };
    const name = view.named ? null : make("input", { "aria-label": "Your name or initials", placeholder: "your name or initials", value: chosen.name, key: `${key}/name` });
    name?.addEventListener("input", () => { chosen.name = name.value; });
    const keep = () => send({
      act: "judge", turn: turn.id, name: row.name, verdict: form.verdict, comment: form.comment, reviewer: chosen.name,
      correction: form.verdict === "right" ? "" : form.correction.trim() === row.text.trim() ? "" : form.correction, key });
    return [buttons, make("div", { class: "mi-form" },
      form.verdict === "right" ? null : field("correction", "Correction (joins the next version of the dataset)", "5"),
      field("comment", "Comment", "1"), name,
      make("div", { class: "mi-row" }, button("Save for review", keep, { class: "mi-main", key: `${key}/keep` }), button("Cancel", () => { delete open[key]; draw(); }),
        view.named ? null : make("small", {}, "Your name stays in the review database; datasets and pages show your alias.")))];
  }

  // What a second reader lists, and beside each list how much it misses.
  function secondReading(turn, row) {
    const reading = row.reading, key = `reading/${turn.id}/${row.name}`;
    if (!reading) return make("div", { class: "mi-lines" }, "Not read by a second reader.");
    const busy = reading.state === "reading";
    const box = make("details", { class: "mi-reading", open: !closed.has(key), "aria-busy": String(busy) },
      make("summary", { key }, `Second reader${reading.reader ? `: ${reading.reader}` : ""}`, busy ? [make("i", { class: "mi-dots", "aria-hidden": "true" }), " reading…"] : null),
      make("div", { class: "mi-lines" }, reading.about),
      reading.error ? make("div", { class: "mi-problem" }, reading.error) : null,
      ...reading.lists.map((list) => make("div", { class: "mi-listed" }, make("b", {}, list.title),
        list.items.length ? make("ul", {}, ...list.items.map((item) => make("li", {}, item))) : null, make("div", { class: "mi-lines" }, list.note))));
    box.addEventListener("toggle", () => { if (box.open) closed.delete(key); else closed.add(key); });
    return box;
  }

  function answer(turn, row) {
    const busy = row.state !== "done", id = `${turn.id}/${row.name}`;
    const text = whole.has(id) ? row.text : row.text.slice(0, FIRST);
    const body = make("div", { class: "mi-text", "data-name": row.name, tabindex: row.text.length > 900 ? "0" : null }, ...(busy ? [text] : marked(row, text)));
    const more = make("div", { class: "mi-more" });
    if (!busy && text.length < row.text.length) more.append(button(`Show all ${row.text.length.toLocaleString("en")} characters`, () => { whole.add(id); draw(); }, { key: `all/${id}` }));
    const state = { waiting: "waiting", writing: "writing" }[row.state];
    const [badge, ending] = busy ? ["", ""] : ENDINGS[row.finish_reason] || [row.finish_reason, ""];
    const count = row.marks.length;
    const card = make("article", { class: `mi-answer${busy ? " mi-busy" : ""}${row.state === "writing" ? " mi-writing" : ""}`, "data-name": row.name, "aria-label": `Answer of ${row.name}`, "aria-busy": String(busy) },
      make("header", {}, make("b", {}, row.name), badge ? make("span", { class: "mi-badge" }, badge) : null,
        make("span", { class: "mi-state" }, busy ? make("i", { class: "mi-dots", "aria-hidden": "true" }) : null, busy ? state : row.tokens ? `${row.tokens} tokens` : "")),
      row.error ? make("div", { class: "mi-problem" }, row.error) : null, body, more,
      ending ? make("div", { class: "mi-ended" }, ending) : null,
      !busy && !row.error && !row.text.trim() ? make("div", { class: "mi-ended" }, "The model gave no answer.") : null,
      count ? make("div", { class: "mi-lines" }, `Marked: ${count} number${count > 1 ? "s" : ""} or drug name${count > 1 ? "s" : ""} that the input does not hold. Look them up.`) : null,
      make("footer", {}, make("div", { class: "mi-emergency" }, view.emergency), `${row.model}${row.data ? `, tuned on dataset ${row.data}` : ""}`, make("br"), view.notice),
      busy || !row.good ? null : secondReading(turn, row), ...judged(row), !busy && row.good && turn.saved === "yes" ? judging(turn, row) : null);
    nodes.set(id, { body, more, card, drawn: row.text.length });
    return card;
  }

  function question(turn) {
    const key = `edit/${turn.id}`;
    const use_case = view.use_cases.find((row) => row.name === turn.way);
    const tag = use_case ? make("small", { class: "mi-way" }, use_case.title + (turn.reader ? ` · ${turn.reader}` : "")) : null;
    if (!(key in open)) return make("div", { class: "mi-ask" }, tag, make("div", {}, turn.question),
      view.busy ? null : button("✎ Edit", () => { open[key] = turn.question; draw(); root.querySelector(`[data-key="${key}"]`)?.focus(); }, { class: "mi-quiet", title: "Edit and send again", key: `${key}/open` }));
    const area = make("textarea", { rows: "3", key, "aria-label": "Edited question" });
    area.value = open[key];
    const again = () => { const text = open[key]; delete open[key]; ask(text, turn.id); };
    area.addEventListener("input", () => { open[key] = area.value; });
    area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); again(); }
      if (event.key === "Escape") { delete open[key]; draw(); }
    });
    return make("div", { class: "mi-ask mi-editing" }, tag, area, make("div", { class: "mi-row" },
      button("Send again", again, { class: "mi-main" }), button("Cancel", () => { delete open[key]; draw(); }), make("small", {}, "Later turns leave the page; the transcript keeps them.")));
  }

  function card(turn) {
    const privacy = turn.privacy ? ` · identifiers: ${turn.privacy}` : "";
    const busy = turn.answers.some((row) => row.state !== "done");
    const saved = SAVED[turn.saved] + (turn.saved === "yes" ? privacy : "");
    return make("div", { class: "mi-turn", "data-turn": turn.id }, question(turn),
      make("div", { class: "mi-answers" }, ...turn.answers.map((each) => answer(turn, each))),
      make("div", { class: `mi-kept mi-kept-${turn.saved}` }, busy ? "" : saved));
  }

  function head() {
    top.replaceChildren(make("b", { class: "mi-title" }, "Beside a clinician"),
      button("+ New", () => send({ act: "new" }), { key: "new", disabled: view.busy, title: "Start a new conversation" }),
      button("↓ Markdown", () => download("md", markdown()), { key: "md", title: "Export this conversation as Markdown" }),
      button("↓ JSONL", () => download("jsonl", jsonl()), { key: "jsonl", title: "Export this conversation as JSONL" }));
  }

  function identifiers() {
    asks.replaceChildren();
    if (!view.pending) { asked = ""; return; }
    const where = { question: "your question", answer: "an answer", correction: "your feedback" }[view.pending.what];
    const decide = (decision) => {
      if (decision === "back" && view.pending.what === "question" && !box.value) box.value = typed;
      send({ act: "decide", decision });
    };
    const last = { question: "Withdraw the question", answer: null, correction: "Withdraw it" }[view.pending.what];
    asks.append(make("div", { class: "mi-privacy", role: "alertdialog", "aria-label": "Privacy" },
      make("b", {}, `There may be an identifier in ${where}. Nothing has been saved${view.pending.what === "question" ? " or sent to a model" : ""}.`),
      make("div", { class: "mi-chips" }, ...view.pending.hits.map(([kind, text]) => make("span", {}, make("small", {}, kind), text))),
      make("div", { class: "mi-row" },
        button("Mask and save", () => decide("mask"), { class: "mi-main", key: "mask" }),
        button(view.pending.what === "question" ? "Ask, but save nothing" : "Save nothing", () => decide("none"), { key: "none" }),
        button("Not an identifier", () => decide("kept"), { key: "kept" }),
        last ? button(last, () => decide("back"), { key: "back" }) : null)));
    if (asked !== view.pending.what) asks.querySelector("button").focus({ preventScroll: true });
    asked = view.pending.what;
    asks.scrollIntoView({ block: "nearest" });
  }

  function number(name, label, step, why) {
    const { minimum, maximum } = view.limits[name];
    const field = make("input", { type: "number", min: minimum, max: maximum, step, value: chosen.settings[name], key: `set/${name}`, title: why });
    field.addEventListener("input", () => { chosen.settings[name] = field.value; });
    return make("label", { class: "mi-number" }, label, field);
  }

  function composer() {
    chosen.settings ||= { ...view.settings };
    chosen.models ||= view.models.map((row) => row.name);
    const rows = [FREE, ...view.use_cases], use_case = rows.find((row) => row.name === chosen.way), readings = Object.keys(use_case.readers);
    const ways = make("select", { "aria-label": "Use case", key: "way", onchange: () => { chosen.way = ways.value; chosen.reader = ""; composer(); } },
      ...rows.map((row) => make("option", { value: row.name, selected: row.name === chosen.way }, row.title)));
    const readers = readings.length ? make("select", { "aria-label": "Reader", key: "reader", onchange: () => { chosen.reader = readers.value; } },
      make("option", { value: "" }, "any reader"), ...readings.map((row) => make("option", { value: row, selected: row === chosen.reader }, row))) : null;
    const models = view.models.map((row) => button(row.name, () => {
      const on = chosen.models.includes(row.name);
      if (on && chosen.models.length === 1) return;
      chosen.models = view.models.map((each) => each.name).filter((name) => name === row.name ? !on : chosen.models.includes(name));
      composer();
    }, { class: "mi-model", "aria-pressed": String(chosen.models.includes(row.name)), title: row.model, key: `model/${row.name}` }));
    const go = view.busy
      ? button("■ Stop", () => send({ act: "stop" }), { class: "mi-stop", key: "go", title: "Stop at once (Esc)" })
      : button("Send ↵", () => ask(box.value), { class: "mi-main mi-go", key: "go", disabled: Boolean(view.pending) });
    const held = focused();
    tools.replaceChildren(ways, ...(readers ? [readers] : []), make("span", { class: "mi-models", role: "group", "aria-label": "Models, side by side" }, ...models),
      number("temperature", "temp", "0.1", "0 gives the most likely words; higher values give more variety"), number("max_tokens", "tokens", "50", "Token limit of one answer"), make("span", { class: "mi-gap" }), go);
    refocus(held);
    duty.replaceChildren(make("b", {}, "Your part: "), use_case.responsibility);
  }

  const focused = () => root.contains(document.activeElement) ? { key: document.activeElement.dataset.key, at: document.activeElement.selectionStart } : null;
  function refocus(held) {
    if (!held?.key) return;
    const element = [...root.querySelectorAll("[data-key]")].find((each) => each.dataset.key === held.key);
    if (!element || element === document.activeElement) return;
    element.focus({ preventScroll: true });
    if (held.at !== undefined && held.at !== null && element.tagName === "TEXTAREA") element.setSelectionRange(held.at, held.at);
  }

  // The newest question goes to the top of the page and stays there while its answers grow, unless the reader scrolls away.
  function follow() {
    if (stick && log.lastElementChild?.dataset.turn) log.scrollTop = log.lastElementChild.offsetTop - 2;
  }

  function draw() {
    if (!view) return;
    const held = focused(), at = log.scrollTop;
    nodes.clear();
    head();
    tell(view.error);
    log.replaceChildren(...(view.turns.length ? view.turns.map(card) : [make("div", { class: "mi-empty" },
      make("b", {}, "Ask the models and judge their answers."), make("p", { class: "mi-emergency" }, view.emergency), make("p", {}, view.notice),
      make("ul", {}, ...view.models.map((row) => make("li", {}, make("b", {}, row.name), ` — ${row.model}`))))]));
    log.scrollTop = at;
    composer();
    refocus(held);
    follow();
    identifiers();
  }

  function grow({ turn, name, text }) {
    const parts = nodes.get(`${turn}/${name}`);
    if (!parts) return;
    const room = FIRST - parts.drawn;
    parts.drawn += text.length;
    if (room > 0) {
      if (parts.body.lastChild?.nodeType !== Node.TEXT_NODE) parts.body.append("");
      parts.body.lastChild.appendData(text.slice(0, room));
      parts.body.scrollTop = parts.body.scrollHeight;
    } else parts.more.textContent = `… ${parts.drawn.toLocaleString("en")} characters so far`;
    if (!parts.begun) {
      parts.begun = true;
      parts.card.classList.add("mi-writing");
      const state = parts.card.querySelector(".mi-state");
      state.replaceChildren(make("i", { class: "mi-dots", "aria-hidden": "true" }), "writing");
    }
    follow();
  }

  // A second reading as plain lines.
  function listed(reading) {
    if (!reading || reading.state === "reading") return "Not read by a second reader.";
    const lines = reading.lists.flatMap((list) => ["", list.title, ...list.items.map((item) => `- ${item}`), list.note]);
    return [`Second reader: ${reading.reader}`, reading.about, reading.error, ...lines].filter((line) => line !== undefined).join("\n");
  }

  // The saved turns as Markdown; texts are fenced, so that nothing in them is Markdown, a link or HTML.
  function markdown() {
    const fenced = (text) => {
      const ticks = "`".repeat(Math.max(3, ...(text.match(/`+/g) || []).map((run) => run.length + 1)));
      return `${ticks}text\n${text}\n${ticks}`;
    };
    const parts = ["# Conversation", fenced(`${view.emergency}\n${view.notice}`)];
    for (const turn of view.turns.filter((each) => each.saved === "yes")) {
      parts.push(`## ${[turn.at, turn.way, turn.reader].filter(Boolean).join(" · ")}`, fenced(turn.question));
      for (const row of turn.answers) {
        const source = [row.name, row.model, row.data, ...(ENDINGS[row.finish_reason] || [row.finish_reason]).slice(0, 1)];
        parts.push(fenced(source.filter(Boolean).join(" · ")), fenced(row.text), fenced(listed(row.reading)), fenced(`${view.emergency}\n${view.notice}`));
      }
    }
    return `${parts.join("\n\n")}\n`;
  }

  const jsonl = () => view.turns.filter((turn) => turn.saved === "yes").map((turn) =>
    `${JSON.stringify({ ...turn, answers: turn.answers.filter((row) => row.good) })}\n`).join("");

  function download(form, text) {
    const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "text/plain" })), download: `conversation-${view.conversation}.${form}` });
    root.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  // What has become of feedback, or of a question that was withdrawn, for a screen reader.
  function outcome(message, pending) {
    if (message.act !== "judge" && pending?.what !== "correction") return message.decision === "back" ? "Withdrawn: nothing was sent or saved." : "";
    return ["none", "back"].includes(message.decision) ? "The feedback was not saved." : "The feedback was saved for review.";
  }

  function heard(message) {
    const mine = String(message.nonce || "").startsWith(me);
    clearTimeout(waiting);
    if (message.event === "view") {
      const was = view;
      view = message.view;
      const done = mine && last && !view.error && !view.pending ? outcome(last, was?.pending) : "";
      if (mine && last?.act === "ask" && !view.error) { if (!last.replaces) box.value = ""; stick = true; }
      if (mine && last?.act === "judge" && !view.error && !view.pending) delete open[last.key];
      if (mine) last = null;
      if (was?.conversation !== view.conversation) { for (const key of Object.keys(open)) delete open[key]; stick = true; }
      draw();
      status.textContent = view.error || done || (was?.busy && !view.busy ? "The answers are complete." : !was?.busy && view.busy ? "The models answer." : "");
    } else if (message.event === "turn" && view) {
      const at = view.turns.findIndex((turn) => turn.id === message.turn.id);
      if (at < 0) return;
      const reads = (turn) => turn.answers.some((row) => row.reading?.state === "reading");
      if (reads(message.turn)) status.textContent = "The second reader reads the answers.";
      else if (reads(view.turns[at])) status.textContent = "The second reader has ended; its lists are under the answers.";
      view.turns[at] = message.turn;
      const old = [...log.querySelectorAll("[data-turn]")].find((each) => each.dataset.turn === message.turn.id), held = focused();
      old?.replaceWith(card(message.turn));
      refocus(held);
      follow();
    } else if (message.event === "piece") grow(message);
  }

  const byHand = () => { stick = false; };
  for (const gesture of ["wheel", "touchmove", "pointerdown"]) log.addEventListener(gesture, byHand, { passive: true });
  root.addEventListener("keydown", (event) => {
    event.stopPropagation(); // or JupyterLab takes keys for its own
    if (event.target === log) byHand();
    if (event.key === "Escape" && view?.busy) { event.preventDefault(); send({ act: "stop" }); }
    if (event.target === box && event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); ask(box.value); }
  });
  model.on("msg:custom", heard);
  send({ act: "look" });
  return () => { clearTimeout(waiting); model.off("msg:custom", heard); };
}

export default { render };
