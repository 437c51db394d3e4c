"""Writing tasks and answering them: prompts, parsing, generation."""

from medinstruct.tasks.generation import response_requests, responses_from, task_requests, tasks_from
from medinstruct.tasks.parsing import parse_tasks
from medinstruct.tasks.prompts import response_prompt, task_prompt

__all__ = [
    "parse_tasks", "response_prompt", "response_requests", "responses_from", "task_prompt", "task_requests", "tasks_from",
]  # fmt: skip
