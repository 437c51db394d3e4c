"""Tasks: prompts, parser, generation and steering, the ledger of what became of each task."""

from medinstruct.tasks.generation import (
    first_requests,
    generate,
    load_ledger,
    response_requests,
    responses_from,
    task_prompt,
)
from medinstruct.tasks.parser import parse_tasks
from medinstruct.tasks.steering import Coverage, load_focus
