"""Folders, files and disks: any name, read-only, full, without shared memory or locks."""

import ast
import hashlib
import html
import os
import re
import shutil
import subprocess
import sys
import textwrap
from contextlib import closing
from urllib.parse import unquote

import nbformat as nf
import pytest

from medinstruct import database, llm, manifest, paths, records, report, review
from medinstruct.errors import UserError
from medinstruct.llm import Request

ODD = [
    "Ärzte & Daten #1",
    "was? 100%20 %",
    "[a]*{b}",
    "a;b=c'd\"e",
    "e\u0301 decomposed",
    "漢字 😀",
    "-p",
    " blank. ",
    "+$HOME~`!",
    "x" * 180,
]
NEEDS = "no compiler here that could take the shared memory away"
ANSWER = {"text": "Rest.", "finish_reason": "stop", "model": "m"}


@pytest.fixture(params=ODD)
def odd(request, tmp_path):
    """A folder with an odd name."""
    folder = tmp_path / request.param
    folder.mkdir()
    return folder


def vote(store, item="i"):
    return store.cast("Ada", kind="dataset", item=item, hash="h", action="accept")


def ask(number=0):
    return Request(messages=[{"role": "user", "content": f"{number}"}])


def as_user(code, *arguments, **more):
    """Run Python code as a user who may not write everywhere, as root may; return the process."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root may write everywhere, and setpriv is not here to take that away")
        rights = "--bounding-set=-dac_override,-dac_read_search"
        command = ["setpriv", rights, *command]
    environment = os.environ | {"PYTHONPATH": str(paths.PACKAGE.parent)} | more
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def locked_folder(tmp_path):
    """Close a folder to writing, with all that is in it, until the test has ended."""
    closed = []

    def close(folder):
        for path in [*folder.rglob("*"), folder]:
            path.chmod(0o555 if path.is_dir() else 0o444)
            closed.append(path)
        return folder

    yield close
    for path in reversed(closed):
        path.chmod(0o755)


def digests(folder):
    """The hash of each file in a folder."""
    files = [path for path in folder.iterdir() if path.is_file()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# Any name


def test_answers_and_votes_count_in_every_folder(odd):
    with closing(llm.Cache(odd / "answers.sqlite")) as cache:
        cache.put("k", ask(), ANSWER)
    assert [path.name for path in odd.iterdir()] == ["answers.sqlite"]
    assert llm.Cache(odd / "answers.sqlite").get("k").text == "Rest."
    file = odd / "reviews.sqlite"
    hashes = [manifest.of_path(file)]
    with closing(review.Store(file)) as store:
        for item in ("i", "j"):
            vote(store, item)
            hashes.append(manifest.of_path(file))
    assert len(set(hashes)) == 3 and hashes[0] == "", "each vote makes the notebook run again"
    own = review.Store(odd / "own.sqlite")
    assert own.merge([file]) == 2 and own.merge([str(file)]) == 0
    assert report.results.cost(report.read_run(odd)).index.tolist() == ["m"]


def test_a_file_of_votes_may_be_named_like_an_address_or_a_link(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with closing(review.Store("file:votes?mode=memory")) as store:
        vote(store)
    (tmp_path / "far").mkdir()
    other = review.Store(tmp_path / "far" / "votes.sqlite")
    other._base.execute("PRAGMA journal_mode=WAL")
    vote(other)
    (tmp_path / "link.sqlite").symlink_to(tmp_path / "far" / "votes.sqlite")
    own = review.Store(tmp_path / "own.sqlite")
    assert own.merge(["file:votes?mode=memory"]) == 1
    assert own.merge(["link.sqlite"]) == 1, "what only the log of the real file holds is seen"


def test_a_users_file_is_found_under_every_name(odd, monkeypatch):
    file = records.write_text(odd / "my tasks #2?.jsonl", "{}\n")
    monkeypatch.chdir(odd.parent)
    monkeypatch.setenv("HOME", str(odd))
    ways = [file, f"{odd.name}/{file.name}", f"~/{file.name}"]
    ways += [f"{odd.name}\\{file.name}", f"./{odd.name}/{file.name}"]
    for way in map(str, ways):
        assert paths.resolve(way).samefile(file), way
        named = manifest.files_of({"seeds": [way], "judge": f"replay:{way}"})
        assert [path.samefile(file) for path in named.values()] == [True, True], way


@pytest.mark.parametrize("name", ["y" * 5000, "a\0b", "a\nb", "C:\\data\\new\\seeds.jsonl", ""])
def test_a_name_that_no_file_can_have_is_one_message(name):
    with pytest.raises(UserError, match="does not exist"):
        paths.resolve(name)
    assert manifest.files_of({"seeds": f"./{name}"}) == {} or not name


def test_a_path_with_backslashes_gets_the_advice_for_yaml():
    for name in ("C:\\data\\x.jsonl", "C:\new.jsonl"):  # the second as YAML reads it
        with pytest.raises(UserError, match="single quotes"):
            paths.resolve(name)


@pytest.mark.parametrize(
    "run", ["..", ".", "a.", "a ", "con", "Aux.txt", "NUL", "com1", "a:b", "a\\b", "a/b", "", "a\n"]
)
def test_a_run_that_could_not_move_to_another_system_is_refused_on_all(run):
    with pytest.raises(UserError, match="plain folder name"):
        paths.outputs(run)


@pytest.mark.parametrize("run", ["ü" * 101, "\ud800", "😀" * 51])
def test_a_run_whose_name_no_disk_can_keep_is_refused(run):
    with pytest.raises(UserError, match="plain folder name"):
        paths.outputs(run)


@pytest.mark.parametrize("run", ["-p", " a", "CONs", ".x", "Prüfung #1?", "100%", "{run}", "👩‍⚕️"])
def test_other_odd_names_of_runs_are_kept_as_they_are(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    assert paths.outputs(run) == tmp_path / run


def test_outputs_in_the_home_folder_and_at_an_address(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", "~/my runs")
    assert paths.outputs("x") == tmp_path / "my runs" / "x"
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", "s3://bucket/runs")
    with pytest.raises(UserError, match="must be a folder"):
        paths.outputs("x")


# Disks without shared memory, locks, rights or room


@pytest.fixture(scope="module")
def no_memory(tmp_path_factory):
    """The environment in which no file's memory is shared, as on most network drives."""
    if not (compiler := shutil.which("cc") or shutil.which("gcc")) or sys.platform != "linux":
        pytest.skip("no compiler here that could take the shared memory away")
    folder = tmp_path_factory.mktemp("preload")
    code = """
        #define _GNU_SOURCE
        #include <sys/mman.h>
        #include <dlfcn.h>
        #include <errno.h>
        static void *map(const char *name, void *a, size_t n, int p, int flags, int file, off_t o) {
          void *(*real)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, name);
          if (file >= 0 && (flags & MAP_SHARED)) { errno = ENODEV; return MAP_FAILED; }
          return real(a, n, p, flags, file, o);
        }
        void *mmap(void *a, size_t n, int p, int flags, int file, off_t o)
        { return map("mmap", a, n, p, flags, file, o); }
        void *mmap64(void *a, size_t n, int p, int flags, int file, off_t o)
        { return map("mmap64", a, n, p, flags, file, o); }
    """
    (folder / "no.c").write_text(code, encoding="utf-8")
    command = [compiler, "-shared", "-fPIC", "-o", "no.so", "no.c", "-ldl"]
    subprocess.run(command, cwd=folder, check=True)
    return {"LD_PRELOAD": str(folder / "no.so")}


def fill(folder, name, count):
    """Keep answers and votes in a folder, as one kernel does; return the open files."""
    cache, store = llm.Cache(folder / "a.sqlite"), review.Store(folder / "v.sqlite")
    for n in range(count):
        cache.put(f"{name}{n}", ask(), ANSWER)
        store.cast(name, kind="dataset", item=str(n), hash="h", action="accept")
    return cache, store


def kept(folder):
    """The numbers of answers and of votes in a folder."""
    return len(llm.Cache(folder / "a.sqlite").keys()), len(
        review.Store(folder / "v.sqlite").votes()
    )


# Forks one kernel after another, then three at once, then one beside the log of a dead one.
KERNELS = """
    import os, sys
    sys.path.append(os.path.dirname(sys.argv[2]))
    from pathlib import Path
    import test_folders
    def kernel(folder, name, count):
        if not (child := os.fork()):
            (folder := Path(sys.argv[1]) / folder).mkdir(exist_ok=True)
            sys.stderr = open(folder / f"notes {name}", "w")
            test_folders.fill(folder, name, count)
            sys.stderr.flush()
            os._exit(0)
        return child
    for name in ("A", "B"):
        os.waitpid(kernel("turns", name, 3), 0)
    at_once = [kernel("at once", name, 25) for name in ("A", "B", "C")]
    for child in [*at_once, kernel("dead", "A", 2)]:
        os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def shared(no_memory, tmp_path_factory):
    """A folder with those of kernels that ran where no memory is shared."""
    folder, alive = tmp_path_factory.mktemp("disk"), tmp_path_factory.mktemp("alive")
    cache, store = fill(alive, "dies", 0)
    store._base.execute("PRAGMA journal_mode=WAL")
    more = fill(alive, "dies", 3)
    shutil.copytree(alive, folder / "dead")
    assert (folder / "dead" / "v.sqlite-wal").stat().st_size > 0, "its votes are in the log"
    for base in (cache, store, *more):
        base.close()
    run = as_user(KERNELS, folder, __file__, **no_memory)
    assert run.returncode == 0, run.stderr
    return folder


def test_without_shared_memory_answers_and_votes_are_kept_and_it_is_noted_once(shared):
    notes = [(shared / "turns" / f"notes {name}").read_text("utf-8") for name in "AB"]
    assert notes == ["The disk of a.sqlite takes no write-ahead log; it is kept without one.\n", ""]
    assert kept(shared / "turns") == (6, 6)


def test_kernels_that_start_at_once_share_a_disk_without_shared_memory(shared):
    assert kept(shared / "at once") == (75, 75)


# Opens the two files, and prints the statements that choose how a file of theirs is kept.
CHOICES = """
    import sqlite3, sys
    from pathlib import Path
    class Traced(sqlite3.Connection):
        def __init__(self, name, *args, **form):
            super().__init__(name, *args, **form)
            note = lambda text: "journal_mode=" in text and print(Path(name).name, text)
            self.set_trace_callback(note)
    connect = sqlite3.connect
    sqlite3.connect = lambda *args, **form: connect(*args, factory=Traced, **form)
    from medinstruct import llm, review
    llm.Cache(Path(sys.argv[1]) / "a.sqlite"), review.Store(Path(sys.argv[1]) / "v.sqlite")
"""


def test_a_disk_without_shared_memory_is_known_before_a_file_is_switched(no_memory, tmp_path):
    """A switched file fails the kernels that have it open."""
    run = as_user(CHOICES, tmp_path, **no_memory)
    assert {line.split()[0] for line in run.stdout.splitlines()} == {"trial.sqlite"}, run.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.sqlite", "v.sqlite"]


def test_the_log_of_a_dead_kernel_is_read_where_memory_is_not_shared(shared):
    assert (shared / "dead" / "notes A").read_text("utf-8").count("takes no write-ahead log") == 2
    assert kept(shared / "dead") == (5, 5)


def test_what_bars_a_log_bars_no_answer(tmp_path, caplog):
    (tmp_path / "a.sqlite-shm").mkdir()  # as good as no shared memory, without a compiler
    with closing(llm.Cache(tmp_path / "a.sqlite")) as cache:
        cache.put("k", ask(), ANSWER)
    assert llm.Cache(tmp_path / "a.sqlite").get("k").text == "Rest."
    assert caplog.text.count("takes no write-ahead log") == 1


READ = """
    import sys
    from pathlib import Path
    from medinstruct import llm, manifest, review
    from medinstruct.errors import UserError
    from medinstruct.llm import Request
    answer = {"text": "x", "finish_reason": "stop", "model": "m"}
    vote = {"kind": "dataset", "item": "x", "hash": "h", "action": "accept"}
    for folder in map(Path, sys.argv[1:]):
        cache, store = llm.Cache(folder / "a.sqlite"), review.Store(folder / "v.sqlite")
        hash = manifest.of_path(folder / "v.sqlite")
        print(cache.get("A0").text, len(store.votes()), len(hash))
        for name, write in {
            "answer": lambda: cache.put("new", Request(messages=[]), answer),
            "vote": lambda: store.cast("B", **vote),
            "answer cache": lambda: llm.Cache(folder / "other" / "a.sqlite"),
            "votes.sqlite": lambda: review.Store(folder / "votes.sqlite"),
        }.items():
            try:
                write()
            except UserError as error:
                print(name.partition(" ")[0], name in error.what and "OUTPUTS" in error.do)
"""


def test_read_only_answers_and_votes_are_read_and_writing_is_one_message(tmp_path, locked_folder):
    for name in ("log", "no log"):
        for base in fill(tmp_path / name, "A", 2):
            base._base.execute(f"PRAGMA journal_mode={'WAL' if name == 'log' else 'DELETE'}")
            base.close()
    before = [digests(locked_folder(folder)) for folder in sorted(tmp_path.iterdir())]
    run = as_user(READ, *sorted(tmp_path.iterdir()))
    told = ["answer True", "vote True", "answer True", "votes.sqlite True"]
    assert run.stdout.splitlines() == ["Rest. 2 16", *told] * 2, run.stdout + run.stderr
    assert [digests(folder) for folder in sorted(tmp_path.iterdir())] == before


@pytest.mark.parametrize("harm", ["truncated", "text", "another page"])
def test_a_damaged_file_is_one_message_and_is_not_touched(harm, tmp_path):
    for base in fill(tmp_path, "A", 40):
        base.close()
    for name in ("a.sqlite", "v.sqlite"):
        file = tmp_path / name
        content = file.read_bytes()
        harmed = {"truncated": content[: len(content) // 2], "text": b"no database\n" * 99}
        file.write_bytes(harmed.get(harm, content[:100] + b"\xff" * 4000 + content[4100:]))
        before = file.read_bytes()
        for open_file in (llm.Cache, review.Store, manifest.of_path):
            with pytest.raises(UserError, match=name) as trouble:
                open_file(file)
            assert "move the file away" in trouble.value.do and file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.sqlite", "v.sqlite"]


def test_a_file_that_stays_locked_is_one_message_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "TIMEOUT", 0.1)
    for kind in (llm.Cache, review.Store):
        file = tmp_path / kind.__name__
        kind(file).close()
        with closing(database.connect(file)) as other:
            other.execute("PRAGMA journal_mode=DELETE")
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(UserError, match=f"{kind.__name__}(.|\n)*MEDINSTRUCT_OUTPUTS"):
                kind(file)


def test_a_full_disk_keeps_what_was_saved_and_tells_what_was_not(tmp_path):
    code = """
        import resource, signal, sys
        from medinstruct import llm, records
        from medinstruct.errors import UserError
        from medinstruct.llm import Request
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        cache = llm.Cache(sys.argv[1] + "/a.sqlite")
        records.write_text(sys.argv[1] + "/b.txt", "before")
        resource.setrlimit(resource.RLIMIT_FSIZE, (90_000, 90_000))
        saved, answer = 0, {"text": "x" * 5000, "finish_reason": "stop", "model": "m"}
        try:
            for n in range(100):
                cache.put(f"k{n}", Request(messages=[]), answer)
                saved += 1
        except UserError as error:
            print(saved, "MEDINSTRUCT_OUTPUTS" in error.do)
        try:
            records.write_text(sys.argv[1] + "/b.txt", "x" * 100_000)
        except UserError as error:
            print("MEDINSTRUCT_OUTPUTS" in error.do)
    """
    pytest.importorskip("resource")
    run = as_user(code, tmp_path)
    saved, *told = run.stdout.split()
    assert told == ["True", "True"], run.stderr
    assert 0 < int(saved) == len(llm.Cache(tmp_path / "a.sqlite").keys())
    assert (tmp_path / "b.txt").read_text("utf-8") == "before"
    assert {path.suffix for path in tmp_path.iterdir()} <= {".sqlite", ".sqlite-wal", ".txt"} | {
        ".sqlite-shm"
    }


# The command line in such folders


@pytest.fixture
def house(tmp_path):
    """A folder with an odd name that holds a notebook and a profile, as a clone does."""
    house = tmp_path / "Ärzte & Daten #1 {x}? 100%20 [a]* 😀"
    cells = [
        nf.v4.new_code_cell(
            'run: str = "t"  # Name.\nn: int = 1  # Number.',
            metadata={"tags": ["parameters"]},
            id="p",
        ),
        nf.v4.new_code_cell(
            "from medinstruct import paths, records, review\nout = paths.outputs(run)\n"
            "review.Store(out / 'reviews.sqlite').close()\n"
            "records.write_text(out / 'a.txt', 'x')",
            id="work",
        ),
        nf.v4.new_markdown_cell("See [02](02_two.ipynb).", id="next"),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    about = {"reads_if_there": ["reviews.sqlite"], "writes": ["a.txt"]}
    book = nf.v4.new_notebook(cells=cells, metadata={"medinstruct": about, "kernelspec": kernel})
    for name in ("notebooks", "params"):
        (house / name).mkdir(parents=True)
    nf.write(book, house / "notebooks" / "01_one.ipynb")
    (house / "params" / "p #1.yaml").write_text("run: t\n", encoding="utf-8")
    return house


RUN = """
    import os, sys
    from pathlib import Path
    from medinstruct import review
    from medinstruct.__main__ import main
    profile, outputs = sys.argv[1], sys.argv[2:]
    for folder in outputs:
        os.environ["MEDINSTRUCT_OUTPUTS"] = folder
        print("status", main(["run", profile, "--set", "run=Prüfung #1? {y}"]))
        print("error", "=" * 9, file=sys.stderr)
        if (votes := Path(folder, "Prüfung #1? {y}", "reviews.sqlite")).exists():
            vote = {"kind": "dataset", "item": "i", "hash": "h", "action": "accept"}
            review.Store(votes).cast(f"reviewer {len(outputs)}", **vote)
            outputs.append(folder) if len(outputs) < 2 else None
"""


def test_a_run_in_an_odd_folder_counts_its_votes_and_its_links_lead_on(house):
    outputs = house / "out % puts"
    run = as_user(RUN, "params/p #1.yaml", outputs, MEDINSTRUCT_HOME=str(house))
    lines = [line.partition(" in ")[0] for line in run.stdout.splitlines() if "Total" not in line]
    assert lines == ["01_one: done", "status 0"] * 2, run.stderr
    folder = outputs / "Prüfung #1? {y}"
    page = (folder / "pages" / "01_one.html").read_text("utf-8")
    links = [html.unescape(link) for link in re.findall(r'href="([^"#]+)', page)]
    assert {"../01_one.ipynb", "02_two.html", "../report.html"} <= {*links}
    assert (folder / "pages" / unquote("../01_one.ipynb")).exists()


def test_outputs_that_cannot_be_written_are_one_message_and_leave_nothing(
    house, tmp_path, locked_folder
):
    (tmp_path / "closed" / "empty" / "Prüfung #1? {y}").mkdir(parents=True)
    closed, file = locked_folder(tmp_path / "closed"), tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    places = [closed, closed / "empty", closed / "new", file, file / "below", "/proc/nowhere"]
    run = as_user(RUN, house / "params" / "p #1.yaml", *places, MEDINSTRUCT_HOME=str(house))
    assert run.stdout.split("\n")[:-1] == ["status 2"] * len(places), run.stdout + run.stderr
    for place, message in zip(places, run.stderr.split("error ========="), strict=False):
        assert "could not be written" in message and str(place) in message
        assert message.count("MEDINSTRUCT_OUTPUTS") == 1 and "Traceback" not in message
    assert file.read_text("utf-8") == "mine" and len([*closed.rglob("*")]) == 2


def test_without_a_home_folder_caches_are_temporary_and_the_doctor_tells(tmp_path, locked_folder):
    code = """
        import os, sys, tempfile
        from medinstruct import params, paths
        from medinstruct.pipeline import doctor
        tempfile.tempdir = sys.argv[1]
        for home in sys.argv[2:]:
            os.environ["HOME"] = home
            if not home:
                del os.environ["HOME"]
                os.path.expanduser = str  # nor has the system one
            file = paths.write_bytes(paths.cache_folder() / "new.txt", b"x")
            line = next(line for line in doctor._machine() if line.startswith("Cache"))
            print(file.is_relative_to(tempfile.tempdir), *paths.other_caches(), line)
        values = params.merged("demo")
        for folder in (f"{tempfile.tempdir}/new", file, "/proc/nowhere/x"):
            os.environ["MEDINSTRUCT_OUTPUTS"] = str(folder)
            print([what for what, do in doctor._files(values) if "MEDINSTRUCT_OUTPUTS" in do])
    """
    closed, temporary = tmp_path / "closed", tmp_path / "temporary"
    for folder in (closed, temporary):
        folder.mkdir()
    run = as_user(code, temporary, locked_folder(closed), "/proc/nohome", "", XDG_CACHE_HOME="")
    lines = run.stdout.splitlines()
    assert len(lines) == 6, run.stderr
    for line in lines[:3]:
        assert line.startswith("True MPLCONFIGDIR") and "MEDINSTRUCT_CACHE" in line
    assert lines[3] == "[]" and lines[5] == "['/proc cannot be written']"
    assert lines[4].endswith("new.txt cannot be written']"), "a file in place of the folder"


def test_a_cache_folder_that_cannot_be_written_names_its_variable(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("MEDINSTRUCT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="set MEDINSTRUCT_CACHE to"):
        paths.write_bytes(paths.cache_folder() / "x", b"x")
    with pytest.raises(UserError, match="set MEDINSTRUCT_CACHE to"):
        llm.model_folder("smollm2")


# Windows


def test_a_file_that_stays_open_is_one_message_and_keeps_its_text(tmp_path, monkeypatch):
    file = records.write_text(tmp_path / "a.txt", "old")

    def replace(source, target):
        raise PermissionError(13, "The process cannot access the file", str(target))

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(UserError, match="close programs that have it open"):
        records.write_text(file, "new")
    assert file.read_text("utf-8") == "old" and [*tmp_path.iterdir()] == [file]


def test_every_module_imports_without_what_only_unix_has():
    code = """
        import importlib, os, pkgutil, platform, signal, sys
        import psutil, medinstruct
        def every():
            for module in pkgutil.walk_packages(medinstruct.__path__, "medinstruct."):
                if not module.name.endswith("__main__"):
                    yield importlib.import_module(module.name)
        every_one = list(every())
        for name in [name for name in sys.modules if name.partition(".")[0] == "medinstruct"]:
            del sys.modules[name]
        for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog"):
            sys.modules[name] = None
        for name in ("geteuid", "getuid", "fork", "sched_getaffinity", "getpgid", "killpg", "nice"):
            delattr(os, name)
        for name in ("SIGKILL", "SIGHUP", "SIGALRM", "SIGXFSZ"):
            delattr(signal, name)
        sys.platform = "win32"
        import medinstruct
        print(len(list(every())) == len(every_one) > 50)
        sys.platform = "linux"  # for PyTorch, which the doctor asks
        platform.system = lambda: "Windows"
        from medinstruct import paths
        from medinstruct.pipeline import doctor
        print(any(".venv\\\\Scripts" in line for line in doctor._machine()), paths.cache_folder())
    """
    run = as_user(code, HOME="/proc/nohome", XDG_CACHE_HOME="")
    assert run.stdout.startswith("True\nTrue") and run.stdout.rstrip().endswith("medinstruct-0")


def test_no_text_file_is_read_or_written_in_the_encoding_of_the_machine():
    calls = []
    for file in paths.PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            values = [*node.args, *(word.value for word in node.keywords)] if name else []
            texts = {value.value for value in values if isinstance(value, ast.Constant)}
            is_text = name.endswith((".read_text", ".write_text")) and name != "records.write_text"
            is_text = is_text or (name.endswith("open") and texts & {"r", "w", "a", "x", "r+"})
            if (
                is_text
                and not texts & {"utf-8", "utf-8-sig"}
                and "devnull" not in ast.unparse(node)
            ):
                calls.append(f"{file.name}: {ast.unparse(node)}")
    assert calls == ["runner.py: heard.read_text(errors='replace')"], "a kernel's own words"


def test_equal_files_have_equal_hashes_in_folders_of_every_name(tmp_path):
    folders = [tmp_path / "LICENSE", tmp_path / "__pycache__" / "a"]
    for folder in folders:
        records.write_text(folder / "b" / "c.txt", "ä\n")
        records.write_text(folder / "b.txt", "x")
    (folders[0] / ".DS_Store").write_bytes(b"left by a desktop")
    hashes = {manifest.of_path(folder) for folder in folders}
    records.write_text(folders[0] / "b.txt", "y")
    assert len(hashes) == 1 and manifest.of_path(folders[0]) not in hashes
    content = records.content_hash
    rows = [("b/c.txt", manifest.of_path(folders[1] / "b" / "c.txt"))]
    rows.append(("b.txt", manifest.of_path(folders[1] / "b.txt")))
    assert hashes == {content(rows)}, "with slashes, on Windows too"


def test_a_run_that_may_only_be_read_is_copied_whole_and_can_be_written(
    tmp_path, monkeypatch, locked_folder
):
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    records.write_text(tmp_path / "theirs" / "adapter" / "weights.txt", "theirs")
    locked_folder(tmp_path / "theirs")
    new = tmp_path / "mine"
    for text in ("theirs", "newer"):
        (tmp_path / "theirs" / "adapter" / "weights.txt").chmod(0o644)
        (tmp_path / "theirs" / "adapter" / "weights.txt").write_text(text, encoding="utf-8")
        manifest._copy_inputs(["adapter"], tmp_path / "theirs", new)
        assert (new / "adapter" / "weights.txt").read_text("utf-8") == text
    assert [path.stat().st_mode & 0o200 for path in new.rglob("*")] == [0o200] * 4
    assert {path.name for path in new.iterdir()} == {"adapter", ".manifest.lock", "manifest.json"}


def test_a_copy_that_breaks_off_is_not_taken_for_the_runs_own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    for name in ("a", "b"):
        records.write_text(tmp_path / "theirs" / "adapter" / name, name)
    real, calls = shutil.copyfile, []

    def copyfile(source, target, **more):
        calls.append(source)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(source, target, **more)

    with monkeypatch.context() as patch, pytest.raises(UserError, match="MEDINSTRUCT_OUTPUTS"):
        patch.setattr(shutil, "copyfile", copyfile)
        manifest._copy_inputs(["adapter"], tmp_path / "theirs", tmp_path / "mine")
    assert [*(tmp_path / "mine").iterdir()] == []
    manifest._copy_inputs(["adapter"], tmp_path / "theirs", tmp_path / "mine")
    assert {path.name for path in (tmp_path / "mine" / "adapter").iterdir()} == {"a", "b"}


@pytest.mark.parametrize("text", ["", '{"a": 1', "\0\0\0", "<<<<<<< HEAD"])
def test_a_torn_file_of_a_run_is_one_message_that_names_it(text, tmp_path):
    for name in ("manifest.json", "generation.json"):
        records.write_text(tmp_path / name, text)
        with pytest.raises(UserError, match=f"{name} cannot be read as JSON"):
            report.read_run(tmp_path)
        (tmp_path / name).unlink()
