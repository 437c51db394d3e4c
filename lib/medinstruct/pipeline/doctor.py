"""Doctor: what this machine has, which profiles would run on it, how to fix the others."""

import asyncio
import difflib
import importlib.metadata
import os
import platform
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from medinstruct import llm, manifest, models, params, paths, records, training
from medinstruct.errors import UserError

HUB = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
OPENAI = "https://api.openai.com"
TIMEOUT = 3  # seconds an address may take to accept a connection, or to list its models
KEYS = ("OPENAI_API_KEY", "HF_TOKEN")
FILE_KEYS = ("seeds", "test_set", "references", "focus", "earlier", "votes", "safety_set")
FILE_KEYS += ("benchmark_data", "answer_models", "review_merge")
Obstacle = tuple[str, str]  # what is wrong, what to do
NO_KEY, NO_ANSWER = "no key", "no answer"


def diagnose(profile: str = "") -> tuple[list[str], bool]:
    """Return a report to print and whether all would run; with a profile, only that one counts."""
    missing = missing_packages()
    lines, would_run = [*_machine(), *_packages(missing), "", "What would run here:"], not missing
    for file in [profile] if profile else params.profiles():
        values = params.merged(file)
        rows, named = obstacles(values, missing), models.asked(values)
        would_run = would_run and not (profile and rows)
        used = [*map(" ".join, named), f"base_model {values['base_model']}"]
        lines.append(f"  {'no ' if rows else 'yes'}  {Path(file).stem}: {', '.join(used)}")
        lines += [f"       {what}: {do}" for what, do in rows]
        lines += [f"       ({remark})" for remark in dict.fromkeys(remarks(values))]
    return lines, would_run


def _machine() -> list[str]:
    """Return Python, processor, memory, accelerator, disk; of keys only whether they are set."""
    import psutil

    gigabytes = psutil.virtual_memory().total / 1e9
    free = shutil.disk_usage(paths.root()).free / 1e9
    keys = [f"{name} is {'set' if os.environ.get(name) else 'not set'}" for name in KEYS]
    small = "none: smollm2 trains on the processor in minutes, a larger model does not"
    return [
        f"Python       {platform.python_version()} on {platform.system()} {platform.machine()}",
        f"Processor    {os.cpu_count()} cores, {gigabytes:.0f} GB of memory",
        f"Accelerator  {_gpu() or small}",
        f"Disk         {free:.0f} GB free at {paths.root()}",
        f"Keys         {', '.join(keys)} (the demo needs none)",
    ]


def missing_packages(extra: str = "train") -> dict[str, str]:
    """Return unmet requirements of this package: requirement -> installed version or ""."""
    from packaging.requirements import Requirement

    needs = [Requirement(text) for text in importlib.metadata.requires("medinstruct") or []]
    return {
        f"{need.name}{need.specifier}": _version(need.name)
        for need in needs
        if not need.marker or need.marker.evaluate({"extra": extra})
        if not need.specifier.contains(_version(need.name), prereleases=True)
    }


def obstacles(values: dict[str, Any], missing: dict[str, str] | None = None) -> list[Obstacle]:
    """Return what keeps a profile from running here, each with its remedy."""
    rows = [("packages are missing", "see above")] if missing else []
    model = values.get("base_model", "smollm2")
    hub_model = "" if model == "smollm2" or _exists(model) else model
    rows += dict.fromkeys([*_servers(values, hub_model), *_files(values)])
    try:
        training.settings(values)
    except UserError as error:
        rows.append((f"training_options: {error.what} (got {error.got})", error.do))
    if hub_model and not _gpu():
        do = "use a GPU, or --set base_model=smollm2"
        rows.append((f"{hub_model} is too large for a processor", do))
    return rows


def remarks(values: dict[str, Any]) -> Iterator[str]:
    """Yield what servers say that is no obstacle: ends to come, names and context lengths."""
    for name, entry, listed, trouble in _named(values):
        text = models.ending(name, listed.get(entry.model, {}).get("shutdown_date"))
        yield from [text] * (" ends " in text)
        if trouble not in ("", NO_KEY, NO_ANSWER):
            yield f"{entry.url or OPENAI} does not list its models: {trouble}"
        elif listed and entry.url.startswith(models.FREE):
            sizes = {name: row.get("max_model_len") for name, row in listed.items()}
            parts = [f"{n} ({size} tokens of context)" if size else n for n, size in sizes.items()]
            yield f"{entry.url} serves {', '.join(parts)}"


@cache
def served(url: str, key: str) -> tuple[dict[str, dict[str, Any]], str]:
    """Return what a server says of each of its models, and "" or why it says nothing."""
    if not (os.environ.get(key) or url.startswith(models.FREE)):
        return {}, NO_KEY
    entry = models.Model(url=url, key=key, model="any")
    try:
        rows = asyncio.run(llm.retry.list_models(entry, timeout=TIMEOUT))
        return {row["id"].removeprefix("models/"): row for row in rows}, ""
    except Exception as error:  # whatever a server does, the report goes on
        return {}, type(error).__name__ if reachable(url or OPENAI) else NO_ANSWER


def reachable(address: str) -> bool:
    """Return whether host and port of an address accept a connection; nothing is sent."""
    with suppress(OSError, ValueError):
        parts = urlsplit(address)
        port = parts.port or (80 if parts.scheme == "http" else 443)
        socket.create_connection((parts.hostname or "", port), timeout=TIMEOUT).close()
        return True
    return False


def _named(values: dict[str, Any]) -> list[tuple[str, models.Model, dict, str]]:
    """Return each served model: name, entry, what its server lists, or why it lists nothing."""
    entries = {name: models.load(name) for _, name in models.asked(values)}
    entries = {name: entry for name, entry in entries.items() if not entry.is_stand_in}
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda entry: served(entry.url, entry.key), entries.values())
        return [(*pair, *answer) for pair, answer in zip(entries.items(), answers, strict=True)]


def _servers(values: dict[str, Any], hub_model: str) -> Iterator[Obstacle]:
    """Yield models that are gone or lack a price, keys not set, servers that do not answer."""
    lost = {HUB: ["base_model"]} if hub_model and not reachable(HUB) else {}
    for name, entry, listed, trouble in _named(values):
        url, row = entry.url or OPENAI, listed.get(entry.model, listed.get(f"{entry.model}:latest"))
        if " ended " in (text := models.ending(name, (row or {}).get("shutdown_date"))):
            yield text, "name another of params/models.yaml"
        elif listed and not row and "llamacpp" not in str(listed):  # which takes any name
            near = difflib.get_close_matches(entry.model, listed, n=3) or list(listed)[:3]
            do = f"it has {', '.join(near)}; correct the name in params/models.yaml"
            yield f"{url} has no model {entry.model}", do
        if values.get("budget_usd") and not (entry.usd_per_mtok or models.price(entry.model)):
            do = "give it usd_per_mtok in params/models.yaml, or --set budget_usd=0.0"
            yield f"budget_usd needs a price of {name}", do
        if trouble == NO_KEY:
            yield f"{entry.key} is not set", "export it in the shell that starts the run"
        elif trouble == NO_ANSWER:
            roles = [role for role, other in models.asked(values) if other == name]
            lost.setdefault(url, []).extend(roles)
    for url, roles in lost.items():
        do = f"check the network, or name another model with --set {'=… '.join(roles)}=…"
        yield f"{url} does not answer", do


def _files(values: dict[str, Any]) -> Iterator[Obstacle]:
    """Yield files that parameters name and that cannot be read."""
    for key in FILE_KEYS:
        for name in manifest.texts(values.get(key)):
            is_file = key != "answer_models" or bool(records.table_kind(name))
            if name not in ("", "own") and is_file and not _exists(name):
                do = f"give a path of your own with --set {key}=…"
                yield f"{key} cannot be read: {name[:100]}", do


def _exists(name: str) -> bool:
    if name.startswith("http"):
        return paths.is_downloaded(name) or reachable(name)
    return paths.find(name) is not None


def _packages(missing: dict[str, str]) -> list[str]:
    if not missing:
        return ["Packages     complete"]
    states = {need: f"version {v}" if v else "not installed" for need, v in missing.items()}
    lines = [f"  {need}: {state}" for need, state in states.items()]
    do = "  do: .venv/bin/pip install -r requirements.lock"
    return ["Packages     some are missing or too old", *lines, do]


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _gpu() -> str:
    """Return number, name and memory of the GPUs, or "" without one."""
    if not _version("torch"):
        return ""
    import torch

    if not torch.cuda.is_available():
        return ""
    card = torch.cuda.get_device_properties(0)
    return f"{torch.cuda.device_count()} x {card.name}, {card.total_memory / 1e9:.0f} GB"
