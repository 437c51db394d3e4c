"""Writing tasks and answering them: prompts, parsing, generation, steering, the ledger of what became of each."""

from medinstruct.tasks.generation import (
    Generated,
    Round,
    best_of,
    first_requests,
    generate,
    response_requests,
    responses_from,
    tasks_from,
)
from medinstruct.tasks.ledger import ledger, ledger_figure, ledger_table, trace
from medinstruct.tasks.parsing import parse_tasks
from medinstruct.tasks.prompts import response_prompt, task_prompt
from medinstruct.tasks.steering import Coverage, load_focus

__all__ = [
    "Coverage",
    "Generated",
    "Round",
    "best_of",
    "first_requests",
    "generate",
    "ledger",
    "ledger_figure",
    "ledger_table",
    "load_focus",
    "parse_tasks",
    "response_prompt",
    "response_requests",
    "responses_from",
    "task_prompt",
    "tasks_from",
    "trace",
]
