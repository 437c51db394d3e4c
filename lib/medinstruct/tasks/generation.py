"""From seeds to requests and from replies to records: the published method, three random seeds a request."""

import random
from collections.abc import Iterable
from typing import Any

from medinstruct.errors import Problem
from medinstruct.llm import Reply, Request
from medinstruct.records import Example, Provenance, Reject, Response, Task
from medinstruct.tasks.parsing import parse_tasks
from medinstruct.tasks.prompts import response_prompt, task_prompt


def task_requests(
    seeds: list[Task], *, count: int, seeds_per_request: int = 3, tasks_per_request: int = 9, seed: int = 42, **parameters: Any
) -> list[tuple[Request, tuple[str, ...]]]:
    """`count` requests with the ids of the seeds that stand in each; the same for the same `seed`."""
    if len(seeds) < seeds_per_request:
        do = "Give more seeds, or lower `seeds_per_request`."
        raise Problem("There are too few seeds for one request.", got=f"{len(seeds)} for {seeds_per_request}", do=do)
    chance = random.Random(seed)
    drawn = [chance.sample(seeds, seeds_per_request) for _ in range(count)]
    return [
        (
            Request(messages=task_prompt(examples, new=tasks_per_request), parameters=parameters, sample=n),
            tuple(task.id for task in examples),
        )
        for n, examples in enumerate(drawn)
    ]


def tasks_from(replies: Iterable[Reply], parents: Iterable[tuple[str, ...]]) -> tuple[list[Task], list[Reject]]:
    """All tasks and all rejects of some replies, each with its provenance; a task written twice word for word is a reject."""
    tasks: dict[str, Task] = {}
    rejects: list[Reject] = []
    for reply, seeds in zip(replies, parents, strict=True):
        origin = Provenance(source="teacher", model=reply.model, request=reply.key, parents=seeds)
        found, refused = parse_tasks(reply.text, finish_reason=reply.finish_reason, provenance=origin)
        rejects += refused
        for task in found:
            if task.id in tasks:
                rejects.append(Reject(raw=task.instruction, reason="written before, word for word", provenance=origin))
            tasks.setdefault(task.id, task)
    return list(tasks.values()), rejects


def response_requests(tasks: Iterable[Task], **parameters: Any) -> list[Request]:
    """One request a task."""
    return [Request(messages=response_prompt(task), parameters=parameters) for task in tasks]


def responses_from(tasks: Iterable[Task], replies: Iterable[Reply]) -> tuple[list[Example], list[Response]]:
    """The finished examples, and apart from them the responses that are empty or were cut, which nobody should train on."""
    examples, unfinished = [], []
    for task, reply in zip(tasks, replies, strict=True):
        origin = Provenance(source="teacher", model=reply.model, request=reply.key, parents=(task.id,))
        if reply.finish_reason == "stop" and reply.text.strip():
            fields = task.model_dump(exclude={"id", "provenance"})
            examples.append(Example(**fields, task=task.id, output=reply.text, provenance=origin))
        else:
            unfinished.append(Response(task=task.id, text=reply.text, finish_reason=reply.finish_reason, provenance=origin))
    return examples, unfinished
