"""Every way to ask a model: an OpenAI-compatible server, the offline stand-in, or a local transformers model."""

from medinstruct.llm.client import Client, Reply, Request
from medinstruct.llm.local import LocalModel
from medinstruct.offline import NOTICE as STAND_IN
from medinstruct.offline import prose as stand_in_prose


def source(url: str, model: str) -> str:
    """The words with which a page says who wrote what it shows."""
    return STAND_IN if url.partition("?")[0] == "offline" else f"Written by {model} at {url}."


__all__ = ["STAND_IN", "Client", "LocalModel", "Reply", "Request", "source", "stand_in_prose"]
