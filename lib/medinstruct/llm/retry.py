"""Retry: connection to a server, retries, refused parameters, error texts."""

import asyncio
import logging
import random
import re
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from importlib.metadata import entry_points
from typing import Any, NamedTuple

import httpx2

from medinstruct import models, network, paths
from medinstruct.errors import UserError
from medinstruct.llm import messages
from medinstruct.llm.messages import MARKS, TEXTS, NoAnswer, Request, without_system

RETRIES = 20
FIRST_RETRIES = 4  # until the server has answered once
BARE_RETRIES = 8  # if it responds without an answer of a model
MOST_FAILED = 5  # requests in a row that fail at every attempt before it counts as an outage
ACCOUNTS = {"organization": "OPENAI_ORG_ID", "project": "OPENAI_PROJECT_ID"}
REPLACEMENTS = {"max_tokens": "max_completion_tokens"}
PASSING = (408, 409, 424, 425, 429, 498, *range(500, 600))  # transient statuses
ENDING = (None, 401, 402, 403, 404, 405, 407, 410)  # errors of key, account, model or address
KEPT = {"model", "messages", "prompt", "stream", "service_tier"}  # never left out
LONGEST_WAIT = 3600.0  # seconds that a server may ask to wait; more ends a run
REFUSALS = paths.load("refusals")
PATTERNS, FLAGS = REFUSALS["patterns"], re.IGNORECASE | re.DOTALL | re.ASCII


def match(pattern: str, text: str) -> re.Match[str] | None:
    """Return the first match of a pattern of data/refusals.yaml in an error's text."""
    return re.search(pattern, text, FLAGS)


class Refused(UserError):
    """The refusal of one request: `reason` is content_filter, context or refused_by_server."""

    def __init__(self, what: str, reason: str, **more: Any) -> None:
        super().__init__(what, **more)
        self.reason = reason


class Fault(NamedTuple):
    """An error as read: the text to show, all of it, status and reason, and seconds to wait.

    Status and reason are those of `meaning`.
    """

    shown: str
    text: str
    status: int | None
    reason: str
    wait: float = 0.0

    @property
    def passes(self) -> bool:
        """Return whether the error is transient."""
        is_short = self.wait <= LONGEST_WAIT
        return is_short and not self.reason and self.status in (None, *PASSING)


def asked_wait(headers: Mapping[str, str]) -> float:
    """Return the seconds that a server asks to wait, also until a date; 0 if it names none."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        with suppress(ValueError):
            return max(0.0, float(headers.get(name, "")) / unit)
    with suppress(ValueError):
        return max(0.0, parsedate_to_datetime(headers.get(name, "")).timestamp() - time.time())
    return 0.0


def meaning(text: str, status: int | None) -> tuple[int | None, str]:
    """Return the status that an error means, and why one request is refused, "" if it is not.

    Servers report a wrong key or an unknown model under any status, a refusal even under 5xx.
    """
    status = next((n for n, means in PATTERNS["means"].items() if match(means, text)), status)
    reason = next((n for n, why in PATTERNS["reasons"].items() if match(why, text)), "")
    if status and status < 400:
        return 404, ""  # a redirection that leads nowhere
    if status in ENDING or status == 429:
        return status, reason if (status, reason) == (403, "content_filter") else ""
    other = "context" if status in (413, 414) else "refused_by_server"
    return status, reason or ("" if status in PASSING else other)


def unquoted(text: str, contents: Iterable[str]) -> str:
    """Return an error's text without what it quotes of a prompt: five words in a row, or all."""
    runs, parts, end = set(), [], 0
    for content in contents:
        text = text.replace(content, "[…]") if len(content) > 10 else text
        words = re.findall(r"\w+", content.lower())
        runs.update(zip(*(words[n:] for n in range(5)), strict=False))
    for place in re.finditer(r"\b(?=(\w+(?:\W+\w+){4}))", text):  # each five words
        if tuple(re.findall(r"\w+", place[1].lower())) in runs:
            parts.append(text[end : place.start()])  # empty within a longer quotation
            end = place.end(1)
    return "".join([*parts, text[end:]])


def refused_name(text: str, sent: Mapping[str, Any]) -> str:
    """Return the parameter that an error refuses: its `param`, or the first one named; or "".

    Spellings may differ (presencePenalty). An error about the value of a token limit does not
    refuse that parameter.
    """
    places = []
    for name in sent.keys() - KEPT:
        loose = re.sub("^(.*)_(?=penalty)", r"(\1_)?", re.escape(name)).replace("_", "[_ -]?")
        is_param = re.search(rf"""['"]param['"]: ?['"]{re.escape(name)}\b""", text)
        for place in re.finditer(rf"\b{loose}\b", text, FLAGS):
            near = text[max(0, place.start() - 120) : place.end() + 120]
            is_value = "tokens" not in name and (is_param or match(PATTERNS["value"], near))
            if is_value or match(PATTERNS["unsupported"], near):
                places.append((not is_param, place.start(), name))
    has_schema = "response_format" in sent and match(PATTERNS["schema"], text)
    return min(places)[-1] if places else "response_format" * bool(has_schema)


def room_left(text: str, room: int, first: int) -> int:
    """Return the token limit of a reply that an error states; 0 if it states none below `room`.

    If `room` is already below the `first` one, the server stated too much: return at most half.
    """
    stated = next(filter(None, (match(pattern, text) for pattern in PATTERNS["room"])), None)
    groups = stated.groupdict().items() if stated else ()
    number = {name: int(digits.replace(",", "")) for name, digits in groups if digits}
    left = min(number.values(), default=0)
    if "limit" in number:
        left = number["limit"] - number.get("input", number.get("asked", 0) - room)
    left = min(left, room // 2) if room < first else left
    return left if 0 < left < room else 0


class Connection:
    """One model at one address: its key, the parameters it accepts, retries, and its errors."""

    def __init__(self, entry: models.Model, *, chat: bool = True) -> None:
        self.url, self.model, self.extra, self.chat = entry.url, entry.model, entry.extra, chat
        self.transport, self.has_answered, self.failed = transport(self.url), False, 0
        self.refused: set[str] = set()  # parameters that the model does not take
        self.has_system, self.notes = True, set()
        forms = thinking_forms(entry) if chat and not self.transport else []
        self.form, self.forms = 0, [*forms, {}]
        about = {"include": {"thinking", "reasoning_effort"}, "exclude_defaults": True}
        self.identity = entry.extra | entry.model_dump(**about) | ({} if chat else {"chat": False})
        self.address, self.variable, self.way = entry.address, entry.key, ""
        if self.address not in (entry.url, models.OPENAI):
            self.identity |= {"base_url": self.address}
        self._key = "none-needed"
        if self.transport:
            return
        self.way = network.proxy(self.address)
        self._key = network.key(entry.key) or self._key
        if self._key == "none-needed" and not network.is_own(self.address):
            got = f"no {entry.key} for {network.public(self.address)}"
            do = "Export it in the shell that starts the run, outside the notebook."
            raise UserError(f"{entry.key} is not set.", got=got, do=do)

    def open(self, **options: Any) -> Any:
        """Return the SDK's client, an `AsyncOpenAI`, to be closed after use."""
        import openai  # here and below, since its import takes two seconds

        form = {name: network.key(variable) or None for name, variable in ACCOUNTS.items()}
        form |= {"max_retries": 0, "timeout": openai.Timeout(900, connect=60)} | options
        if self.transport:
            url, client = "http://offline.invalid/v1", self.transport.http_client(self.url)
        else:
            url = self.address
            client = network.client(openai.DefaultAsyncHttpxClient, url)
        return openai.AsyncOpenAI(api_key=self._key, base_url=url, http_client=client, **form)

    def body(self, request: Request, **more: Any) -> dict[str, Any]:
        """Return the body of a request, without refused parameters; samples differ by seed."""
        body = {"model": self.model, "prompt": request.text}
        if self.chat:
            turns = request.messages if self.has_system else without_system(request.messages)
            body = {"model": self.model, "messages": turns}
        given = request.parameters | more
        body |= {self._accepted(name): value for name, value in given.items()}
        if request.sample:
            body["seed"] = given.get("seed", 0) + request.sample
        body |= self.forms[self.form] | self.extra
        return {name: value for name, value in body.items() if name not in self.refused | {""}}

    async def send(self, api: Any, request: Request, *, least: int = 0, **more: Any) -> Any:
        """Return the answer or its chunks after retries; raise for what will not pass.

        Where the context is too small, a smaller room is asked for, as long as it is above `least`.
        """
        attempt, room, is_stream = 0, request.max_tokens(0), more.get("stream", False)
        place = "/chat/completions" if self.chat else "/completions"
        while True:
            body = self.body(request, **more)
            try:
                raw = await api.post(place, body=body, cast_to=httpx2.Response, stream=is_stream)
                if is_stream:
                    answer = chunks(raw, api)
                else:
                    answer = messages.answer_of(messages.read_json(raw.content), request)
            except Exception as error:  # the SDK's, `NoAnswer`, and those of a SOCKS proxy
                fault = self.read(error, body)
                left = room_left(fault.text, request.max_tokens(0), room)
                if least < left:
                    request = request.with_room(left, min)
                elif not self.learn(fault, body):
                    attempt += 1
                    if problem := self.problem(fault, attempt):
                        raise problem from None
                    jitter = random.uniform(0, min(30.0, 0.1 * 2**attempt))
                    await asyncio.sleep(min(fault.wait, 120.0) + jitter)
            else:
                self.has_answered, self.failed = True, 0
                return answer

    def read(self, error: object, sent: Mapping = {}) -> Fault:
        """Return what an error means, without the key and what it quotes of `sent`."""
        key = rf"(?<!\w){re.escape(self._key)}(?!\w)|(?<![\w-])[\w-]+\*{{3,}}[\w-]*"
        contents = [*(m["content"] for m in sent.get("messages", ())), sent.get("prompt", "")]
        more = [getattr(error, name, None) or "" for name in ("__cause__", "body")]
        texts = (re.sub(key, "[key]", f"{words(error)} {text}"[:10_000]) for text in more)
        shown, text = (unquoted(text, contents) for text in texts)
        means = meaning(text, getattr(error, "status_code", None))
        headers = getattr(getattr(error, "response", None), "headers", {})
        return Fault(shown, text, *means, asked_wait(headers))

    def learn(self, fault: Fault, sent: Mapping[str, Any]) -> bool:
        """Leave out from now on what an error refuses of a request; return False for others."""
        text, is_internal = fault.text, fault.status in (500, 501)
        if fault.reason != ("" if is_internal else "refused_by_server"):
            return False
        has_system = any(m["role"] == "system" for m in sent.get("messages", ()))
        forms = [] if is_internal else enumerate(self.forms[:-1])
        forms = ((n, form) for n, form in forms if form.items() <= sent.items())
        tried = [n for n, form in forms if match("|".join([PATTERNS["thinking"], *form]), text)]
        if has_system and match(PATTERNS["system"], text):
            self.has_system = False
            change = "has no system role: that text begins the user's message"
        elif tried:
            self.form = max(self.form, tried[0] + 1)
            change = f"does not take {self.forms[tried[0]]}: it is left out"
        elif name := refused_name(text, sent):
            self.refused.add(name)
            other = self._accepted(name)
            change = f"sent as `{other}`" if other else "left out"
            change = f"does not take `{name}`: it is {change}"
        else:
            return False
        if change not in self.notes:
            self.notes.add(change)
            logging.getLogger("medinstruct").warning(f"`{self.model}` {change} from now on.")
        return True

    def problem(self, fault: Fault, attempt: int = 0) -> UserError | None:
        """Return the error to raise, `Refused` if it is about one request; None to try again."""
        status, reason = fault.status, fault.reason
        most = BARE_RETRIES if status == 520 else RETRIES
        most = most if self.has_answered else FIRST_RETRIES
        if 0 < attempt <= most and fault.passes:
            return None
        self.failed += attempt > most
        if attempt > most and status and self.has_answered and self.failed <= MOST_FAILED:
            reason = "refused_by_server"
        do = TEXTS["advice"].get(status, "Try again later.")
        do = TEXTS["certificate"] if "CERTIFICATE_VERIFY" in fault.shown else do
        do = REFUSALS["advice"].get(reason, do).replace("OPENAI_API_KEY", self.variable)
        got = messages.whole(" ".join(fault.shown.split())[:400])
        if fault.wait > LONGEST_WAIT:
            got += f" (the server asks to wait {fault.wait / 3600:.0f} hours)"
        way = self.way * (not status or status in (403, *network.FAILING))
        what = f"{network.public(self.address)} gave no answer for `{self.model}`{way}."
        do += " Answers so far are saved."
        return Refused(what, reason, got=got, do=do) if reason else UserError(what, got=got, do=do)

    def _accepted(self, name: str) -> str:
        """Return the name under which a parameter is sent, "" if it is left out."""
        names = (name, REPLACEMENTS.get(name, ""))
        return next((name for name in names if name not in self.refused), "")


def thinking_forms(entry: models.Model) -> list[dict[str, Any]]:
    """Return the fields that ask a model's server to think or not, in the order to try them."""
    effort = {"reasoning_effort": entry.reasoning_effort} if entry.reasoning_effort else {}
    server = next(row for row in MARKS["servers"] if re.search(row["url"], entry.url))
    forms = [form | effort for form in server.get(entry.thinking, [])] + [effort]  # on: True
    forms = [form for form in forms if form and not form.keys() & entry.extra.keys()]
    return [form for n, form in enumerate(forms) if form not in forms[:n]]


def words(error: object) -> str:
    """Return an error's text without HTML tags; with the body where the SDK leaves it out."""
    is_bare = re.fullmatch(r"Error code: \d+", str(error))
    text = f"{error}: {error.body or error.response.text}" if is_bare else str(error)
    text = text[:20_000]
    is_page = re.search("<(html|head|body)|<!doctype", text, re.IGNORECASE)
    return re.sub(r"<(script|style)\b.*?</\1>|<[^<>]*>", " ", text) if is_page else text


async def chunks(raw: httpx2.Response, api: Any) -> AsyncIterator[Any]:
    """Yield the chunks of a streamed answer, or the one body of a server that does not stream."""
    import openai

    try:
        if re.search("html|json", raw.headers.get("content-type", "")):
            yield messages.read_json(await raw.aread())
            return
        async for chunk in openai.AsyncStream(cast_to=object, response=raw, client=api):
            yield chunk
    except openai.APIError as error:
        if not error.body:
            raise
        raise NoAnswer("", error.body) from None
    except ValueError as error:  # no JSON, or no UTF-8
        raise NoAnswer(getattr(error, "doc", "")) from None


async def list_models(entry: models.Model, *, timeout: float) -> list[dict[str, Any]]:
    """Return a server's description of each of its models; raises SDK errors and `NoAnswer`."""
    async with Connection(entry).open(timeout=timeout) as api:
        raw = await api.get("/models", cast_to=httpx2.Response)
    body = messages.read_json(raw.content)
    if isinstance(body, str):
        raise NoAnswer(body)
    rows = body if isinstance(body, list) else body.get("data") or body.get("models") or []
    return [row if isinstance(row, dict) else {"id": row} for row in rows]


def transport(url: str) -> Any:
    """Return the module registered for a url such as "offline?cut=0"; None for an address."""
    name = url.partition("?")[0]
    if not name or "://" in name:
        return None
    if points := [*entry_points(group="medinstruct.transports", name=name)]:
        return points[0].load()
    do = 'Write "offline" or http://…; after an update, install the package again.'
    raise UserError("The url is neither an address nor a registered transport.", got=url, do=do)
