"""Generation: requests from seeds, tasks and examples from replies; published or steered."""

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from medinstruct.errors import UserError
from medinstruct.filtering import Pool, compared_texts
from medinstruct.llm import Client, Reply, Request
from medinstruct.records import Example, Provenance, Reject, Response, Task
from medinstruct.tasks.parser import parse_tasks
from medinstruct.tasks.prompts import TEXTS, response_prompt, task_prompt
from medinstruct.tasks.steering import Coverage

LEAST_NOVEL = 0.02  # of the tasks asked for: the loop ends after three rounds below


class Generated(BaseModel):
    """Tasks, rejects, rounds, and the topics that the teacher does not deliver.

    A round counts requests, tasks asked for, parsed and novel, and has the share of filled cells.
    """

    tasks: list[Task] = []
    rejects: list[Reject] = []
    rounds: list[dict[str, float]] = []
    given_up: list[str] = []


async def generate(
    client: Client,
    seeds: list[Task],
    *,
    novelty_limit: float = 0.7,
    novelty_fields: str = "instruction",
    tokenizer: str = "rouge",
    **settings: Any,
) -> Generated:
    """Ask the teacher for new tasks, in rounds if steered.

    `settings` are those of `first_requests`. `steer` none is the published method: random seeds
    and one round. `steer` coverage asks for the labels that are rare among the novel tasks so far
    and stops when all cells are filled or three rounds in a row gain almost nothing.
    """
    planner, result = _Planner(seeds, **settings), Generated()
    texts = compared_texts(seeds, novelty_fields)
    pool = Pool(texts, limit=novelty_limit, tokenizer=tokenizer)
    while planner.left and not _is_done(result.rounds):
        requests, parents = planner.next_round()
        replies = await client.ask_all(requests, label=f"tasks, round {len(result.rounds) + 1}")
        parsed = _add_tasks(result, replies, parents)
        is_novel = pool.add_novel(compared_texts(parsed, novelty_fields))
        novel = [task for task, new in zip(parsed, is_novel, strict=True) if new]
        counts = {"requests": len(requests), "asked": len(requests) * planner.new}
        counts |= {"parsed": len(parsed), "novel": len(novel), "filled": planner.add(novel)}
        result.rounds.append(counts)
    result.given_up = planner.coverage.given_up if planner.coverage else []
    return result


def first_requests(seeds: list[Task], **settings: Any) -> list[Request]:
    """Return the requests of the first round of `generate`, which a pilot may ask without waste.

    `settings`: `requests` (at most), `steer`, `seeds_per_request`, `tasks_per_request`,
    `machine_examples` (examples in a prompt that the teacher wrote, as in self-instruct), `form`
    (blocks or json), `focus` (see `load_focus`), `seed`, and sampling parameters.
    """
    return _Planner(seeds, **settings).next_round()[0]


class _Planner:
    """Plans the next requests from the random state, the coverage and the novel tasks so far."""

    def __init__(
        self,
        seeds: list[Task],
        *,
        requests: int,
        steer: str = "none",
        seeds_per_request: int = 3,
        tasks_per_request: int = 9,
        machine_examples: int = 0,
        form: str = "blocks",
        focus: Sequence[Mapping[str, Any]] = (),
        seed: int = 42,
        **parameters: Any,
    ) -> None:
        machine, is_steered = machine_examples, steer == "coverage"
        _require(steer in ("none", "coverage"), "steer", "none (published) or coverage", steer)
        _require(form in ("blocks", "json"), "output_format", "blocks or json", form)
        _require(is_steered or not focus, "focus", "empty unless steer is coverage", steer)
        limit = f"at most {len(seeds)}, the number of seeds"
        _require(seeds_per_request <= len(seeds), "seeds_per_request", limit, seeds_per_request)
        limit = f"0 to {seeds_per_request - 1}"
        _require(0 <= machine < seeds_per_request, "machine_examples", limit, machine)
        self.left, self.new, self._asked = requests, tasks_per_request, 0
        self.coverage = Coverage(requests * self.new, focus=focus) if is_steered else None
        self._size = max(4, min(requests // 12 + 1, 200)) if is_steered or machine else requests
        self._seeds, self._novel, self._form = seeds, [], form
        self._examples, self._machine_examples = seeds_per_request, machine
        schema = {"response_format": TEXTS["schema"]} if form == "json" else {}
        self._parameters = parameters | schema
        self._chance = random.Random(seed)

    def next_round(self) -> tuple[list[Request], list[tuple[str, ...]]]:
        """Return the requests of the next round and the ids of the examples in each."""
        count = min(self._size, self.left)
        self.left, self._asked = self.left - count, self._asked + count
        pairs = [self._request(n) for n in range(self._asked - count, self._asked)]
        return [request for request, _ in pairs], [parents for _, parents in pairs]

    def add(self, novel: list[Task]) -> float:
        """Add the novel tasks of a round; return the share of cells that are filled."""
        self._novel += novel
        if self.coverage:
            self.coverage.add(novel)
        return self.coverage.filled if self.coverage else 0.0

    def _request(self, number: int) -> tuple[Request, tuple[str, ...]]:
        cells = self.coverage.plan(self.new, self._chance) if self.coverage else []
        machine = min(self._machine_examples, len(self._novel))
        examples = self._chance.sample(self._seeds, self._examples - machine)
        examples += self._chance.sample(self._novel, machine)
        messages = task_prompt(examples, new=self.new, cells=cells, form=self._form)
        request = Request(messages=messages, parameters=self._parameters, sample=number)
        return request, tuple(task.id for task in examples)


def response_requests(tasks: Iterable[Task], *, samples=1, **parameters: Any) -> list[Request]:
    """Return `samples` requests for a response to each task, which differ in sample number."""
    pairs = ((response_prompt(task), n) for task in tasks for n in range(samples))
    return [Request(messages=prompt, parameters=parameters, sample=n) for prompt, n in pairs]


def best_of(replies: list[Reply], samples: int) -> list[Reply]:
    """Return the best of each task's samples: complete, then of median length, then the first."""
    best = []
    for start in range(0, len(replies), samples):
        group = replies[start : start + samples]
        complete = [reply for reply in group if not reply.incomplete_reason] or group
        median = sorted(len(reply.text) for reply in complete)[len(complete) // 2]
        best.append(min(complete, key=lambda reply: abs(len(reply.text) - median)))
    return best


def responses_from(
    tasks: Iterable[Task], replies: Iterable[Reply]
) -> tuple[list[Example], list[Response]]:
    """Return finished examples and, apart, responses that are cut, filtered, refused or empty."""
    examples, unfinished = [], []
    for task, reply in zip(tasks, replies, strict=True):
        origin = _origin(reply, task.id)
        if reason := reply.incomplete_reason:
            fields = {"task": task.id, "text": reply.text, "finish_reason": reason}
            unfinished.append(Response(**fields, provenance=origin))
        else:
            fields = task.model_dump(exclude={"id", "provenance"}) | {"task": task.id}
            examples.append(Example(**fields, output=reply.text, provenance=origin))
    return examples, unfinished


def _add_tasks(result: Generated, replies: list[Reply], parents: list[tuple]) -> list[Task]:
    """Add the tasks and rejects of replies, a repeated task as a reject; return the new tasks."""
    known, old = {task.id for task in result.tasks}, len(result.tasks)
    for reply, examples in zip(replies, parents, strict=True):
        origin = _origin(reply, *examples)
        parsed, rejects = parse_tasks(reply.text, reply.finish_reason, provenance=origin)
        result.rejects += rejects
        for task in parsed:
            if task.id not in known:
                known.add(task.id)
                result.tasks.append(task)
                continue
            fields = {"raw": task.instruction, "reason": "written before, word for word"}
            result.rejects.append(Reject(**fields, provenance=origin))
    return result.tasks[old:]


def _origin(reply: Reply, *parents: str) -> Provenance:
    names = {"source": "teacher", "model": reply.model, "request": reply.key}
    return Provenance(**names, parents=parents)


def _is_done(rounds: list[dict[str, float]]) -> bool:
    is_poor = [counts["novel"] < LEAST_NOVEL * counts["asked"] for counts in rounds[-3:]]
    return bool(rounds) and (rounds[-1]["filled"] >= 1 or is_poor == [True] * 3)


def _require(is_valid: bool, name: str, valid: str, value: object) -> None:
    if not is_valid:
        raise UserError(f"`{name}` must be {valid}.", got=value, do=f"Change `{name}`.")
