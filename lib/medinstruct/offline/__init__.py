"""Offline teacher: a rule-based stand-in for a strong model, behind the OpenAI API.

It writes tasks, answers them and compares answers from a small hand-written knowledge file. Its
numbers show that the pipeline works, never that a model is good. `llm` finds it by an entry point.
"""

from medinstruct.models import STAND_IN as MODEL
from medinstruct.offline.transport import complete, error_body, http_client, respond
