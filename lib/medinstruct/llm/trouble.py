"""What to do about an error: try again, leave a parameter out, or stop and say what to do."""

import random
import re
from typing import Any

import openai

from medinstruct.errors import UserError

WORTH_RETRYING = (
    openai.RateLimitError,
    openai.InternalServerError,
    openai.APITimeoutError,
    openai.APIConnectionError,
)
# What stands in for a parameter that a newer model no longer takes.
INSTEAD = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
UNSUPPORTED = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|unexpected|not permitted|not allowed|deprecated",
    re.IGNORECASE,
)
DO = {
    401: "The key in {key_env} was refused: set a valid one.",
    403: "The key in {key_env} may not use this model.",
    404: "Check the model name `{model}` and the address.",
    400: "The server refuses this request: check the model and the decoding parameters.",
    422: "The server refuses this request: check the model and the decoding parameters.",
    429: "The limit or quota is used up: wait, lower `concurrency`, or raise the quota; every answer so far is kept.",
    None: "Check the address, the network, and that the server is running; every answer so far is kept.",
}


def is_passing(error: openai.OpenAIError) -> bool:
    """Whether another try can help; a quota that is used up does not come back by waiting."""
    return (
        isinstance(error, WORTH_RETRYING) and getattr(error, "code", None) != "insufficient_quota"
    )


def pause(error: openai.OpenAIError, attempt: int, *, longest: float = 60.0) -> tuple[float, float]:
    """Seconds until the next try (full jitter), and seconds for which the server asks everybody to wait."""
    after = _retry_after(error)
    return after + random.uniform(0, min(longest, 0.25 * 2**attempt)), after


def rejected_parameter(error: openai.OpenAIError, sent: dict[str, Any]) -> str | None:
    """The parameter that a 400 answer does not accept, if it names one that was sent."""
    if getattr(error, "status_code", None) not in (400, 422) or not UNSUPPORTED.search(str(error)):
        return None
    named = getattr(error, "param", None)
    name = str(named).split(".")[0] if named else None
    if name in sent:
        return name
    return next(
        (
            key
            for key in sorted(sent, key=len, reverse=True)
            if re.search(rf"\b{re.escape(key)}\b", str(error))
        ),
        None,
    )


def adapted(parameters: dict[str, Any], refused: set[str]) -> dict[str, Any]:
    """The parameters without those that were refused; a limit of tokens goes by its other name."""
    found = {}
    for name, value in parameters.items():
        other = INSTEAD.get(name)
        if name not in refused:
            found[name] = value
        elif other and other not in refused:
            found[other] = value
    return found


def problem(
    error: openai.OpenAIError, *, where: str, model: str, key: str, key_env: str
) -> UserError:
    """One message for an error that ends the run; the key never stands in it."""
    message = " ".join(str(error).replace(key, "[key]").split())[:400]
    status = getattr(error, "status_code", None)
    do = DO.get(status, "Try again later; every answer so far is kept.").format(
        key_env=key_env, model=model
    )
    return UserError(
        f"{where or 'The OpenAI API'} gave no answer for `{model}`.", got=message, do=do
    )


def _retry_after(error: openai.OpenAIError) -> float:
    headers = getattr(getattr(error, "response", None), "headers", {})
    try:
        return min(float(headers.get("retry-after-ms", "")) / 1000, 120.0)
    except ValueError:
        pass
    try:
        return max(0.0, min(float(headers.get("retry-after", "")), 120.0))
    except ValueError:
        return 0.0
