"""The offline teacher: a rule-based stand-in for a strong model, behind the OpenAI API and without a network.

It writes tasks, answers them and judges answers from a small hand-written knowledge file. Its numbers show that the
pipeline works, never that a model is good. `python -m medinstruct.offline --port 8000` serves it to any client.
"""

from medinstruct.offline.server import MODEL, http_client, respond
from medinstruct.offline.telling import prose

NOTICE = "Written by the offline stand-in, a rule-based program, not by a language model and not by a clinician."

__all__ = ["MODEL", "NOTICE", "http_client", "prose", "respond"]
