"""Who sits the examination: the base and the tuned model from one loaded copy, any further ones, and the template they read."""

import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from medinstruct.errors import Problem
from medinstruct.training import prompt

TEMPLATES = ("alpaca", "chat", "plain")
WHOLE = 64 * 2**20  # bytes; larger files are named by size and time


class Contestant(NamedTuple):
    """A model under test: its name in the tables, the hash of its weights, and how to open it for the harness."""

    name: str
    key: str
    open: Callable[[], AbstractContextManager[Any]]


def contestants(model: Any, *, more: str = "", batch_size: int = 8) -> list[Contestant]:
    """The base model, the tuned one (the adapter on the same loaded copy), and more as "name=path or hub id, …".

    `model` is an `llm.LocalModel`. Further models are loaded one after another, when it is their turn.
    """
    key = _key(model)
    found = [Contestant("base", key, lambda: _opened(model, batch_size, adapter=False))]
    if model.has_adapter:
        found.append(
            Contestant("tuned", f"{key}-{_adapter_key(model.model)}", lambda: _opened(model, batch_size, adapter=True))
        )
    for part in filter(None, (part.strip() for part in more.split(","))):
        name, sign, place = part.partition("=")
        if not sign or name in {one.name for one in found}:
            raise Problem("`benchmark_models` cannot be read.", got=part, do="Write name=path or hub id, each name once.")
        found.append(Contestant(name, _place_key(place), _later(place, batch_size)))
    return found


def apply_template(lm: Any, template: str, *, name: str) -> bool:
    """Make the harness ask in this template; whether it is to apply one at all."""
    if template not in TEMPLATES:
        raise Problem("`benchmark_template` is not known.", got=template, do=f"Choose from {', '.join(TEMPLATES)}.")
    if template == "chat" and not getattr(getattr(lm, "tokenizer", None), "chat_template", None):
        do = "Set benchmark_template: alpaca (what this pipeline trains with) or plain."
        raise Problem(f"Model {name} has no chat template.", got="benchmark_template: chat", do=do)
    if template == "alpaca":
        lm.apply_chat_template = alpaca
    return template != "plain"


def alpaca(history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
    """A conversation in the Alpaca template, turn after turn; open at the end for the model to go on.

    >>> alpaca([{"role": "user", "content": "Name a bone."}, {"role": "assistant", "content": "The"}], False)[-17:]
    '## Response:\\nThe'
    """
    texts = []
    for turn in history:
        texts.append(turn["content"] if turn["role"] == "assistant" else prompt(turn["content"].strip()))
    return (
        "".join(text + ("\n\n" if history[n]["role"] == "assistant" else "") for n, text in enumerate(texts[:-1])) + texts[-1]
    )


@contextlib.contextmanager
def _opened(model: Any, batch_size: int, *, adapter: bool) -> Iterator[Any]:
    from lm_eval.models.huggingface import HFLM

    off = model.has_adapter and not adapter
    with model.model.disable_adapter() if off else contextlib.nullcontext():
        with quiet():
            lm = HFLM(pretrained=model.model, tokenizer=model.tokenizer, batch_size=batch_size)
        yield lm


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The harness without its progress and warnings, which would be the longest part of a notebook."""
    from tqdm import tqdm

    logger = logging.getLogger("lm_eval")
    before, init = logger.level, tqdm.__init__
    logger.setLevel(logging.ERROR)
    tqdm.__init__ = lambda self, *parts, **more: init(self, *parts, **(more | {"disable": True}))
    try:
        yield
    finally:
        logger.setLevel(before)
        tqdm.__init__ = init


def _later(place: str, batch_size: int) -> Callable[[], AbstractContextManager[Any]]:
    """A further model, loaded only when it is opened."""

    def opened() -> AbstractContextManager[Any]:
        from medinstruct import llm

        return _opened(llm.LocalModel(place), batch_size, adapter=False)

    return opened


def _key(model: Any) -> str:
    """The hash of a loaded model: its folder's weights, or its hub id and commit."""
    config = model.model.config
    return _place_key(str(config._name_or_path), commit=str(getattr(config, "_commit_hash", "") or ""))


def _place_key(place: str, *, commit: str = "") -> str:
    folder = Path(place)
    parts = [commit, place]
    if folder.is_dir():
        parts = [_file_key(path) for path in sorted(folder.iterdir()) if path.suffix in (".safetensors", ".json")]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]


def _file_key(path: Path) -> str:
    about = path.stat()
    if about.st_size > WHOLE:
        return f"{path.name} {about.st_size} {about.st_mtime_ns}"
    return f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _adapter_key(model: Any) -> str:
    """The hash of the adapter's weights as they are loaded."""
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(model)
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode() + state[name].detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:12]
