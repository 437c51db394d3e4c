"""Prompts: for new tasks and for responses, after the released prompt (paper, section 2.2)."""

from collections.abc import Mapping, Sequence

from medinstruct.records import Task

Messages = list[dict[str, str]]

WRITER = "You write varied, medically correct tasks that train a medical assistant."
WRITER_RULES = """Write {new} new medical tasks that continue the list below. Rules:
1. Every task has the six fields Type, Topic, View, Difficulty, Instruction and Input, each on a \
line of its own.
2. Types: text generation, open Q&A, chat, rewrite, summarization, classification, USMLE-style \
Q&A, multiple-choice Q&A, \
single-hop reasoning, multiple-hop reasoning. Use all of them over the list.
3. Topics range over all of medicine: basic sciences, every clinical specialty, public health, \
ethics, education.
4. Views say who asks or who is addressed: patients, students, clinicians, allied health workers, \
officials, researchers, writers.
   A patient speaks in the first person and without jargon.
5. Difficulty is a number: 1 a basic fact, 2 a simple application, 3 needs communication or \
ethics, 4 several steps as in an
   examination, 5 an intricate or uncertain real case.
6. Instructions differ in verb, length and shape; some are questions, some are orders.
7. An input is specific and 50 to 200 words long; where none is needed the Input is <noinput>.
8. USMLE-style and multiple-choice tasks carry the case and the lettered options in the Input.
9. Nothing that would need an image, a file or the internet; no real person's data.
{form}
{order}
List of {total} tasks:
"""
FORMS = {
    "blocks": "Separate tasks with ### and a running number.",
    "json": 'Reply with one JSON object, {"tasks": [...]}; every task has the keys type, topic, view, difficulty (a number), '
    'instruction and input ("" where none is needed).',
}
PROPERTIES = {
    name: {"type": "string"} for name in ("type", "topic", "view", "instruction", "input")
}
PROPERTIES["difficulty"] = {"type": "integer", "enum": [1, 2, 3, 4, 5]}
TASK = {
    "type": "object",
    "properties": PROPERTIES,
    "required": ["type", "topic", "view", "difficulty", "instruction", "input"],
    "additionalProperties": False,
}
TASKS = {
    "type": "object",
    "properties": {"tasks": {"type": "array", "items": TASK}},
    "required": ["tasks"],
    "additionalProperties": False,
}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "tasks", "strict": True, "schema": TASKS}}

ANSWERER = """You are a careful medical expert. Answer the task completely and correctly, in the \
register of the one who asks.
If options are given, name the letter and text of the right one and say why. Say when urgent care \
is needed. Do not end with a
formula, do not mention being a language model, and keep to what is known."""


def task_prompt(
    examples: list[Task],
    *,
    new: int,
    cells: Sequence[Mapping[str, object]] = (),
    form: str = "blocks",
) -> Messages:
    """Return the messages that ask for `new` tasks after numbered examples.

    `cells` are the labels wanted, one mapping a task (type, topic, view, difficulty; any may be
    missing). `form` is blocks or json.
    """
    listed = "".join(f"### {n}.\n{_block(task)}" for n, task in enumerate(examples, 1))
    first = len(examples) + 1
    end = f"### {first}.\n" if form == "blocks" else f"Continue the list from number {first}."
    labels = "\n".join(f"{n}. {_cell(cell)}" for n, cell in enumerate(cells, first))
    order = f"The new tasks have these labels, in this order:\n{labels}\n" if labels else ""
    text = WRITER_RULES.format(new=new, total=len(examples) + new, form=FORMS[form], order=order)
    return [{"role": "system", "content": WRITER}, {"role": "user", "content": text + listed + end}]


def _cell(cell: Mapping[str, object]) -> str:
    """Return a cell as a line: "Type: chat; Topic: Nephrology"."""
    return "; ".join(
        f"{axis.capitalize()}: {cell[axis]}"
        for axis in ("type", "topic", "view", "difficulty")
        if cell.get(axis)
    )


def response_prompt(task: Task) -> Messages:
    """Return the messages that ask for a response to a task."""
    text = f"Type: {task.type}\nView: {task.view}\nInstruction: {task.instruction}"
    text += f"\nInput:\n{task.input}" if task.input else ""
    return [{"role": "system", "content": ANSWERER}, {"role": "user", "content": text}]


def _block(task: Task) -> str:
    fields = {
        "Type": task.type,
        "Topic": task.topic,
        "View": task.view,
        "Difficulty": task.difficulty,
    }
    fields |= {"Instruction": task.instruction, "Input": task.input or "<noinput>"}
    return "".join(f"{name}: {value}\n" for name, value in fields.items())
