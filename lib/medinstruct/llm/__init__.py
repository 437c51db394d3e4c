"""Every way to ask a model: an OpenAI-compatible server, the offline stand-in, or a local transformers model."""

from medinstruct.llm.cache import Cache
from medinstruct.llm.client import Client
from medinstruct.llm.forecast import Forecast, forecast
from medinstruct.llm.local import LocalModel, fingerprint
from medinstruct.llm.messages import STOPPED, Reply, Request, Stream, is_refusal
from medinstruct.llm.prices import Price, price
from medinstruct.offline import NOTICE as STAND_IN
from medinstruct.offline import prose as stand_in_prose


def source(url: str, model: str) -> str:
    """The words with which a page says who wrote what it shows."""
    return (
        STAND_IN
        if url.partition("?")[0] == "offline"
        else f"Written by {model} at {url or 'the OpenAI API'}."
    )


__all__ = [
    "STAND_IN",
    "STOPPED",
    "Cache",
    "Client",
    "Forecast",
    "LocalModel",
    "Price",
    "Reply",
    "Request",
    "Stream",
    "fingerprint",
    "forecast",
    "is_refusal",
    "price",
    "source",
    "stand_in_prose",
]
