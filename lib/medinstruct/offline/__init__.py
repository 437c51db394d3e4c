"""Offline teacher: a rule-based stand-in for a strong model, behind the OpenAI API.

It writes tasks, answers them and compares answers from a small hand-written knowledge file. Its
numbers show that the pipeline works, never that a model is good. `llm` finds it as the transport
named "offline".
"""

from medinstruct.offline import failure_modes, grader, knowledge, responder, templates, writer
from medinstruct.offline.templates import prose
from medinstruct.offline.transport import MODEL, complete, error_body, http_client, respond

__all__ = [
    "MODEL",
    "complete",
    "error_body",
    "failure_modes",
    "grader",
    "http_client",
    "knowledge",
    "prose",
    "respond",
    "responder",
    "templates",
    "writer",
]
