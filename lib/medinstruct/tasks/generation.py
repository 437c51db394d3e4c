"""From seeds to requests and from replies to records: the published method, and steering toward what is missing."""

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from medinstruct.errors import UserError
from medinstruct.filtering import Pool, compared_texts
from medinstruct.llm import Client, Reply, Request
from medinstruct.records import Example, Provenance, Reject, Response, Task
from medinstruct.tasks.parsing import parse_tasks
from medinstruct.tasks.prompts import SCHEMA, response_prompt, task_prompt
from medinstruct.tasks.steering import Coverage

Planned = tuple[Request, tuple[str, ...]]
NOTHING_GAINED = (
    0.02  # of the tasks asked for: three rounds in a row that add fewer new ones end the loop
)


class Round(BaseModel):
    """One round of the loop: what was asked for, what came whole, what was new, and the share of cells filled after it."""

    requests: int
    asked: int
    parsed: int
    novel: int
    filled: float


class Generated(BaseModel):
    """All that the teacher wrote: tasks, rejects, the rounds, and the topics that it does not deliver."""

    tasks: list[Task] = []
    rejects: list[Reject] = []
    rounds: list[Round] = []
    given_up: list[str] = []


async def generate(
    client: Client,
    seeds: list[Task],
    *,
    requests: int,
    steer: str = "none",
    seeds_per_request: int = 3,
    tasks_per_request: int = 9,
    machine_examples: int = 0,
    form: str = "blocks",
    novelty_limit: float = 0.7,
    novelty_fields: str = "instruction",
    tokenizer: str = "rouge",
    focus: Sequence[Mapping[str, Any]] = (),
    seed: int = 42,
    **parameters: Any,
) -> Generated:
    """At most `requests` requests for new tasks.

    `steer` "none" with `machine_examples` 0 is the published method: random seeds, no look at what came before. With
    `machine_examples` so many of the examples in a prompt are tasks of earlier rounds (self-instruct). `steer` "coverage" asks in
    rounds for the labels of which there are too few among the tasks that were new, and stops when all cells are filled or three
    rounds in a row gained next to nothing. `focus` holds cells that are to get more (see `load_focus`).
    What is new is decided as in `filtering`, by `novelty_limit`, `novelty_fields` and `tokenizer`.
    """
    planner = _Planner(
        seeds,
        requests,
        steer,
        seeds_per_request,
        tasks_per_request,
        machine_examples,
        form,
        seed,
        parameters,
        focus,
    )
    pool, made = (
        Pool(compared_texts(seeds, novelty_fields), limit=novelty_limit, tokenizer=tokenizer),
        Generated(),
    )
    while planner.asked < requests and not _is_done(made.rounds, planner.coverage):
        planned = planner.next_round()
        replies = await client.ask_all(
            [request for request, _ in planned], label=f"tasks, round {len(made.rounds) + 1}"
        )
        found, rejects = tasks_from(
            replies, [parents for _, parents in planned], known={task.id for task in made.tasks}
        )
        is_new = pool.add_novel(compared_texts(found, novelty_fields))
        novel = [task for task, new in zip(found, is_new, strict=True) if new]
        planner.learn(novel)
        made.tasks.extend(found)
        made.rejects.extend(rejects)
        asked = len(planned) * tasks_per_request
        made.rounds.append(
            Round(
                requests=len(planned),
                asked=asked,
                parsed=len(found),
                novel=len(novel),
                filled=planner.filled,
            )
        )
    made.given_up.extend(map(str, planner.coverage.given_up if planner.coverage else []))
    return made


def first_requests(seeds: list[Task], *, requests: int, **settings: Any) -> list[Request]:
    """The requests of the first round of `generate` with the same settings: what a pilot may ask without paying twice."""
    names = {
        "steer": "none",
        "seeds_per_request": 3,
        "tasks_per_request": 9,
        "machine_examples": 0,
        "form": "blocks",
        "focus": (),
        "seed": 42,
    }
    known = {name: settings.pop(name, default) for name, default in names.items()}
    for name in ("novelty_limit", "novelty_fields", "tokenizer"):
        settings.pop(name, None)
    return [
        request
        for request, _ in _Planner(seeds, requests, **known, parameters=settings).next_round()
    ]


class _Planner:
    """Which requests come next: the random state, the coverage and the tasks so far, in one place."""

    def __init__(
        self,
        seeds: list[Task],
        requests: int,
        steer: str,
        seeds_per_request: int,
        tasks_per_request: int,
        machine_examples: int,
        form: str,
        seed: int,
        parameters: dict[str, Any],
        focus: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        _check(seeds, seeds_per_request, machine_examples, steer)
        if focus and steer != "coverage":
            raise UserError(
                "`focus` needs steer: coverage.", got=steer, do="Leave `focus` empty, or steer."
            )
        if form not in ("blocks", "json"):
            raise UserError(
                "`output_format` must be blocks or json.",
                got=form,
                do="json needs a server that keeps to a schema.",
            )
        self.seeds, self.requests, self.form = seeds, requests, form
        self.examples, self.new, self.machine = (
            seeds_per_request,
            tasks_per_request,
            machine_examples,
        )
        self.parameters = {**parameters, **({"response_format": SCHEMA} if form == "json" else {})}
        self.coverage = (
            Coverage(requests * tasks_per_request, focus=focus) if steer == "coverage" else None
        )
        self.size = (
            max(4, min(requests // 12 + 1, 200)) if self.coverage or machine_examples else requests
        )
        self.chance, self.kept, self.asked = random.Random(seed), [], 0

    def next_round(self) -> list[Planned]:
        """The requests of the next round with the ids of the examples in each."""
        count = min(self.size, self.requests - self.asked)
        self.asked += count
        return [self._one(n) for n in range(self.asked - count, self.asked)]

    def learn(self, novel: list[Task]) -> None:
        """Take note of the tasks that were new."""
        self.kept += novel
        if self.coverage:
            self.coverage.add(novel)

    @property
    def filled(self) -> float:
        """The share of cells that have reached their target; 0 where nothing is steered."""
        return self.coverage.filled if self.coverage else 0.0

    def _one(self, number: int) -> Planned:
        cells = self.coverage.plan(self.new, self.chance) if self.coverage else []
        examples = _examples(self.seeds, self.kept, self.examples, self.machine, self.chance)
        messages = task_prompt(examples, new=self.new, cells=cells, form=self.form)
        return Request(messages=messages, parameters=self.parameters, sample=number), tuple(
            task.id for task in examples
        )


def tasks_from(
    replies: Iterable[Reply], parents: Iterable[tuple[str, ...]], *, known: Iterable[str] = ()
) -> tuple[list[Task], list[Reject]]:
    """All tasks and all rejects of some replies, each with its provenance; a task written before word for word is a reject."""
    tasks: dict[str, Task] = {}
    before = set(known)
    rejects: list[Reject] = []
    for reply, seeds in zip(replies, parents, strict=True):
        origin = Provenance(source="teacher", model=reply.model, request=reply.key, parents=seeds)
        found, refused = parse_tasks(
            reply.text, finish_reason=reply.finish_reason, provenance=origin
        )
        rejects += refused
        for task in found:
            if task.id in tasks or task.id in before:
                rejects.append(
                    Reject(
                        raw=task.instruction,
                        reason="written before, word for word",
                        provenance=origin,
                    )
                )
            else:
                tasks[task.id] = task
    return list(tasks.values()), rejects


def response_requests(
    tasks: Iterable[Task], *, samples: int = 1, **parameters: Any
) -> list[Request]:
    """One request a task, or `samples` of them that differ by their sample number."""
    return [
        Request(messages=response_prompt(task), parameters=parameters, sample=n)
        for task in tasks
        for n in range(samples)
    ]


def best_of(replies: list[Reply], samples: int) -> list[Reply]:
    """Of each task's samples the best by a stated rule: complete before incomplete, then the one of median length, then the first."""
    if samples == 1:
        return replies
    groups = [replies[n : n + samples] for n in range(0, len(replies), samples)]
    return [_best(group) for group in groups]


def responses_from(
    tasks: Iterable[Task], replies: Iterable[Reply]
) -> tuple[list[Example], list[Response]]:
    """The finished examples, and apart from them the responses that were cut, filtered, refused or empty: nobody should train on them."""
    examples, unfinished = [], []
    for task, reply in zip(tasks, replies, strict=True):
        origin = Provenance(
            source="teacher", model=reply.model, request=reply.key, parents=(task.id,)
        )
        if reply.incomplete_reason:
            unfinished.append(
                Response(
                    task=task.id,
                    text=reply.text,
                    finish_reason=reply.incomplete_reason,
                    provenance=origin,
                )
            )
        else:
            fields = task.model_dump(exclude={"id", "provenance"})
            examples.append(Example(**fields, task=task.id, output=reply.text, provenance=origin))
    return examples, unfinished


def _check(seeds: list[Task], seeds_per_request: int, machine_examples: int, steer: str) -> None:
    if steer not in ("none", "coverage"):
        raise UserError(
            "`steer` must be none or coverage.", got=steer, do="none is the published method."
        )
    if len(seeds) < seeds_per_request:
        do = "Give more seeds, or lower `seeds_per_request`."
        raise UserError(
            "There are too few seeds for one request.",
            got=f"{len(seeds)} for {seeds_per_request}",
            do=do,
        )
    if not 0 <= machine_examples < seeds_per_request:
        raise UserError(
            "`machine_examples` must be below `seeds_per_request`.",
            got=machine_examples,
            do="self-instruct takes 2 of 8.",
        )


def _examples(
    seeds: list[Task], kept: list[Task], count: int, machine: int, chance: random.Random
) -> list[Task]:
    """Random seeds, some of them replaced by tasks that the machine has written, once there are any."""
    own = min(machine, len(kept))
    return [*chance.sample(seeds, count - own), *chance.sample(kept, own)]


def _is_done(rounds: list[Round], coverage: Coverage | None) -> bool:
    last = rounds[-3:]
    poor = len(last) == 3 and all(one.novel < NOTHING_GAINED * one.asked for one in last)
    return bool(rounds) and (poor or (coverage is not None and coverage.filled >= 1.0))


def _best(group: list[Reply]) -> Reply:
    whole = [reply for reply in group if not reply.incomplete_reason] or group
    middle = sorted(len(reply.text) for reply in whole)[len(whole) // 2]
    return min(whole, key=lambda reply: abs(len(reply.text) - middle))
