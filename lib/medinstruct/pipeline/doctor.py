"""Doctor: what this machine has, which profiles would run on it, how to fix the others."""

import importlib.metadata
import os
import platform
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from medinstruct import params, paths

HUB = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
OPENAI = "https://api.openai.com"
TIMEOUT = 3  # seconds an address may take to accept a connection
KEYS = ("OPENAI_API_KEY", "HF_TOKEN")
FILE_KEYS = ("seeds", "test_set", "references", "prices", "focus", "earlier", "votes")
FILE_KEYS += ("published_verdicts", "safety_set", "benchmark_files", "answer_files", "review_merge")
Obstacle = tuple[str, str]  # what is wrong, what to do


def diagnose(profile: str = "") -> tuple[list[str], bool]:
    """Return a report to print and whether all would run; with a profile, only that one counts."""
    shipped = sorted((paths.root() / "params").glob("*.yaml"))
    files = [paths.resolve(profile)] if profile else shipped
    missing = missing_packages()
    by_profile = {file.stem: obstacles(params.profile(file), missing) for file in files}
    lines = [*machine(), *_packages(missing), "", "What would run here:"]
    for name, rows in by_profile.items():
        lines.append(f"  {'no ' if rows else 'yes'}  {name}")
        lines += [f"       {what}: {do}" for what, do in rows]
    return lines, not any(by_profile.values()) if profile else not missing


def machine() -> list[str]:
    """Return Python, processor, memory, accelerator, disk and keys, one line each.

    Of a key only whether it is set.
    """
    import psutil

    gigabytes = psutil.virtual_memory().total / 1e9
    free = shutil.disk_usage(paths.root()).free / 1e9
    states = {name: "set" if os.environ.get(name) else "not set" for name in KEYS}
    keys = ", ".join(f"{name} is {state}" for name, state in states.items())
    return [
        f"Python       {platform.python_version()} on {platform.system()} {platform.machine()}",
        f"Processor    {os.cpu_count()} cores, {gigabytes:.0f} GB of memory",
        f"Accelerator  {_accelerator()}",
        f"Disk         {free:.0f} GB free at {paths.root()}",
        f"Keys         {keys} (the demo needs none)",
    ]


def missing_packages(extra: str = "train") -> dict[str, str]:
    """Return unmet requirements of this package: requirement -> installed version or ""."""
    from packaging.requirements import Requirement

    unmet = {}
    for text in importlib.metadata.requires("medinstruct") or []:
        need = Requirement(text)
        marker = need.marker
        applies = not marker or any(marker.evaluate({"extra": name}) for name in (extra, ""))
        if applies and not need.specifier.contains(_version(need.name), prereleases=True):
            unmet[f"{need.name}{need.specifier}"] = _version(need.name)
    return unmet


def obstacles(values: dict[str, Any], missing: dict[str, str] | None = None) -> list[Obstacle]:
    """Return what keeps a profile from running here, each with its remedy."""
    rows = [("packages are missing", "see above")] if missing else []
    return [*rows, *_addresses(values), *_files(values), *_hardware(values)]


def reachable(address: str) -> bool:
    """Return whether host and port of an address accept a connection; nothing is sent."""
    try:
        parts = urlsplit(address)
        port = parts.port or (80 if parts.scheme == "http" else 443)
        socket.create_connection((parts.hostname or "", port), timeout=TIMEOUT).close()
    except (OSError, ValueError):
        return False
    return True


def _addresses(values: dict[str, Any]) -> list[Obstacle]:
    """Return servers that do not answer, and a key that is not set."""
    urls = {key: values.get(key) or OPENAI for key in ("teacher_url", "responder_url", "judge_url")}
    if values.get("answer_url"):
        urls["answer_url"] = values["answer_url"]
    elif _is_on_hub(values.get("base_model", "student")):
        urls["base_model"] = HUB
    keys_of: dict[str, list[str]] = {}
    for key, url in urls.items():
        if url.partition("?")[0] != "offline" and not url.startswith("replay:"):
            keys_of.setdefault(url, []).append(key)
    with ThreadPoolExecutor() as pool:
        answers = dict(zip(keys_of, pool.map(reachable, keys_of), strict=True))
    rows = []
    for url, keys in keys_of.items():
        if not answers[url]:
            do = f"check the network, or give another address with --set {'=… '.join(keys)}=…"
            rows.append((f"{url} does not answer", do))
    if OPENAI in keys_of and not os.environ.get("OPENAI_API_KEY"):
        rows.append(("OPENAI_API_KEY is not set", "export it in the shell that starts the run"))
    return rows


def _files(values: dict[str, Any]) -> list[Obstacle]:
    """Return files that parameters name and that cannot be read or fetched."""
    rows = []
    for key in FILE_KEYS:
        for part in str(values.get(key, "")).split(","):
            name = part.rpartition("=")[2].strip()
            if name not in ("", "own") and not _exists(name):
                do = f"give a path of your own with --set {key}=…"
                rows.append((f"{key} cannot be read: {name[:70]}", do))
    return rows


def _exists(name: str) -> bool:
    if name.startswith("http"):
        return paths.is_downloaded(name) or reachable(name)
    return any((base / name).exists() for base in (Path.cwd(), paths.root()))


def _hardware(values: dict[str, Any]) -> list[Obstacle]:
    has_gpu = _has_gpu()
    if values.get("load_in_4bit") and not (has_gpu and _version("bitsandbytes")):
        do = "pip install 'medinstruct[gpu]'" if has_gpu else "use a machine with an NVIDIA GPU"
        return [("4-bit training needs a GPU and bitsandbytes", do)]
    if _is_on_hub(values.get("base_model", "student")) and not has_gpu:
        do = "use a GPU, or --set base_model=student"
        return [(f"{values['base_model']} is too large for a processor", do)]
    return []


def _is_on_hub(model: str) -> bool:
    return model != "student" and not _exists(model)


def _packages(missing: dict[str, str]) -> list[str]:
    if not missing:
        return ["Packages     complete"]
    lines = ["Packages     some are missing or too old"]
    for name, version in missing.items():
        lines.append(f"  {name}: {f'version {version}' if version else 'not installed'}")
    return [*lines, "  do: .venv/bin/pip install -r requirements.lock"]


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _accelerator() -> str:
    if not _has_gpu():
        return "none: the student trains on the processor in minutes, a model of the hub does not"
    import torch

    card = torch.cuda.get_device_properties(0)
    return f"{torch.cuda.device_count()} x {card.name}, {card.total_memory / 1e9:.0f} GB"


def _has_gpu() -> bool:
    if not _version("torch"):
        return False
    import torch

    return torch.cuda.is_available()
