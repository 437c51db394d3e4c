"""Doctor: what this machine has, which profiles would run on it, how to fix the others."""

import importlib.metadata
import os
import platform
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from medinstruct import models, params, paths

HUB = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
OPENAI = "https://api.openai.com"
TIMEOUT = 3  # seconds an address may take to accept a connection
KEYS = ("OPENAI_API_KEY", "HF_TOKEN")
FILE_KEYS = ("seeds", "test_set", "references", "focus", "earlier", "votes", "safety_set")
FILE_KEYS += ("benchmark_files", "benchmark_data", "answer_files", "review_merge")
Obstacle = tuple[str, str]  # what is wrong, what to do


def diagnose(profile: str = "") -> tuple[list[str], bool]:
    """Return a report to print and whether all would run; with a profile, only that one counts."""
    missing = missing_packages()
    lines, would_run = [*_machine(), *_packages(missing), "", "What would run here:"], not missing
    for file in [profile] if profile else params.profiles():
        rows = obstacles(params.merged(file), missing)
        would_run = would_run and not (profile and rows)
        lines.append(f"  {'no ' if rows else 'yes'}  {Path(file).stem}")
        lines += [f"       {what}: {do}" for what, do in rows]
    return lines, would_run


def _machine() -> list[str]:
    """Return Python, processor, memory, accelerator, disk; of keys only whether they are set."""
    import psutil

    gigabytes = psutil.virtual_memory().total / 1e9
    free = shutil.disk_usage(paths.root()).free / 1e9
    keys = [f"{name} is {'set' if os.environ.get(name) else 'not set'}" for name in KEYS]
    small = "none: the student trains on the processor in minutes, a model of the hub does not"
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
    model = values.get("base_model", "student")
    hub_model = "" if model == "student" or _exists(model) else model
    return [*rows, *_addresses(values, hub_model), *_files(values), *_hardware(values, hub_model)]


def reachable(address: str) -> bool:
    """Return whether host and port of an address accept a connection; nothing is sent."""
    with suppress(OSError, ValueError):
        parts = urlsplit(address)
        port = parts.port or (80 if parts.scheme == "http" else 443)
        socket.create_connection((parts.hostname or "", port), timeout=TIMEOUT).close()
        return True
    return False


def _addresses(values: dict[str, Any], hub_model: str) -> Iterator[Obstacle]:
    """Yield servers that do not answer, and keys that are not set."""
    servers: dict[str, list[str]] = {HUB: ["base_model"]} if hub_model else {}
    no_key: set[str] = set()
    for role, name in models.asked(values):
        model = models.load(name)
        if not model.is_stand_in:
            servers.setdefault(model.url or OPENAI, []).append(role)
            if not (os.environ.get(model.key) or model.url.startswith(models.FREE)):
                no_key.add(model.key)
    for key in sorted(no_key):
        yield f"{key} is not set", "export it in the shell that starts the run"
    with ThreadPoolExecutor() as pool:
        answers = dict(zip(servers, pool.map(reachable, servers), strict=True))
    for url, roles in servers.items():
        if not answers[url]:
            keys = "=… ".join(dict.fromkeys(roles))
            do = f"check the network, or name another model with --set {keys}=…"
            yield f"{url} does not answer", do


def _files(values: dict[str, Any]) -> Iterator[Obstacle]:
    """Yield files that parameters name and that cannot be read."""
    for key in FILE_KEYS:
        value = values.get(key) or []
        names = value.values() if isinstance(value, dict) else value
        for name in [value] if isinstance(value, str) else names:
            if name not in ("", "own") and not _exists(name):
                do = f"give a path of your own with --set {key}=…"
                yield f"{key} cannot be read: {name[:100]}", do


def _exists(name: str) -> bool:
    if name.startswith("http"):
        return paths.is_downloaded(name) or reachable(name)
    return any((base / name).exists() for base in (Path.cwd(), paths.root()))


def _hardware(values: dict[str, Any], hub_model: str) -> Iterator[Obstacle]:
    if values.get("load_in_4bit") and not (_gpu() and _version("bitsandbytes")):
        do = "pip install 'medinstruct[gpu]'" if _gpu() else "use a machine with an NVIDIA GPU"
        yield "4-bit training needs a GPU and bitsandbytes", do
    elif hub_model and not _gpu():
        do = "use a GPU, or --set base_model=student"
        yield f"{hub_model} is too large for a processor", do


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
