"""What this machine has, which profiles would run on it, and what to do about those that would not."""

import importlib.metadata
import os
import platform
import shutil
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from medinstruct import params, paths

HUB = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
OPENAI = "https://api.openai.com"
PATIENCE = 3  # seconds that an address may take to answer
GIGABYTES = {
    "student": 2,
    "hub": 20,
}  # of disk that a run wants: its files, and the weights of a small model


def doctor(profile: str = "") -> tuple[list[str], bool]:
    """Lines to read, and whether all that was asked for would run; with a profile only that one is looked at."""
    files = (
        [paths.resolve(profile)] if profile else sorted((paths.root() / "params").glob("*.yaml"))
    )
    missing = packages_missing()
    found = {file.stem: obstacles(params.profile(file), missing) for file in files}
    lines = [*machine(), *_packages(missing), "", "What would run here:"]
    for name, troubles in found.items():
        lines.append(f"  {'yes' if not troubles else 'no '}  {name}")
        lines += [f"       {what}: {do}" for what, do in troubles]
    return lines, not any(found.values()) if profile else not missing


def machine() -> list[str]:
    """Python, processor, memory, accelerator, disk and keys, a line each; of a key only whether it is set."""
    free = shutil.disk_usage(paths.root()).free / 1e9
    keys = ", ".join(
        f"{name} {'is set' if os.environ.get(name) else 'is not set'}"
        for name in ("OPENAI_API_KEY", "HF_TOKEN")
    )
    return [
        f"Python       {platform.python_version()} on {platform.system()} {platform.machine()}",
        f"Processor    {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores, {_memory()}",
        f"Accelerator  {_accelerator()}",
        f"Disk         {free:.0f} GB free at {paths.root()}",
        f"Keys         {keys} (the demo needs none)",
    ]


def packages_missing(extra: str = "train") -> dict[str, str]:
    """Requirements of this package that the machine does not meet: requirement -> the version found, or ""."""
    from packaging.requirements import Requirement

    found = {}
    for text in importlib.metadata.requires("medinstruct") or []:
        one = Requirement(text)
        is_asked = (
            not one.marker
            or one.marker.evaluate({"extra": extra})
            or one.marker.evaluate({"extra": ""})
        )
        if is_asked and not one.specifier.contains(_version(one.name), prereleases=True):
            found[f"{one.name}{one.specifier}"] = _version(one.name)
    return found


def obstacles(
    values: dict[str, Any], missing: dict[str, str] | None = None
) -> list[tuple[str, str]]:
    """What keeps a profile from running here, each with what to do about it; empty where it would run."""
    found = [("packages are missing", "see above")] if missing else []
    found += [*_places(values), *_files(values), *_hardware(values)]
    wanted = GIGABYTES["student" if values.get("base_model") == "student" else "hub"]
    if shutil.disk_usage(paths.root()).free < wanted * 1e9:
        found.append(
            (
                "the disk is nearly full",
                f"free {wanted} GB, or set MEDINSTRUCT_OUTPUTS to another disk",
            )
        )
    return found


def reachable(address: str) -> bool:
    """Whether something listens at the host and port of an address; nothing is sent."""
    try:
        parts = urlsplit(address)
        port = parts.port or (80 if parts.scheme == "http" else 443)
        socket.create_connection((parts.hostname or "", port), timeout=PATIENCE).close()
    except (OSError, ValueError):
        return False
    return True


def _places(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Addresses that would be asked and do not answer, and the key that one of them wants."""
    urls = {key: values.get(key) or OPENAI for key in ("teacher_url", "responder_url", "judge_url")}
    urls |= {"answer_url": values["answer_url"]} if values.get("answer_url") else {}
    if _is_of_hub(values.get("base_model", "student")) and not values.get("answer_url"):
        urls["base_model"] = HUB
    asked: dict[str, str] = {}
    for key, url in urls.items():
        if url.partition("?")[0] != "offline" and not url.startswith("replay:"):
            asked[url] = f"{asked[url]} {key}" if url in asked else key
    with ThreadPoolExecutor(8) as threads:
        answers = dict(zip(asked, threads.map(reachable, asked), strict=True))
    found = [
        (f"{url} does not answer", _remedy(url, asked[url]))
        for url, is_there in answers.items()
        if not is_there
    ]
    if OPENAI in asked and not os.environ.get("OPENAI_API_KEY"):
        found.append(("OPENAI_API_KEY is not set", "export it in the shell that starts the run"))
    return found


def _files(values: dict[str, Any]) -> list[tuple[str, str]]:
    given = [
        (key, str(values.get(key, "")))
        for key in ("seeds", "test_set", "references", "prices", "focus", "earlier")
    ]
    given += [
        ("benchmark_files", part.strip())
        for part in str(values.get("benchmark_files", "")).split(",")
    ]
    found = []
    for key, text in given:
        if text.startswith("http"):
            is_there = paths.is_downloaded(text) or reachable(text)
        else:
            is_there = text in ("", "own") or any(
                (base / text).exists() for base in (Path.cwd(), paths.root())
            )
        if not is_there:
            found.append(
                (
                    f"{key} is not to be had: {text[:70]}",
                    f"give a path of your own with --set {key}=…",
                )
            )
    return found


def _hardware(values: dict[str, Any]) -> list[tuple[str, str]]:
    has_gpu = _version("torch") and _cuda().is_available()
    if values.get("quantization") == "4bit" and not (has_gpu and _version("bitsandbytes")):
        elsewhere = "use a machine with an NVIDIA GPU, such as Colab's"
        lacks = "bitsandbytes: pip install 'medinstruct[gpu]'" if has_gpu else elsewhere
        return [("4-bit training needs a GPU and bitsandbytes", lacks)]
    if _is_of_hub(values.get("base_model", "student")) and not has_gpu:
        return [
            (
                f"{values['base_model']} is large for a processor",
                "use a GPU, or --set base_model=student",
            )
        ]
    return []


def _is_of_hub(model: str) -> bool:
    return model != "student" and not any(
        (base / model).exists() for base in (Path.cwd(), paths.root())
    )


def _remedy(url: str, keys: str) -> str:
    if url == HUB:
        return "check the network, or give the folder of a model with --set base_model=…"
    other = (
        f"start the server there, or give another address with --set {'=… '.join(keys.split())}=…"
    )
    return "check the network" if url == OPENAI else other


def _packages(missing: dict[str, str]) -> list[str]:
    lines = [
        f"Packages     {'all that are needed' if not missing else 'some are missing or too old'}"
    ]
    lines += [
        f"  {name}: {f'found {version}' if version else 'not installed'}"
        for name, version in missing.items()
    ]
    do = "  do: .venv/bin/pip install -r requirements.lock, or pip install 'medinstruct[train]'"
    return lines + ([do] if missing else [])


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _memory() -> str:
    if not sys.platform.startswith("linux"):
        return "memory unknown"
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB of memory"


def _accelerator() -> str:
    if not _version("torch"):
        return "unknown (no PyTorch)"
    cuda = _cuda()
    if not cuda.is_available():
        return "none: the student trains on the processor in minutes, a model of the hub does not"
    about = cuda.get_device_properties(0)
    kinds = "bfloat16" if cuda.is_bf16_supported() else "float16"
    return f"{cuda.device_count()} x {about.name}, {about.total_memory / 1e9:.0f} GB, {kinds}"


def _cuda() -> Any:
    import torch

    return torch.cuda
