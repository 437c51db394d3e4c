"""Doctor: what this machine has, which profiles would run on it, how to fix the others."""

import asyncio
import difflib
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import httpx2

from medinstruct import llm, manifest, models, network, params, paths, records, training
from medinstruct.errors import UserError

HUB = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
TIMEOUT = 3  # seconds an address may take to accept a connection, or to list its models
KEYS = ("OPENAI_API_KEY", "HF_TOKEN")
FILE_KEYS = ("seeds", "test_set", "references", "focus", "earlier", "votes", "safety_set")
FILE_KEYS += ("benchmark_data", "answer_models", "review_merge", "safety_pairs")
Obstacle = tuple[str, str]  # what is wrong, what to do


def lines(profile: str = "") -> Iterator[str]:
    """Yield the report to print; the command's status is 1 if something would not run."""
    report, would_run = diagnose(profile)
    yield from report
    if not would_run:
        sys.exit(1)


def diagnose(profile: str = "") -> tuple[list[str], bool]:
    """Return a report to print and whether all would run; with a profile, only that one counts."""
    missing = missing_packages()
    lines, would_run = [*_machine(), *_packages(missing), "", "What would run here:"], not missing
    for file in [profile] if profile else params.profiles():
        values = params.merged(file)
        rows, named = obstacles(values), models.asked(values)
        rows += [("packages are missing", "see above")] * bool(missing)
        would_run = would_run and not (profile and rows)
        used = [*map(" ".join, named), f"base_model {values['base_model']}"]
        lines.append(f"  {'no ' if rows else 'yes'}  {Path(file).stem}: {', '.join(used)}")
        lines += [f"       {what}: {do}" for what, do in rows]
        lines += [f"       ({remark})" for remark in dict.fromkeys(remarks(values))]
    return lines, would_run


def _machine() -> list[str]:
    """Return Python, processor, memory, accelerator, disk; of keys only whether they are set."""
    import psutil

    notes = paths.load("folders")
    gigabytes = psutil.virtual_memory().total / 1e9
    free = shutil.disk_usage(paths.root()).free / 1e9
    states = {name: "set" if os.environ.get(name) else "not set" for name in KEYS}
    states |= {name: "no usable key" for name in KEYS if _error(network.key, name)}
    keys = [f"{name} is {state}" for name, state in states.items()]
    small = "none: smollm2 trains on the processor in minutes, a larger model does not"
    return [
        f"Python       {platform.python_version()} on {platform.system()} {platform.machine()}",
        f"Processor    {os.cpu_count()} cores, {gigabytes:.0f} GB of memory",
        f"Accelerator  {_gpu() or small}",
        f"Disk         {free:.0f} GB free at {paths.root()}",
        f"Cache        {paths.cache_folder()}{notes['no_home'] * bool(paths.other_caches())}",
        f"Keys         {', '.join(keys)} (the demo needs none)",
        *[notes["windows"]] * (platform.system() == "Windows"),
    ]


def missing_packages() -> list[str]:
    """Return unmet requirements of this package, with what is installed in their place."""
    from packaging.requirements import Requirement

    needs = [Requirement(text) for text in importlib.metadata.requires("medinstruct") or []]
    return [
        f"{need.name}{need.specifier}: {_version(need.name) or 'not installed'}"
        for need in needs
        if not need.marker or need.marker.evaluate({"extra": "train"})
        if not need.specifier.contains(_version(need.name), prereleases=True)
    ]


def obstacles(values: dict[str, Any]) -> list[Obstacle]:
    """Return what keeps a profile from running here, each with its remedy."""
    model = values.get("base_model", "smollm2")
    hub_model = "" if model == "smollm2" or _exists(model) else model
    rows = list(dict.fromkeys([*_servers(values, hub_model), *_files(values)]))
    if error := _error(training.settings, values):
        rows.append(_obstacle(error))
    if hub_model and not _gpu():
        do = "use a GPU, or --set base_model=smollm2"
        rows.append((f"{hub_model} is too large for a processor", do))
    return rows


def remarks(values: dict[str, Any]) -> list[str]:
    """Return why servers do not list their models; this does not prevent a run."""
    rows = [(entry, trouble) for *_, entry, _, trouble in _named(values)]
    form = "{} does not list its models: {}".format
    return [form(network.public(e.address), text) for e, text in rows if text and type(text) is str]


@cache
def served(url: str, key: str) -> tuple[dict[str, dict[str, Any]], str | UserError]:
    """Return what a server says of its models, and "" or why not: a UserError bars a run, too."""
    entry = models.Model(url=url, key=key, model="any")
    try:
        rows = asyncio.run(llm.retry.list_models(entry, timeout=TIMEOUT))
        names = [str(row.get("id") or row.get("name")).removeprefix("models/") for row in rows]
        return dict(zip(names, rows, strict=True)), ""
    except UserError as error:
        return {}, error
    except Exception as error:  # whatever a server does, the report goes on
        is_page, way = isinstance(error, llm.messages.NoAnswer), network.proxy(entry.address)
        trouble = str(error) if is_page else type(error).__name__
        if (status := getattr(error, "status_code", 0)) in (401, 403):
            trouble = f"status {status}; {key} may hold no valid key"
        is_lost = not status and not isinstance(error.__cause__, httpx2.ReadTimeout)
        if is_lost or (way and status in network.FAILING):
            what = f"{network.public(entry.address)} does not answer{way}"
            do = "start the server" if network.is_own(entry.address) else "check the network"
            return {}, UserError(what, do=do)
        return {}, trouble


def _error(call: Callable, *values: Any, **options: Any) -> UserError | None:
    try:
        call(*values, **options)
    except UserError as error:
        return error
    return None


def _named(values: dict[str, Any]) -> list[tuple[str, models.Model, dict, Any]]:
    """Return each served model: name, entry, what its server lists, or why it lists nothing."""
    entries = {name: models.load(name) for _, name in models.asked(values)}
    entries = {name: entry for name, entry in entries.items() if not entry.is_stand_in}
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda entry: served(entry.url, entry.key), entries.values())
        return [(*pair, *answer) for pair, answer in zip(entries.items(), answers, strict=True)]


def _servers(values: dict[str, Any], hub_model: str) -> Iterator[Obstacle]:
    """Yield models that are gone or lack a price, keys not set, servers that do not answer."""
    lost: dict[Obstacle, list[str]] = {}
    if hub_model:
        form = {"method": "HEAD", "timeout": TIMEOUT}
        errors = _error(network.key, "HF_TOKEN"), _error(network.fetch, HUB, **form)
        lost |= {_obstacle(error): ["base_model"] for error in errors if error}
    for name, entry, listed, trouble in _named(values):
        row = listed.get(entry.model, listed.get(f"{entry.model}:latest"))
        if " ended " in (text := models.ending(name, (row or {}).get("shutdown_date"))):
            yield text, "name another of params/models.yaml"
        elif listed and not row and "llamacpp" not in str(listed):  # which takes any name
            near = difflib.get_close_matches(entry.model, listed, n=3) or list(listed)[:3]
            do = f"it has {', '.join(near)}; correct the name in params/models.yaml"
            yield f"{network.public(entry.address)} has no model {entry.model}", do
        if values.get("budget_usd") and not (entry.usd_per_mtok or models.price(entry.model)):
            do = "give it usd_per_mtok in params/models.yaml, or --set budget_usd=0.0"
            yield f"budget_usd needs a price of {name}", do
        if isinstance(trouble, UserError):
            roles = [role for role, other in models.asked(values) if other == name]
            lost.setdefault(_obstacle(trouble), []).extend(roles)
    for (what, do), roles in lost.items():
        yield what, f"{do}, or name another model with --set {'=… '.join(roles)}=…"


def _obstacle(error: UserError) -> Obstacle:
    return error.what.rstrip(".") + f" ({error.got})" * bool(error.got), error.do.rstrip(".")


def _files(values: dict[str, Any]) -> Iterator[Obstacle]:
    """Yield files that parameters name and that cannot be read, and outputs that take none."""
    out = paths.outputs(values["run"])
    above = next(folder for folder in (out, *out.absolute().parents) if os.path.exists(folder))
    if not (above.is_dir() and os.access(above, os.W_OK)):
        yield f"{above} cannot be written", "set MEDINSTRUCT_OUTPUTS to a folder of yours"
    for key in FILE_KEYS:
        for name in manifest.texts(values.get(key)):
            is_file = key != "answer_models" or bool(records.table_kind(name))
            if name not in ("", "own") and is_file and not _exists(name):
                do = f"give a path of your own with --set {key}=…"
                yield f"{key} cannot be read: {name[:100]}", do


def _exists(name: str) -> bool:
    if name.startswith("http"):
        form = {"method": "HEAD", "timeout": TIMEOUT}
        return bool(paths.downloaded(name)) or not _error(network.fetch, name, **form)
    return paths.find(name) is not None


def _packages(missing: list[str]) -> list[str]:
    do = ["do: .venv/bin/pip install -r requirements.lock"] * bool(missing)
    state = "some are missing or too old" if missing else "complete"
    return [f"Packages     {state}", *(f"  {line}" for line in [*missing, *do])]


def _version(name: str) -> str:
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return ""


def _gpu() -> str:
    """Return number, name and memory of the GPUs, or "" without one."""
    with suppress(ImportError):
        import torch

        if torch.cuda.is_available():
            card = torch.cuda.get_device_properties(0)
            return f"{torch.cuda.device_count()} x {card.name}, {card.total_memory / 1e9:.0f} GB"
    return ""
