"""Generation: prompts (after the released one, paper, 2.2), requests, tasks, examples, ledger."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel

from medinstruct import languages, paths, records
from medinstruct.errors import UserError, check_choice
from medinstruct.filtering import Pool, compared_texts
from medinstruct.labels import VALUES
from medinstruct.llm import Client, Reply, Request
from medinstruct.records import Example, Provenance, Reject, Response, Task
from medinstruct.tasks.parser import parse_tasks
from medinstruct.tasks.steering import GIVE_UP_AFTER, Coverage

TEXTS = paths.load("task_prompts")
Messages = list[dict[str, str]]
LEAST_NOVEL = 0.02  # of the tasks asked for: the loop ends after three rounds below
STAGES = (  # stage, its output, its losses, the field with the reason
    ("asked → parsed", "raw_tasks", "rejects", "reason"),
    ("parsed → new and clean", "tasks", "dropped", "rule"),
    ("new and clean → answered", "dataset", "unfinished", "finish_reason"),
)


class Generated(BaseModel):
    """Tasks, rejects, rounds (counts, filled cells), topics and languages not delivered."""

    tasks: list[Task] = []
    rejects: list[Reject] = []
    rounds: list[dict[str, float]] = []
    given_up: list[str] = []


async def generate(client: Client, seeds: list[Task], **settings: Any) -> Generated:
    """Ask the teacher for new tasks, in rounds if steered.

    `settings` are those of `first_requests`. `steer` none is the published method: random seeds
    and one round. `steer` coverage asks for the labels that are rare among the novel tasks so far
    and stops when all cells are filled or three rounds in a row gain almost nothing.
    """
    planner, result = _Planner(seeds, **settings), Generated()
    while planner.asked < planner.requests:
        requests, origins = zip(*planner.next_round(), strict=True)
        replies = await client.ask_all(requests, label=f"tasks, round {len(result.rounds) + 1}")
        parsed = _add_tasks(result, replies, origins)
        asked = len(requests) * planner.tasks_per_request
        counts = {"requests": len(requests), "asked": asked, "parsed": len(parsed)}
        result.rounds.append(counts | planner.add(parsed))
        poor = [r["novel"] < LEAST_NOVEL * r["asked"] for r in result.rounds[-3:]]
        if result.rounds[-1]["filled"] >= 1 or poor == [True] * 3:
            break
    if not result.tasks:
        got = "; ".join(dict.fromkeys(reject.reason for reject in result.rejects))[:300]
        do = "Name another teacher, or look at what it wrote: its replies are in the cache."
        what = f"The teacher wrote no usable task in {len(result.rounds)} round(s)."
        raise UserError(what, got=got or "no reply", do=do)
    result.given_up = planner.given_up
    return result


def first_requests(seeds: list[Task], **settings: Any) -> list[Request]:
    """Return the requests of the first round of `generate`, which a pilot sends at no extra cost.

    `settings`: `requests` (at most), `steer`, `seeds_per_request`, `tasks_per_request`, `form`
    (blocks or json), `focus` (see `load_focus`), `languages` (a mix such as "en 0.7, ko 0.3"),
    `seed`, the `sampling` parameters; and for the novelty of tasks `novelty_limit` and
    `novelty_fields`, as in `filtering`.
    """
    return [request for request, _ in _Planner(seeds, **settings).next_round()]


@dataclass
class _Planner:
    """Plans the next requests from the random state, the coverage and the novel tasks so far."""

    seeds: list[Task]
    requests: int
    steer: str = "none"
    seeds_per_request: int = 3
    tasks_per_request: int = 9
    form: str = "blocks"
    focus: Sequence[Mapping[str, Any]] = ()
    seed: int = 42
    sampling: Mapping[str, Any] = field(default_factory=dict)
    novelty_limit: float = 0.7
    novelty_fields: str = "instruction"
    languages: str = "en"

    def __post_init__(self) -> None:
        most, size, is_steered = len(self.seeds), self.seeds_per_request, self.steer == "coverage"
        check_choice("steer", self.steer, ("none", "coverage"))
        check_choice("output_format", self.form, TEXTS["forms"])
        checks = {
            "requests": (self.requests, self.requests > 0, "at least 1"),
            "focus": (self.steer, is_steered or not self.focus, "empty unless steer is coverage"),
            "seeds_per_request": (size, size <= most, f"at most {most}, the number of seeds"),
        }
        for name, (value, is_right, valid) in checks.items():
            if not is_right:
                raise UserError(f"`{name}` must be {valid}.", got=value, do=f"Change `{name}`.")
        total = self.requests * self.tasks_per_request
        self.coverage = Coverage(total, focus=self.focus) if is_steered else None
        self.mix = languages.shares(self.languages)
        self._is_english = [*self.mix] == ["en"]
        spoken = () if self._is_english else self.seeds
        self._spoken = [languages.detect(f"{task.instruction} {task.input}") for task in spoken]
        settings = {"tokenizer": "rouge" if self._is_english else "unicode"}
        texts = compared_texts(self.seeds, self.novelty_fields)
        self._pool = Pool(texts, limit=self.novelty_limit, **settings)
        self.asked, self._chance = 0, random.Random(self.seed)
        self._novel, self._planned, self._requests = Counter(), Counter(), Counter()

    @property
    def given_up(self) -> list[str]:
        """Return the topics and languages that the teacher does not deliver."""
        asked = [code for code in self.mix if self._requests[code] >= GIVE_UP_AFTER]
        never = [languages.NAMES[code] for code in asked if not self._novel[code]]
        return [*self.coverage.given_up, *never] if self.coverage else []

    def next_round(self) -> list[tuple[Request, tuple[tuple[str, ...], str]]]:
        """Return the requests of the next round, each with the ids of its examples, language."""
        self._planned = self._novel.copy()
        steered = max(4, min(self.requests // 12 + 1, 200))
        size = steered if self.coverage else self.requests
        start, self.asked = self.asked, min(self.asked + size, self.requests)
        return [self._request(n) for n in range(start, self.asked)]

    def add(self, tasks: list[Task]) -> dict[str, float]:
        """Add the novel tasks of a round; return their number and the share of filled cells."""
        is_novel = self._pool.add_novel(compared_texts(tasks, self.novelty_fields))
        self._novel.update(task.language for task in compress(tasks, is_novel))
        if self.coverage:
            self.coverage.add(compress(tasks, is_novel))
        return {"novel": sum(is_novel), "filled": self.coverage.filled if self.coverage else 0.0}

    def _language(self) -> str:
        """Return the language of a request: by share, if steered where most are missing."""
        if self._is_english:
            return ""
        if not self.coverage:
            return self._chance.choices([*self.mix], [*self.mix.values()])[0]
        codes = [code for code in self.mix if languages.NAMES[code] not in self.given_up]
        total = self._planned.total() + self.tasks_per_request
        gaps = {code: self.mix[code] * total - self._planned[code] for code in codes or self.mix}
        code = max(gaps, key=gaps.get)
        self._planned[code] += self.tasks_per_request
        self._requests[code] += 1
        return code

    def _request(self, number: int) -> tuple[Request, tuple[tuple[str, ...], str]]:
        new, language = self.tasks_per_request, self._language()
        cells = self.coverage.plan(new, self._chance) if self.coverage else []
        own = list(compress(self.seeds, (code == language for code in self._spoken)))
        seeds = own if len(own) >= self.seeds_per_request else self.seeds
        examples = self._chance.sample(seeds, self.seeds_per_request)
        form = {"form": self.form, "language": language}
        messages = task_prompt(examples, new=new, cells=cells, **form)
        schema = {"response_format": TEXTS["schema"]} if self.form == "json" else {}
        request = Request(messages=messages, parameters={**self.sampling, **schema}, sample=number)
        return request, (tuple(task.id for task in examples), language)


def response_requests(tasks: Iterable[Task], **parameters: Any) -> list[Request]:
    """Return a request for a response to each task."""
    return [Request(messages=response_prompt(task), parameters=parameters) for task in tasks]


def responses_from(
    tasks: Iterable[Task], replies: Iterable[Reply]
) -> tuple[list[Example], list[Response]]:
    """Return examples and, separately, responses that are incomplete or in another language."""
    examples, unfinished = [], []
    for task, reply in zip(tasks, replies, strict=True):
        origin = _origin(reply, task.id)
        if reason := reply.incomplete_reason or languages.drifted(task.language, reply.text):
            fields = {"task": task.id, "text": reply.text, "finish_reason": reason}
            unfinished.append(Response(**fields, error=reply.error, provenance=origin))
        else:
            fields = task.model_dump(exclude={"id", "provenance"}) | {"task": task.id}
            fields |= {"request": task.provenance.request}
            examples.append(Example(**fields, output=reply.text, provenance=origin))
    return examples, unfinished


def _add_tasks(result: Generated, replies: list[Reply], origins: list[tuple]) -> list[Task]:
    """Add tasks and rejects (repeated ones, other languages); return the new tasks."""
    known, old = {task.id for task in result.tasks}, len(result.tasks)
    for reply, (examples, language) in zip(replies, origins, strict=True):
        origin = _origin(reply, *examples)
        parsed, rejects = parse_tasks(reply.text, reply.finish_reason, provenance=origin)
        if reply.error:
            rejects = [Reject(raw=reply.error, reason=reply.finish_reason, provenance=origin)]
        result.rejects += rejects
        for task in parsed:
            reason = "written before, word for word" if task.id in known else ""
            if reason := reason or languages.drifted(language, f"{task.instruction} {task.input}"):
                fields = {"raw": task.instruction, "reason": reason}
                result.rejects.append(Reject(**fields, provenance=origin))
            else:
                known.add(task.id)
                result.tasks.append(task.model_copy(update={"language": language}))
    return result.tasks[old:]


def _origin(reply: Reply, *parents: str) -> Provenance:
    return Provenance(source="teacher", model=reply.model, request=reply.key, parents=parents)


def task_prompt(
    examples: list[Task], *, new: int, cells=(), form="blocks", language=""
) -> Messages:
    """Return the messages that ask for `new` tasks after numbered examples.

    `cells` are the labels wanted, one mapping a task (type, topic, view, difficulty, style; any
    may be missing). `form` is blocks or json, `language` an ISO code, "" for English.
    """
    shown = [vars(task) | {"input": task.input or "<noinput>"} for task in examples]
    listed = "".join(f"### {n}.\n{_block(fields)}" for n, fields in enumerate(shown, 1))
    first = len(examples) + 1
    end = f"### {first}.\n" if form == "blocks" else f"Continue the list from number {first}."
    labels = "".join(f"### {n}.\n{_block(cell)}" for n, cell in enumerate(cells, first))
    order = TEXTS["order"].format(labels=labels) if labels else ""
    settings = {"form": languages.spoken(TEXTS["forms"][form], language, "tasks"), "order": order}
    rules = TEXTS["rules"].format(new=new, total=len(examples) + new, **settings)
    return _messages(TEXTS["writer"], rules + listed + end)


def response_prompt(task: Task) -> Messages:
    """Return the messages that ask for a response to a task."""
    text = f"Type: {task.type}\nView: {task.view}\nInstruction: {task.instruction}"
    text += f"\nInput:\n{task.input}" if task.input else ""
    return _messages(languages.spoken(TEXTS["answerer"], task.language, "responses"), text)


def _messages(system: str, user: str) -> Messages:
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def _block(fields: Mapping[str, object]) -> str:
    """Return the labels and texts that have a value, a line each."""
    names = [name for name in (*VALUES, "instruction", "input") if fields.get(name)]
    return "".join(f"{name.capitalize()}: {fields[name]}\n" for name in names)


def load_ledger(folder: str | Path, *, asked: int, stages: int = 3) -> pd.DataFrame:
    """Load the yield of each stage: `in`, `out`, `lost` and its `reasons` with counts.

    `asked` is the number of tasks requested. Only the first `stages` are read, since later files
    may be from an earlier run; a stage without files is left out. A reply with more or fewer
    pieces than asked for counts as "not delivered" (negative if more).
    """
    rows, remaining = [], asked
    for stage, *names, reason in STAGES[:stages]:
        output, lost_file = (Path(folder) / f"{name}.jsonl" for name in names)
        if rows and not output.exists():
            break
        kept, losses = (records.rows(p) if p.exists() else [] for p in (output, lost_file))
        out, reasons = len(kept), Counter(row.get(reason) for _, row in losses)
        if not rows:
            reasons["not delivered"] = asked - out - len(losses)
        reasons = {name: count for name, count in reasons.most_common() if count}
        lost = sum(reasons.values())
        if remaining - out != lost:
            do = "Run the notebooks of this stage again; their files are from different runs."
            got = f"{remaining} in, {out} out, {lost} lost"
            raise UserError(f"The ledger does not add up at {stage}.", got=got, do=do)
        rows.append({"stage": stage, "in": remaining, "out": out, "lost": lost, "reasons": reasons})
        remaining = out
    return pd.DataFrame(rows).set_index("stage")
