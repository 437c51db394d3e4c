"""Prompts: for new tasks and for responses, after the released prompt (paper, section 2.2)."""

from collections.abc import Mapping

from medinstruct import paths
from medinstruct.labels import VALUES
from medinstruct.records import Task

TEXTS = paths.load("task_prompts")
Messages = list[dict[str, str]]


def task_prompt(examples: list[Task], *, new: int, cells=(), form="blocks") -> Messages:
    """Return the messages that ask for `new` tasks after numbered examples.

    `cells` are the labels wanted, one mapping a task (type, topic, view, difficulty, style; any
    may be missing). `form` is blocks or json.
    """
    listed = "".join(f"### {n}.\n{_block(task)}" for n, task in enumerate(examples, 1))
    first = len(examples) + 1
    end = f"### {first}.\n" if form == "blocks" else f"Continue the list from number {first}."
    labels = "".join(f"### {n}.\n{_cell(cell)}" for n, cell in enumerate(cells, first))
    order = TEXTS["order"].format(labels=labels) if labels else ""
    settings = {"form": TEXTS["forms"][form], "order": order}
    rules = TEXTS["rules"].format(new=new, total=len(examples) + new, **settings)
    return _messages(TEXTS["writer"], rules + listed + end)


def response_prompt(task: Task) -> Messages:
    """Return the messages that ask for a response to a task."""
    text = f"Type: {task.type}\nView: {task.view}\nInstruction: {task.instruction}"
    text += f"\nInput:\n{task.input}" if task.input else ""
    return _messages(TEXTS["answerer"], text)


def _messages(system: str, user: str) -> Messages:
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def _cell(cell: Mapping[str, object]) -> str:
    return "".join(f"{axis.capitalize()}: {cell[axis]}\n" for axis in VALUES if cell.get(axis))


def _block(task: Task) -> str:
    fields = {axis: getattr(task, axis) for axis in (*VALUES, "instruction")}
    fields["input"] = task.input or "<noinput>"
    return "".join(f"{name.capitalize()}: {text}\n" for name, text in fields.items() if text)
