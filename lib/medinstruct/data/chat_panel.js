// Draws the talk that the kernel sends and sends back what was pressed. Every text becomes a text node: there is no innerHTML here,
// so what a model wrote can only be read. Texts come as messages and are no state of the widget: a saved notebook holds none.

const FIRST = 6000; // characters of a growing answer that are drawn; the rest is counted until somebody asks for all
const VERDICTS = [["right", "✓ Right"], ["wrong", "✗ Wrong"], ["unsafe", "⚠ Unsafe"]];
const SAVED = {
  yes: "✓ Kept in this run", no: "", asks: "Not kept yet: waits for your word below", never: "Not kept, as you asked",
};
const KINDS = { number: "number not given", drug: "drug not given", conflict: "against the values" };

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
  const open = {}; // what is being typed: "edit/turn" -> text, "judge/turn/model" -> {verdict, correction, comment}
  const chosen = { models: null, way: "", reader: "", settings: null, name: "" };

  const status = make("div", { class: "mi-hidden", role: "status" });
  const top = make("div", { class: "mi-top" });
  const problem = make("div", { class: "mi-problem", role: "alert", hidden: true });
  const log = make("div", { class: "mi-log", role: "log", "aria-live": "off", "aria-label": "Conversation", tabindex: "0" });
  const asks = make("div");
  const box = make("textarea", { class: "mi-box", key: "box", rows: "2", "aria-label": "Your question", placeholder: "Ask, or paste a case. No names, please: what looks like one is asked about before anything is sent or kept." });
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
    model.send({ ...message, nonce });
    clearTimeout(waiting);
    waiting = setTimeout(() => tell("The kernel has not answered yet. If it is busy, wait: what you pressed is kept. If it is gone, run the cell again."), 6000);
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

  // The text of an answer with what the rules marked in it.
  function marked(one) {
    const parts = [];
    let at = 0;
    const signs = [...one.text].length === one.text.length ? null : [...one.text]; // offsets count code points
    const cut = (from, to) => signs ? signs.slice(from, to).join("") : one.text.slice(from, to);
    for (const [from, to, kind, why] of one.spans) {
      parts.push(cut(at, from), make("mark", { class: `mi-${kind}`, title: why, tabindex: "0", "aria-label": `${cut(from, to)} (${KINDS[kind] || kind}: ${why})` }, cut(from, to)));
      at = to;
    }
    return [...parts, cut(at)];
  }

  function meter(one) {
    const { score, low, text } = one.agreement;
    if (score === undefined) return null;
    const bar = make("span", { class: "mi-bar", "aria-hidden": "true" }, make("span", { style: `width:${Math.round(100 * score)}%` }));
    const others = make("details", {}, make("summary", {}, `${one.samples.length} further answer${one.samples.length > 1 ? "s" : ""}`),
      ...one.samples.map((other) => make("div", { class: "mi-other" }, other.text + (other.cut ? " …" : ""))));
    return make("div", { class: low ? "mi-meter mi-low" : "mi-meter" }, make("div", {}, bar, make("span", {}, text)), others);
  }

  function said(one) {
    return one.feedback.map((row) => make("div", { class: `mi-said mi-${row.verdict}` },
      make("b", {}, `${row.verdict}`), ` · ${row.who}`, row.comment ? ` · ${row.comment}` : "",
      row.correction ? make("div", { class: "mi-better" }, make("small", {}, "corrected to"), row.correction) : null));
  }

  function judging(turn, one) {
    const key = `judge/${turn.id}/${one.name}`, form = open[key];
    const row = make("div", { class: "mi-row", role: "group", "aria-label": `Is the answer of ${one.name} right?` }, ...VERDICTS.map(([verdict, text]) =>
      button(text, () => {
        if (form && form.verdict === verdict) delete open[key];
        else open[key] = { correction: one.cut ? "" : one.text, comment: "", ...form, verdict };
        draw();
      }, { class: `mi-verdict mi-${verdict}`, "aria-pressed": String(form?.verdict === verdict), key: `${key}/${verdict}` })));
    if (!form) return row;
    const field = (name, label, rows) => {
      const area = make("textarea", { rows, "aria-label": label, key: `${key}/${name}` });
      area.value = form[name];
      area.addEventListener("input", () => { form[name] = area.value; });
      return make("label", {}, make("small", {}, label), area);
    };
    const name = view.named ? null : make("input", { "aria-label": "Your name or initials", placeholder: "your name or initials", value: chosen.name, key: `${key}/name` });
    name?.addEventListener("input", () => { chosen.name = name.value; });
    const keep = () => send({
      act: "judge", turn: turn.id, name: one.name, verdict: form.verdict, comment: form.comment, reviewer: chosen.name,
      correction: form.verdict === "right" ? "" : form.correction.trim() === one.text.trim() ? "" : form.correction, key });
    return [row, make("div", { class: "mi-form" },
      form.verdict === "right" ? null : field("correction", "How it should read (it joins the next version of the dataset)", "5"),
      field("comment", "Comment", "1"), name,
      make("div", { class: "mi-row" }, button("Keep for review", keep, { class: "mi-main", key: `${key}/keep` }), button("Leave", () => { delete open[key]; draw(); }),
        view.named ? null : make("small", {}, "The name stays in the review database; elsewhere an alias stands for it.")))];
  }

  function answer(turn, one) {
    const busy = one.state !== "done";
    const body = make("div", { class: "mi-text", "data-name": one.name, tabindex: one.length > 900 ? "0" : null }, ...(busy ? [one.text] : marked(one)));
    const more = make("div", { class: "mi-more" });
    if (one.cut && !busy) more.append(button(`Show all ${one.length.toLocaleString("en")} characters`, () => send({ act: "all", turn: turn.id, name: one.name }), { key: `all/${turn.id}/${one.name}` }));
    const state = { waiting: "waits for its turn", writing: "writes", sampling: "is asked again, to see whether it agrees" }[one.state];
    const card = make("article", { class: `mi-answer${busy ? " mi-busy" : ""}${one.state === "writing" ? " mi-writing" : ""}`, "aria-label": `Answer of ${one.name}`, "aria-busy": String(busy) },
      make("header", {}, make("b", {}, one.name), one.badge ? make("span", { class: "mi-badge" }, one.badge) : null,
        make("span", { class: "mi-state" }, busy ? make("i", { class: "mi-dots", "aria-hidden": "true" }) : null, busy ? state : one.tokens ? `${one.tokens} tokens · ${one.seconds.toFixed(1)} s` : "")),
      one.trouble ? make("div", { class: "mi-problem" }, one.trouble) : null, body, more,
      one.ended ? make("div", { class: "mi-ended" }, one.ended) : null, meter(one),
      one.lines.length && !busy ? make("ul", { class: "mi-lines" }, ...one.lines.map((line) => make("li", {}, line))) : null,
      make("footer", {}, one.about, make("br"), one.data, make("br"), view.notice),
      ...said(one), !busy && one.good && turn.saved === "yes" ? judging(turn, one) : null);
    nodes.set(`${turn.id}/${one.name}`, { body, more, card, drawn: one.text.length });
    return card;
  }

  function question(turn) {
    const key = `edit/${turn.id}`;
    const way = view.ways.find((one) => one.name === turn.way && turn.way);
    const tag = way ? make("small", { class: "mi-way" }, way.title + (turn.reader ? ` · ${turn.reader}` : "")) : null;
    if (!(key in open)) return make("div", { class: "mi-ask" }, tag, make("div", {}, turn.question.text),
      view.busy ? null : button("✎ Edit", () => { open[key] = turn.question.text; draw(); root.querySelector(`[data-key="${key}"]`)?.focus(); }, { class: "mi-quiet", title: "Edit and send again", key: `${key}/open` }));
    const area = make("textarea", { rows: "3", key, "aria-label": "The question in other words" });
    area.value = open[key];
    const again = () => { const text = open[key]; delete open[key]; ask(text, turn.id); };
    area.addEventListener("input", () => { open[key] = area.value; });
    area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); again(); }
      if (event.key === "Escape") { delete open[key]; draw(); }
    });
    return make("div", { class: "mi-ask mi-editing" }, tag, area, make("div", { class: "mi-row" },
      button("Send again", again, { class: "mi-main" }), button("Leave", () => { delete open[key]; draw(); }), make("small", {}, "What follows it is left behind; the transcript keeps it.")));
  }

  function one(turn) {
    const alarms = turn.alarms.map((alarm) => make("div", { class: "mi-alarm", role: "alert" },
      make("b", {}, `${alarm.name[0].toUpperCase()}${alarm.name.slice(1)}?`), ` ${alarm.notice} `, make("small", {}, `Found by rule in: ${alarm.words}`)));
    const privacy = turn.privacy ? ` · identifiers: ${turn.privacy}` : "";
    const kept = turn.saved === "no" && !turn.busy && turn.answers.some((each) => each.good)
      ? button("Not kept: try again", () => send({ act: "keep", turn: turn.id }), { class: "mi-quiet" }) : SAVED[turn.saved] + (turn.saved === "yes" ? privacy : "");
    return make("div", { class: "mi-turn", "data-turn": turn.id }, question(turn), ...alarms,
      make("div", { class: "mi-answers" }, ...turn.answers.map((each) => answer(turn, each))),
      make("div", { class: `mi-kept mi-kept-${turn.saved}` }, turn.busy ? "" : kept));
  }

  function head() {
    const pick = make("select", { "aria-label": "Earlier conversations", key: "earlier", onchange: () => pick.value && send({ act: pick.value === "new" ? "new" : "open", id: pick.value === "new" ? "" : pick.value }) });
    const here = view.earlier.some((row) => row.id === view.conversation);
    if (!here) pick.append(make("option", { value: "new", selected: true }, "New conversation"));
    for (const row of view.earlier) pick.append(make("option", { value: row.id, selected: row.id === view.conversation }, `${row.title}  (${row.turns}, ${row.at.slice(0, 16).replace("T", " ")})`));
    pick.disabled = view.busy;
    top.replaceChildren(make("b", { class: "mi-title" }, "Beside a clinician"), pick,
      button("+ New", () => send({ act: "new" }), { key: "new", disabled: view.busy, title: "Begin a new conversation" }),
      button("↓ Markdown", () => send({ act: "export", form: "md" }), { key: "md", title: "Export this conversation as Markdown" }),
      button("↓ JSONL", () => send({ act: "export", form: "jsonl" }), { key: "jsonl", title: "Export this conversation as JSONL" }));
  }

  function identifiers() {
    asks.replaceChildren();
    if (!view.pending) { asked = ""; return; }
    const where = { question: "your question", answer: "an answer", correction: "what you wrote about an answer" }[view.pending.what];
    const decide = (decision) => {
      if (decision === "back" && view.pending.what === "question" && !box.value) box.value = typed;
      send({ act: "decide", decision });
    };
    const last = { question: "Take the question back", answer: null, correction: "Take it back" }[view.pending.what];
    asks.append(make("div", { class: "mi-privacy", role: "alertdialog", "aria-label": "Privacy" },
      make("b", {}, `This could name a person, in ${where}. Nothing has been kept${view.pending.what === "question" ? " or sent to a model" : ""}.`),
      make("div", { class: "mi-chips" }, ...view.pending.hits.map((hit) => make("span", {}, make("small", {}, hit.kind), hit.text))),
      make("div", { class: "mi-row" },
        button("Mask and keep", () => decide("mask"), { class: "mi-main", key: "mask" }),
        button(view.pending.what === "question" ? "Ask, but keep nothing" : "Keep nothing", () => decide("none"), { key: "none" }),
        button("It is not an identifier", () => decide("kept"), { key: "kept" }),
        last ? button(last, () => decide("back"), { key: "back" }) : null)));
    if (asked !== view.pending.what) asks.querySelector("button").focus({ preventScroll: true });
    asked = view.pending.what;
    asks.scrollIntoView({ block: "nearest" });
  }

  function number(name, label, step, why) {
    const [low, high] = view.room[name];
    const field = make("input", { type: "number", min: low, max: high, step, value: chosen.settings[name], key: `set/${name}`, title: why });
    field.addEventListener("input", () => { chosen.settings[name] = field.value; });
    return make("label", { class: "mi-number" }, label, field);
  }

  function composer() {
    chosen.settings ||= { ...view.settings };
    chosen.models ||= view.models.map((row) => row.name);
    const way = view.ways.find((row) => row.name === chosen.way) || view.ways[0];
    const ways = make("select", { "aria-label": "Way of working", key: "way", onchange: () => { chosen.way = ways.value; chosen.reader = ""; composer(); } },
      ...view.ways.map((row) => make("option", { value: row.name, selected: row.name === chosen.way }, row.title)));
    const readers = way.readers.length ? make("select", { "aria-label": "Reader", key: "reader", onchange: () => { chosen.reader = readers.value; } },
      make("option", { value: "" }, "any reader"), ...way.readers.map((row) => make("option", { value: row, selected: row === chosen.reader }, row))) : null;
    const models = view.models.map((row) => button(row.name, () => {
      const on = chosen.models.includes(row.name);
      if (on && chosen.models.length === 1) return;
      chosen.models = view.models.map((each) => each.name).filter((name) => name === row.name ? !on : chosen.models.includes(name));
      composer();
    }, { class: "mi-model", "aria-pressed": String(chosen.models.includes(row.name)), title: `${row.about.replace(/\.$/, "")}. ${row.data}${row.alone ? " It takes each question by itself." : ""}`, key: `model/${row.name}` }));
    const go = view.busy
      ? button("■ Stop", () => send({ act: "stop" }), { class: "mi-stop", key: "go", title: "Stop at once (Esc)" })
      : button("Send ↵", () => ask(box.value), { class: "mi-main mi-go", key: "go", disabled: Boolean(view.pending) });
    const held = focused();
    tools.replaceChildren(ways, ...(readers ? [readers] : []), make("span", { class: "mi-models", role: "group", "aria-label": "Models, side by side" }, ...models),
      number("temperature", "temp", "0.1", "0 gives the likeliest words; more gives more variety"), number("max_tokens", "tokens", "50", "Room for one answer"),
      number("samples", "samples", "1", "Ask so many times and see whether the answers agree"), make("span", { class: "mi-gap" }), go);
    refocus(held);
    const alone = view.models.filter((row) => row.alone && chosen.models.includes(row.name)).map((row) => row.name);
    const each = alone.length ? ` Each question stands by itself for ${alone.join(" and ")}: no earlier turn is read.` : "";
    duty.replaceChildren(make("b", {}, "You: "), way.responsibility, each);
  }

  const focused = () => root.contains(document.activeElement) ? { key: document.activeElement.dataset.key, at: document.activeElement.selectionStart } : null;
  function refocus(held) {
    if (!held?.key) return;
    const element = [...root.querySelectorAll("[data-key]")].find((each) => each.dataset.key === held.key);
    if (!element || element === document.activeElement) return;
    element.focus({ preventScroll: true });
    if (held.at !== undefined && held.at !== null && element.tagName === "TEXTAREA") element.setSelectionRange(held.at, held.at);
  }

  // The newest question goes to the top of the page and stays there while its answers grow, unless somebody scrolls away.
  function follow() {
    if (stick && log.lastElementChild?.dataset.turn) log.scrollTop = log.lastElementChild.offsetTop - 2;
  }

  function draw() {
    if (!view) return;
    const held = focused(), at = log.scrollTop;
    nodes.clear();
    head();
    tell(view.error);
    log.replaceChildren(...(view.turns.length ? view.turns.map(one) : [make("div", { class: "mi-empty" },
      make("b", {}, "Ask the model, and judge it."), make("p", {}, view.notice),
      make("ul", {}, ...view.models.map((row) => make("li", {}, make("b", {}, row.name), ` — ${row.about.replace(/\.$/, "")}. ${row.data}`))))]));
    log.scrollTop = at;
    composer();
    refocus(held);
    follow();
    identifiers();
  }

  function grow({ turn, name, text, length }) {
    const parts = nodes.get(`${turn}/${name}`);
    if (!parts) return;
    const room = FIRST - parts.drawn;
    if (room > 0) {
      if (parts.body.lastChild?.nodeType !== Node.TEXT_NODE) parts.body.append("");
      parts.body.lastChild.appendData(text.slice(0, room));
      parts.drawn += text.length;
      parts.body.scrollTop = parts.body.scrollHeight;
    } else parts.more.textContent = `… ${length.toLocaleString("en")} characters so far`;
    if (!parts.begun) {
      parts.begun = true;
      parts.card.classList.add("mi-writing");
      const state = parts.card.querySelector(".mi-state");
      state.replaceChildren(make("i", { class: "mi-dots", "aria-hidden": "true" }), "writes");
    }
    follow();
  }

  function download({ name, text }) {
    const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "text/plain" })), download: name });
    root.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  function heard(message) {
    const mine = String(message.nonce || "").startsWith(me);
    if (mine || message.event !== "file") clearTimeout(waiting);
    if (message.event === "view") {
      const was = view;
      view = message.view;
      if (mine && last?.act === "ask" && !view.error) { if (!last.replaces) box.value = ""; stick = true; }
      if (mine && last?.act === "judge" && !view.error && !view.pending) delete open[last.key];
      if (mine) last = null;
      if (was?.conversation !== view.conversation) { for (const key of Object.keys(open)) delete open[key]; stick = true; }
      draw();
      status.textContent = view.error || view.note || (was?.busy && !view.busy ? "The answers are complete." : !was?.busy && view.busy ? "The models answer." : "");
    } else if (message.event === "turn" && view) {
      const at = view.turns.findIndex((turn) => turn.id === message.turn.id);
      if (at < 0) return;
      view.turns[at] = message.turn;
      const old = [...log.querySelectorAll("[data-turn]")].find((each) => each.dataset.turn === message.turn.id), held = focused();
      old?.replaceWith(one(message.turn));
      refocus(held);
      follow();
    } else if (message.event === "piece") grow(message);
    else if (message.event === "file" && mine) download(message);
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
