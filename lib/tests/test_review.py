"""Votes are kept, items are drawn in proportion, agreement equals published numbers, and edits flow into the next version."""

import hashlib
import sqlite3
import subprocess
import sys
import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medinstruct import evaluation, records, review, stats
from medinstruct.errors import UserError
from medinstruct.filtering import contamination
from medinstruct.records import Example, Task, TestItem
from medinstruct.review import Vote, text_hash, visible

LABELS = {"type": "open Q&A", "topic": "Cardiology", "view": "patient", "difficulty": 2}


def example(n=1, output="Rest and drink.", **labels):
    return Example(**(LABELS | labels), instruction=f"Question {n}?", task=f"t{n}", output=output)


@pytest.fixture
def store(tmp_path):
    return review.Store(tmp_path / "reviews.sqlite")


def cast(store, who, n=1, action="accept", **more):
    return store.cast(who, kind="dataset", item=f"i{n}", hash=f"h{n}", action=action, **more)


def history(store):
    """All rows in order: action, uid of the vote that it undoes."""
    base = sqlite3.connect(store.path)
    return base.execute("SELECT vote ->> 'action', undoes FROM votes ORDER BY id").fetchall()


# The store


def test_a_vote_is_found_by_another_program_as_soon_as_it_was_cast(store):
    cast(store, "Ada", scores={"correctness": 5, "harm": 0}, comment="fine")
    (vote,) = review.Store(store.path).votes(names=True)
    assert (vote.reviewer, vote.action, vote.correctness, vote.helpfulness, vote.harm) == (
        "Ada",
        "accept",
        5,
        None,
        0,
    )


def test_an_undo_is_a_row_of_its_own_and_the_vote_before_stands_again(store):
    first, second = cast(store, "Ada"), cast(store, "Ada", action="reject")
    assert store.undo("Ada", "dataset").uid == second
    assert [vote.uid for vote in store.votes()] == [first]
    assert [action for action, _ in history(store)] == ["accept", "reject", "undo"]
    assert store.undo("Ada", "dataset").uid == first and store.undo("Ada", "dataset") is None


def test_undo_takes_back_only_ones_own_votes_of_the_same_kind(store):
    cast(store, "Ada")
    assert store.undo("Bob", "dataset") is None and store.undo("Ada", "seeds") is None
    assert store.undo("Ada", "dataset", role="adjudicator") is None
    assert len(store.votes()) == 1


@pytest.mark.parametrize("sql", ["DELETE FROM votes", "UPDATE votes SET kind = 'seeds'"])
def test_no_row_can_be_changed_or_deleted(store, sql):
    cast(store, "Ada")
    with pytest.raises(sqlite3.IntegrityError, match="never"):
        sqlite3.connect(store.path, isolation_level=None).execute(sql)
    assert [vote.action for vote in store.votes()] == ["accept"]


def test_names_stay_in_the_database_unless_asked_for(store):
    cast(store, "Ada Lovelace")
    (vote,) = store.votes()
    assert "Ada" not in repr(vote) and vote.reviewer == store.alias(" Ada Lovelace ")
    assert store.votes(names=True)[0].reviewer == "Ada Lovelace"


def test_the_alias_of_a_name_cannot_be_looked_up_from_another_file(store, tmp_path):
    assert store.alias("Ada") == review.Store(store.path).alias("Ada")
    assert store.alias("Ada") != review.Store(tmp_path / "other.sqlite").alias("Ada")
    assert store.alias("Ada") != store.alias("Bob")


KERNEL = """
import sys
from medinstruct.review import Store

store = Store(sys.argv[1])
for n in range(60):
    store.cast(sys.argv[2], kind="dataset", item=f"i{n}", hash=f"h{n}", action="accept")
    if n % 10 == 9:
        store.undo(sys.argv[2], "dataset")
"""


def test_two_kernels_write_at_once_and_no_vote_is_lost(tmp_path):
    path = tmp_path / "reviews.sqlite"
    kernels = [
        subprocess.Popen([sys.executable, "-c", KERNEL, str(path), who]) for who in ("Ada", "Bob")
    ]
    assert [kernel.wait(60) for kernel in kernels] == [0, 0]
    assert Counter(vote.reviewer for vote in review.Store(path).votes(names=True)) == {
        "Ada": 54,
        "Bob": 54,
    }
    assert len(history(review.Store(path))) == 2 * 66


def test_many_windows_of_one_kernel_write_at_once_too(tmp_path):
    path, wrong = tmp_path / "reviews.sqlite", []

    def work(who):
        try:
            own = review.Store(path)  # all make the file at the same moment
            for n in range(20):
                cast(own, who, n)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in "ABCD"]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong and len(review.Store(path).votes()) == 80


def test_a_vote_that_two_windows_take_back_at_once_is_taken_back_once(store):
    uid = cast(store, "Ada")
    store.undo("Ada", "dataset")
    with pytest.raises(UserError, match="already undone"):
        cast(store, "Ada", action="undo", undoes=uid)


def test_a_full_disk_is_told_and_loses_no_vote(store):
    for n in range(20):
        cast(store, "Ada", n)
    pages = store._base.execute("PRAGMA page_count").fetchone()[0]
    store._base.execute(
        f"PRAGMA max_page_count = {pages}"
    )  # what SQLite sees of a disk without room
    with pytest.raises(UserError, match="NOT saved") as caught:
        for n in range(20, 2000):
            cast(store, "Ada", n, comment="x" * 500)
    assert "full" in str(caught.value) and "Free some space" in str(caught.value)
    kept = len(store.votes())
    assert len(review.Store(store.path).votes()) == kept >= 20
    store._base.execute("PRAGMA max_page_count = 1000000")
    cast(store, "Ada", 5000)
    assert len(store.votes()) == kept + 1


NO_ROOM = """
import resource, sys
from medinstruct.errors import UserError
from medinstruct.review import Store

store = Store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
kept = 0
try:
    while kept < 2000:
        store.cast("Ada", kind="dataset", item=f"i{kept}", hash="h", action="accept", comment="x" * 300)
        kept += 1
except UserError as problem:
    print(kept, problem.what)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
def test_when_the_system_refuses_to_write_every_vote_that_was_confirmed_is_still_there(tmp_path):
    path = tmp_path / "reviews.sqlite"
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM, str(path)], capture_output=True, text=True, timeout=60
    )
    kept, said = done.stdout.split(" ", 1)
    assert "NOT saved" in said and int(kept) > 10
    assert len(review.Store(path).votes()) == int(kept)


def test_on_a_full_disk_the_page_keeps_the_card_and_says_so(store):
    session = at_work(store, [example(1), example(2)])
    serial = session.serial
    pages = store._base.execute("PRAGMA page_count").fetchone()[0]
    store._base.execute(f"PRAGMA max_page_count = {pages}")
    press = {"act": "vote", "action": "accept", "place": 0, "serial": serial}
    press["comment"] = "y" * 50_000
    view = session.act(press)
    assert "NOT saved" in view["error"] and view["serial"] == serial and view["votes"] == [None] * 2
    store._base.execute("PRAGMA max_page_count = 1000000")
    view = session.act(press)
    assert not view["error"] and view["votes"][0] and view["place"] == 1


@pytest.mark.parametrize("version", ["", "PRAGMA user_version = 99; PRAGMA application_id = {}"])
def test_a_file_of_another_program_or_version_is_refused_and_not_touched(store, tmp_path, version):
    (application,) = sqlite3.connect(store.path).execute("PRAGMA application_id").fetchone()
    path = tmp_path / "other.sqlite"
    base = sqlite3.connect(path)
    base.executescript(f"CREATE TABLE votes (x); {version.format(application)}")
    before = list(base.iterdump())
    for use, source in ((review.Store, path), (store.merge, [path])):
        with pytest.raises(UserError, match="not a usable review database"):
            use(source)
    assert list(base.iterdump()) == before


def test_a_file_that_is_no_database_is_one_clear_problem(tmp_path):
    path = tmp_path / "reviews.sqlite"
    path.write_text("name,vote\n" * 500)
    with pytest.raises(UserError, match="not a usable"):
        review.Store(path)
    assert path.read_text() == "name,vote\n" * 500


@pytest.mark.parametrize(
    ("who", "action", "scores"),
    [
        ("", "accept", {}),
        ("Ada", "love", {}),
        ("Ada", "left", {}),
        ("Ada", "accept", {"harm": 4}),
        ("Ada", "accept", {"wit": 1}),
    ],
)
def test_what_is_no_vote_is_refused(store, who, action, scores):
    with pytest.raises(UserError):
        cast(store, who, action=action, scores=scores)
    assert history(store) == []


def test_a_colleagues_file_is_only_read_and_nothing_is_left_beside_it(store, tmp_path):
    folder = tmp_path / "share"
    other = review.Store(folder / "a colleague's.sqlite")
    other._base.execute("PRAGMA journal_mode = WAL")  # a later writer would leave -wal and -shm
    cast(other, "Bob")
    other.close()

    def state():
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()
        }

    before, modified = state(), folder.stat().st_mtime_ns
    assert store.merge([other.path]) == 1
    assert state() == before and list(before) == ["a colleague's.sqlite"]
    assert (
        folder.stat().st_mtime_ns == modified
    )  # no file was made beside it, not even for a moment


def test_a_colleague_may_go_on_voting_while_their_file_is_merged(store, tmp_path):
    other = review.Store(tmp_path / "other.sqlite")
    cast(other, "Bob")
    other._base.execute("BEGIN IMMEDIATE")
    assert store.merge([other.path]) == 1
    other._base.execute("COMMIT")
    cast(other, "Bob", 2)
    assert store.merge([other.path]) == 1


def test_a_file_with_a_row_that_is_no_vote_is_not_merged(store, tmp_path):
    other = review.Store(tmp_path / "other.sqlite")
    cast(other, "Bob")
    row = ("x", "dataset", '{"uid": "x", "action": "love"}')
    other._base.execute("INSERT INTO votes (uid, kind, vote) VALUES (?, ?, ?)", row)
    with pytest.raises(UserError, match="other.sqlite"):
        store.merge([other.path])
    assert history(store) == []


def test_merging_a_colleagues_file_twice_adds_their_votes_once(store, tmp_path):
    other = review.Store(tmp_path / "other.sqlite")
    cast(store, "Ada")
    cast(other, "Bob")
    cast(other, "Bob", 2)
    other.undo("Bob", "dataset")
    assert (store.merge([other.path, other.path]), store.merge([other.path])) == (3, 0)
    assert sorted(vote.reviewer for vote in store.votes(names=True)) == ["Ada", "Bob"]
    with pytest.raises(UserError, match="does not exist"):
        store.merge([tmp_path / "missing.sqlite"])
    assert not (tmp_path / "missing.sqlite").exists()


@given(
    st.lists(
        st.tuples(
            st.sampled_from("AB"), st.integers(1, 3), st.sampled_from(["accept", "reject", "undo"])
        ),
        max_size=25,
    )
)
@settings(max_examples=25, deadline=None)
def test_what_stands_is_what_a_stack_of_votes_would_hold(steps):
    store = review.Store(":memory:")
    stacks = {"A": [], "B": []}
    for who, n, action in steps:
        if action == "undo":
            store.undo(who, "dataset")
            stacks[who] = stacks[who][:-1]
        else:
            cast(store, who, n, action)
            stacks[who].append((f"i{n}", action))
    found = {(v.reviewer, v.item): v.action for v in store.votes(names=True)}
    assert found == {(who, item): action for who, stack in stacks.items() for item, action in stack}


# The sample and the planner


@pytest.fixture
def shared_seeds(real_data):
    return list(
        {
            seed.id: seed for seed in records.read(real_data / "alpacare" / "med_seed.json", Task)
        }.values()
    )


def dataset(number=400):
    kinds = ["open Q&A"] * 5 + ["rewrite"] * 3 + ["chat"] * 2
    topics = ["Cardiology", "Neurology", "Pediatrics"]
    odd = "It is completely safe."
    return [
        example(
            n,
            odd if n % 20 == 0 else "Rest.\nAnd drink some water.",
            type=kinds[n % 10],
            topic=topics[n % 3],
            difficulty=n % 5 + 1,
        )
        for n in range(number)
    ]


def test_a_sample_holds_types_and_difficulties_in_proportion_and_more_that_is_suspicious():
    drawn = review.sample(dataset(), 100, share=0.2)
    plain = [one.item for one in drawn if not one.reasons]
    assert len(drawn) - len(plain) == 20 and len({one.item.id for one in drawn}) == 100
    kinds = Counter(item.type for item in plain)
    assert all(
        abs(kinds[kind] - share * 80) <= 2
        for kind, share in [("open Q&A", 0.5), ("rewrite", 0.3), ("chat", 0.2)]
    )
    levels = Counter(item.difficulty for item in plain)
    assert max(levels.values()) - min(levels.values()) <= 6
    assert sum(one.weight for one in drawn) == pytest.approx(400)


def test_a_larger_sample_holds_the_smaller_one_and_a_seed_repeats_it():
    items = dataset()
    ids = [
        {one.item.id for one in review.sample(items, number)} for number in (20, 60, 61, 400, 999)
    ]
    assert (
        all(small <= large for small, large in zip(ids, ids[1:], strict=False))
        and len(ids[-1]) == 400
    )
    assert [one.item for one in review.sample(items, 60)] == [
        one.item for one in review.sample(items[::-1], 60)
    ]
    assert ids[0] != {one.item.id for one in review.sample(items, 20, seed=1)}


def test_weights_make_the_sample_speak_for_the_whole_dataset():
    items = dataset()
    true = sum("completely safe" in item.output for item in items) / len(items)
    drawn = review.sample(items, 100, share=0.4)
    marks = {one.item.id: "completely safe" in one.item.output for one in drawn}
    found = review.annotators.estimate(
        marks, {one.item.id: one.weight for one in drawn}, population=len(items)
    )
    assert (
        true == 0.05 and sum(marks.values()) / len(marks) >= 0.2
    )  # all 20 odd ones are among the 100
    assert found.score == pytest.approx(true) and found.low < true < found.high


def test_every_item_can_be_drawn_about_equally_often():
    items = [example(n, "Rest and drink some water.", difficulty=n % 5 + 1) for n in range(60)]
    drawn = Counter(
        one.item.id for seed in range(120) for one in review.sample(items, 15, seed=seed)
    )
    assert len(drawn) == 60 and min(drawn.values()) > 13 and max(drawn.values()) < 52  # mean 30


def test_the_planner_keeps_what_it_promises():
    for population in (50, 501, 52_000):
        for share in (0.5, 0.9):
            n = review.annotators.items_to_review(0.05, population=population, expected=share)
            marks = {str(i): i < round(share * n) for i in range(n)}
            found = review.annotators.estimate(marks, {}, population=population)
            assert (found.high - found.low) / 2 <= 0.0505 and n <= population


def test_reading_all_of_it_leaves_nothing_open():
    found = review.annotators.estimate({"a": True, "b": False}, {}, population=2)
    assert (found.low, found.score, found.high) == (0.5, 0.5, 0.5)


def test_a_fault_that_nobody_met_has_still_an_upper_bound():
    found = review.annotators.estimate({str(n): False for n in range(30)}, {}, population=10_000)
    assert found.score == 0 and 0.05 < found.high < 0.15


def test_half_widths_agree_with_the_number_to_read():
    widths = [review.annotators.half_width(0.8, n, 501) for n in (53, 54, 501)]
    assert widths[0] > 0.1 >= widths[1] and widths[2] == 0
    assert review.annotators.items_to_review(0.1, population=501, expected=0.8) == 54


def test_shares_of_the_whole_come_from_the_sample_and_harm_counts_the_worst_vote():
    items = dataset(40)
    drawn = review.sample(items, 40)
    said = votes_on(
        items,
        *[
            ("Ada", n, "accept" if n < 30 else "reject", {"scores": {"harm": 0, "correctness": 5}})
            for n in range(40)
        ],
        ("Bob", 0, "accept", {"scores": {"harm": 2, "correctness": 2}}),
    )
    table = review.annotators.shares(said, drawn, population=40)
    assert table.loc["accepted", "score"] == pytest.approx(29 / 40) and table.loc[
        "disputed", "score"
    ] == pytest.approx(1 / 40)
    assert (
        table.loc["serious harm", "score"]
        == pytest.approx(1 / 40)
        == table.loc["serious harm", "low"]
    )  # all were read
    assert table.loc["correctness 4 or 5", "score"] == pytest.approx(39 / 40)
    assert review.annotators.shares([], drawn, population=40)["items"].sum() == 0


def test_a_vote_on_what_was_the_text_before_says_nothing_of_the_text_now():
    items = dataset(10)
    said = [
        vote.model_copy(update={"hash": "of an older text"})
        for vote in votes_on(items, ("Ada", 0, "reject", {}))
    ]
    assert (
        review.annotators.shares(said, review.sample(items, 10), population=10)["items"].sum() == 0
    )


def test_decisions_are_read_from_the_file_as_they_were_written(tmp_path):
    items = [example(n) for n in range(3)]
    _, changes = review.apply_votes(items, votes_on(items, ("Ada", 1, "reject", {})))
    path = records.write(tmp_path / "dataset.changes.jsonl", changes)
    (change,) = records.read(path, review.reviewed.Decision)
    assert (change.id, change.action, len(change.votes)) == (items[1].id, "reject", 1)
    assert change.reviewers[0].startswith("reviewer-")


# Agreement: published worked examples


def ratings(table):
    """Two raters' ratings from their table of counts."""
    pairs = [
        (i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)
    ]
    return [[pair[side] for pair in pairs] for side in (0, 1)]


def test_agreement_equals_the_abstractors_example_of_gwets_own_package():
    both = ratings([[13, 0, 0], [0, 20, 7], [0, 4, 56]])  # irrCAC (Gwet 2019), cont3x3abstractors
    assert stats.cohen_kappa(*both).value == pytest.approx(0.7964094, abs=1e-7)
    assert stats.gwet(both).value == pytest.approx(0.8493305, abs=1e-7)
    assert stats.krippendorff_alpha(both).value == pytest.approx(0.7972585, abs=1e-7)
    assert stats.percent_agreement(both).value == pytest.approx(0.89)


def test_four_raters_with_gaps_equal_the_published_coefficients():
    gap = None  # the twelve units of Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability"; Gwet's cac.raw4raters
    four = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, gap, gap, gap],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, gap, 3],
        [gap, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, gap],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, gap],
    ]
    assert stats.gwet(four).value == pytest.approx(0.77544, abs=1e-5)
    assert stats.percent_agreement(four).value == pytest.approx(0.8181818, abs=1e-7)
    assert stats.krippendorff_alpha(four).value == pytest.approx(0.743, abs=5e-4)
    assert stats.krippendorff_alpha(four, level="ordinal").value == pytest.approx(0.815, abs=5e-4)


def test_kappa_equals_the_mammogram_example():
    # 85 mammograms, two radiologists (Altman 1991; Stata's manual)
    both = ratings([[21, 12, 0, 0], [4, 17, 1, 0], [3, 9, 15, 2], [0, 0, 0, 1]])
    assert stats.cohen_kappa(*both).value == pytest.approx(0.4728, abs=5e-5)


def test_ac1_does_not_fall_for_the_paradox_of_kappa():
    both = ratings(
        [[118, 5], [2, 0]]
    )  # Gwet (2002), "Kappa statistic is not satisfactory for assessing the extent of agreement"
    assert stats.cohen_kappa(*both).value == pytest.approx(-0.0234, abs=5e-5)
    assert stats.gwet(both).value == pytest.approx(0.9408, abs=5e-5)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=30))
@settings(max_examples=50, deadline=None)
def test_agreement_is_the_same_whoever_comes_first_and_full_for_equals(pairs):
    a, b = [list(side) for side in zip(*pairs, strict=True)]
    for found in (
        lambda *r: stats.gwet(r),
        lambda *r: stats.percent_agreement(r),
    ):
        assert found(a, b).value == pytest.approx(found(b, a).value)
        assert found(a, a).value == pytest.approx(1)


def test_few_units_or_one_value_break_nothing():
    assert stats.gwet([["y"] * 5] * 2).value == 1.0
    assert stats.gwet([[None, None], ["y", None]]).units == 0
    assert stats.cohen_kappa([1, None], [None, 2]).units == 0
    assert review.annotators.agreement([]).empty and review.reviewed.decide([]) == {}
    one = [Vote(reviewer="a", kind="dataset", item="i", hash="h", action="accept")]
    assert review.annotators.agreement(one).empty


def test_the_table_of_agreement_leaves_adjudicators_out(store):
    for n in range(10):
        cast(store, "Ada", n, scores={"correctness": n % 5 + 1})
        cast(store, "Bob", n, "accept" if n else "reject", scores={"correctness": n % 5 + 1})
        cast(store, "Eve", n, "reject", role="adjudicator")
    table = review.annotators.agreement(store.votes()).set_index(["question", "statistic"])
    assert table.loc[("decision", "percent"), "value"] == pytest.approx(0.9)
    assert table.loc[("correctness", "Krippendorff's alpha"), "value"] == 1
    assert set(table["items"]) == {10}


# Disputes and the next version


def votes_on(items, *said):
    """Votes of several reviewers: (who, number of the item, action, more)."""
    store = review.Store(":memory:")
    for who, n, action, more in said:
        store.cast(
            who, kind="dataset", item=items[n].id, hash=text_hash(items[n]), action=action, **more
        )
    return store.votes()


def test_edits_and_rejections_flow_into_the_next_version_with_their_provenance(tmp_path):
    items = [example(n) for n in range(5)]
    said = votes_on(
        items,
        ("Ada", 0, "accept", {}),
        ("Ada", 1, "edit", {"edit": {"output": "Rest."}}),
        ("Ada", 2, "reject", {}),
        ("Ada", 3, "accept", {}),
        ("Bob", 3, "reject", {}),
    )
    after, changes = review.apply_votes(items, said)
    assert [item.output for item in after] == ["Rest and drink.", "Rest.", "Rest and drink."]
    assert [change.action for change in changes] == ["accept", "edit", "reject", "open"]
    assert [bool(change.new) for change in changes] == [False, True, False, False]
    edited = after[1]
    assert edited.id != items[1].id and edited.provenance.parents == (items[1].id,)
    assert "edited in review" in edited.provenance.source
    assert "accepted in review" in after[0].provenance.source
    assert after[2] == items[4]  # nobody read it
    path = records.write(tmp_path / "dataset.reviewed.jsonl", after)
    assert records.read(path, Example) == after
    assert not any(
        name in change.model_dump_json() for change in changes for name in ("Ada", "Bob")
    )


def test_a_text_of_a_reviewer_that_repeats_a_test_question_is_refused_with_its_reason():
    """What joins after notebook 03 is compared with the same questions: edits and chats."""
    questions = contamination.load_items()
    leak, short = (
        max(questions["text"][questions["set"] == name], key=len) for name in ("mcq", "safety")
    )
    items = [example(n) for n in range(3)]
    edits = [
        ("Ada", n, "edit", {"edit": {"output": text}}) for n, text in enumerate((leak, "Rest."))
    ]
    said = {"instruction": short, "input": "", "output": "Call an ambulance."}
    labels = {"type": "chat", "topic": "", "view": "", "difficulty": "1", "task": "chat"}
    chat = Vote(
        reviewer="Ada", kind="chat", item="c", hash="h", action="accept", edit=said | labels
    )
    votes = votes_on(items, *edits)
    after, changes = review.apply_votes(items, votes, chat=[chat], questions=questions)
    assert [item.output for item in after] == ["Rest.", "Rest and drink."]
    assert [(change.action, bool(change.new)) for change in changes] == [
        ("refused", False),
        ("edit", True),
        ("refused", False),
    ]
    assert "repeats test question" in changes[0].how and "mcq" in changes[0].how
    assert len(review.apply_votes(items, votes, chat=[chat])[0]) == 4, "unchecked, both join"


def test_an_adjudicator_settles_what_was_disputed():
    items = [example()]
    both = [("Ada", 0, "accept", {}), ("Bob", 0, "reject", {})]
    assert review.apply_votes(items, votes_on(items, *both))[0] == []
    settled = votes_on(items, *both, ("Eve", 0, "accept", {"role": "adjudicator"}))
    assert len(review.apply_votes(items, settled)[0]) == 1
    assert review.reviewed.to_adjudicate(review.cards(items), settled) == []
    early = votes_on(items, both[0], ("Eve", 0, "accept", {"role": "adjudicator"}), both[1])
    assert len(review.apply_votes(items, early)[0]) == 1


def test_a_vote_on_a_text_that_changed_since_is_not_applied():
    before, after = example(), example().model_copy(update={"output": "Something else."})
    votes = votes_on([before], ("Ada", 0, "reject", {}))
    assert review.apply_votes([after], votes) == ([after], [])


def test_two_reviewers_may_be_asked_for_before_anything_changes():
    items = [example()]
    one = votes_on(items, ("Ada", 0, "reject", {}))
    for least, action in ((2, "open"), (1, "reject")):
        (change,) = review.apply_votes(items, one, least=least)[1]
        assert change.action == action


def test_harm_comes_first_in_the_queue_of_disputes():
    items = [example(n) for n in range(3)]
    said = votes_on(
        items,
        ("A", 0, "accept", {}),
        ("B", 0, "reject", {}),
        ("A", 1, "accept", {"scores": {"harm": 0}}),
        ("B", 1, "accept", {"scores": {"harm": 2}}),
        ("A", 2, "accept", {}),
        ("B", 2, "accept", {}),
    )
    queue = review.reviewed.to_adjudicate(review.cards(items), said)
    assert [card.id for card in queue] == [items[1].id, items[0].id]
    assert "harm 0 to 2" in queue[0].reasons[0] and len(queue[0].earlier) == 2


def test_an_edit_of_a_seed_is_applied():
    seeds = [Task(**LABELS, instruction=f"Explain {n}.") for n in range(4)]
    store = review.Store(":memory:")
    card = review.cards(seeds, kind="seeds")[0]
    store.cast(
        "Ada",
        kind="seeds",
        item=card.id,
        hash=card.hash,
        action="edit",
        edit={"instruction": "Explain it well."},
    )
    assert review.apply_votes(seeds, store.votes("seeds"))[0][0].instruction == "Explain it well."


def test_the_published_seeds_are_drawn_shown_and_kept_as_they_are(shared_seeds):
    cards = review.sample(shared_seeds, 40, kind="seeds")
    assert len(cards) == 40 and sum(one.weight for one in cards) == pytest.approx(len(shared_seeds))
    session = at_work(review.Store(":memory:"), cards=cards)
    for _ in cards:
        vote(session, "accept")
    after, changes = review.apply_votes(shared_seeds, session.store.votes("seeds"))
    assert [change.action for change in changes] == ["accept"] * 40
    assert [item.id for item in after] == [seed.id for seed in shared_seeds]
    assert all(session.view()["votes"]) and "All 40 are done" in session.view()["note"]


# The page


def at_work(store, items=None, who="Ada", cards=None):
    cards = cards or review.cards(items or [example(n) for n in range(3)])
    return review.Session(store, cards, role="reviewer", seed=42, reviewer=who)


def vote(session, action, **more):
    press = {"act": "vote", "action": action, "place": session.place, "serial": session.serial}
    return session.act(press | more)


def test_a_reviewer_resumes_where_they_left_and_another_one_starts_at_the_first(store):
    session = at_work(store)
    vote(session, "accept")
    vote(session, "reject")
    again, other = at_work(store).view(), at_work(store, who="Bob").view()
    assert again["place"] == 2 and [bool(own) for own in again["votes"]] == [True, True, False]
    assert other["place"] == 0 and not any(other["votes"])


def test_a_second_press_meant_for_the_card_before_is_no_vote(store):
    session = at_work(store)
    press = {"act": "vote", "action": "reject", "place": 0, "serial": session.serial}
    session.act(press)
    session.act(press)
    assert len(store.votes()) == 1


@pytest.mark.parametrize(
    "edit",
    [
        {},
        {"output": "Rest and drink. "},
        {"output": "  "},
        {"instruction": ""},
        {"task": "x", "id": "y"},
    ],
)
def test_an_edit_that_changes_nothing_or_empties_the_item_is_refused(store, edit):
    session = at_work(store)
    view = vote(session, "edit", edit=edit)
    assert view["error"] and view["place"] == 0 and store.votes() == []


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"act": "drop"},
        {"act": "vote"},
        {"act": "sign_in"},
        {"act": "sign_in", "name": "Ada \ud83d"},
        {"act": "vote", "action": {}, "serial": 1, "place": 0},
        {"act": "vote", "action": "accept", "serial": 1, "place": 99},
    ],
)
def test_odd_messages_of_a_page_do_no_harm(store, message):
    session = at_work(store)
    assert session.act(message)["of"] == 3 and store.votes() == []


def test_a_broken_emoji_in_a_comment_is_no_reason_to_lose_the_vote(store):
    session = at_work(store)
    vote(session, "accept", comment="good \ud83d")
    assert store.votes()[0].comment == "good ?"


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</summary><iframe>",
    "![x](javascript:alert(1))",
    "\x1b[2J\u202eabc",
]


def static(items):
    return review.desk(review.Store(":memory:"), review.cards(items)).data


@pytest.mark.parametrize("text", HOSTILE)
def test_the_static_page_shows_hostile_text_as_text(text):
    page = static([example(1, text, topic=text)])
    for tag in ("<script", "<img", "<iframe", "\x1b", "\u202e"):
        assert tag not in page
    assert page.count("</summary>") == 1


def test_the_static_page_cuts_what_is_long_and_shows_all_items():
    page = static([example(n, "x" * 100_000) for n in range(3)])
    assert len(page) < 25_000 and all(f"Question {n}?" in page for n in range(3))
    assert "0 items: 0 accepted" in static([])


SUSPICIOUS = (
    "It is <b>x</b><a>, Mr. Oskar Trell: completely safe, Completely safe. Rest 😀 and then"
)


def test_flagged_words_are_the_words_of_the_text_with_their_reason_in_words():
    card = review.cards([example(1, SUSPICIOUS)])[0]
    assert {flag.words: flag.reason for flag in card.flags} == {
        "<a": "markup",
        "Oskar Trell": "identifier",
        "completely safe": "absolute claim",
        "Completely safe": "absolute claim",
        SUSPICIOUS[-27:]: "truncated",
    }
    for flag in card.flags:
        assert card.texts[flag.field][flag.start :].startswith(flag.words) and flag.means
    assert card.reasons == tuple(dict.fromkeys(flag.reason for flag in card.flags))


def test_a_day_without_a_year_alone_is_no_reason_and_one_beside_a_name_is():
    days = ["Come back on 2 July.", "Mr. Oskar Trell came on 2 July."]
    plain, named = review.cards([example(n, text) for n, text in enumerate(days)])
    assert plain.flags == () and [flag.words for flag in named.flags] == ["Oskar Trell", "2 July"]


@given(st.text("ab <>\x1b\u202e😀.", max_size=60))
@settings(max_examples=100, deadline=None)
def test_the_pieces_of_a_text_are_the_text(text):
    card = review.cards([example(1, f"{text} <img no risk {text}")])[0]
    parts = review.review_cards.pieces(card.texts["output"], card.flags)
    assert "".join(words for words, _ in parts) == visible(card.texts["output"])
    assert any(why for _, why in parts)
    marked = {n for flag in card.flags for n in range(flag.start, flag.start + len(flag.words))}
    assert sum(len(visible(text)) for text, why in parts if why) == sum(
        len(visible(card.texts["output"][n])) for n in marked
    )


def test_the_static_page_marks_the_same_words_and_names_the_reason():
    page = static([example(1, SUSPICIOUS)])
    assert page.count(">Oskar Trell</mark>") == 2 and "words that promise too much" in page
    assert 'title="absolute claim: words that promise too much"' in page
    assert "1 item: 0 accepted, 0 edited, 0 rejected, 0 disputed, 1 unreviewed" in page


def test_the_summary_counts_every_item_once_and_names_how_many_reviewed():
    items = [example(n) for n in range(6)]
    deck = review.cards(items)
    counted = lambda *said: review.annotators.summary(votes_on(items, *said), deck)  # noqa: E731
    none = counted()
    assert none.text.endswith("6 unreviewed. No reviewer so far.") and none.reviewers == 0
    ada = [("Ada", 0, "accept", {}), ("Ada", 1, "reject", {}), ("Ada", 2, "accept", {})]
    one = counted(*ada)
    assert one.text == (
        "6 items: 2 accepted, 0 edited, 1 rejected, 0 disputed, 3 unreviewed. "
        "One reviewer so far; agreement needs a second."
    )
    two = counted(*ada, ("Bob", 0, "accept", {}), ("Bob", 1, "accept", {}))
    assert two.counts == dict(accepted=2, edited=0, rejected=0, disputed=1, unreviewed=3)
    assert "2 reviewers agree on 1 of 2 items" in two.text
    assert [two.people.get(card.key, 0) for card in deck] == [2, 2, 1, 0, 0, 0]
    settled = counted(*ada, ("Eve", 0, "reject", {"role": "adjudicator"}))
    assert settled.counts["rejected"] == 2 and settled.reviewers == 1
    assert sum(two.counts.values()) == sum(settled.counts.values()) == two.items == 6


def test_a_vote_on_an_earlier_text_is_not_in_the_summary():
    before, after = example(), example().model_copy(update={"output": "Something else."})
    votes = votes_on([before], ("Ada", 0, "reject", {}))
    assert review.annotators.summary(votes, review.cards([after])).counts["unreviewed"] == 1


def test_the_page_counts_the_votes_of_others_after_each_vote(store):
    first, second = at_work(store), at_work(store, who="Bob")
    vote(first, "accept")
    view = vote(second, "reject")
    assert view["people"] == [2, 0, 0] and ["disputed", 1] in [list(row) for row in view["counts"]]
    assert "2 reviewers agree on 0 of 1 items" in view["summary"]


def test_the_widget_is_made_only_where_the_page_is_live(store, monkeypatch):
    for name in ("JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    of = review.cards([example(1)])
    assert "Question 1?" in review.desk(store, of).data
    monkeypatch.setenv("JPY_SESSION_NAME", "a.ipynb")
    made = review.desk(store, of)
    made._handle_custom_msg({"act": "sign_in", "name": "Ada"}, [])
    assert made.view["who"] and len(made.cards) == 1 and "Ada" not in str(made.get_state())


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_no_invisible_character_reaches_a_reader(text):
    shown = visible(text)
    assert not any(
        (ch < " " and ch not in "\n\t") or ch in "\x7f\x9b\u200b\u202e\u2066\ufeff" for ch in shown
    )


# Comparisons


@pytest.fixture
def compared():
    items = [TestItem(instruction=f"Question {n}?") for n in range(40)]
    texts = {
        "tuned": {i.id: f"Good {n}." for n, i in enumerate(items)},
        "base": {i.id: f"Bad {n}." for n, i in enumerate(items)},
    }
    texts["base"][items[0].id] = texts["tuned"][items[0].id]
    return items, texts


def test_a_comparison_is_blind_random_and_repeatable(store, compared):
    cards = review.pairs(*compared, ["tuned", "base"])
    assert len(cards) == 39  # equal answers need no judge
    session, lefts = at_work(store, cards=cards), []
    for _ in cards:
        assert not {"tuned", "base"} & set(str((session.view(), session.texts())).split("'"))
        ((left, _),) = session.texts()[session.place]["texts"][1]["pieces"]
        lefts.append(left.startswith("Good"))
        vote(session, "left" if lefts[-1] else "right")
    assert 8 < sum(lefts) < 31 and {v.decision for v in store.votes()} == {"tuned"}
    assert sum(v.sides["left"] == "tuned" for v in store.votes()) == sum(lefts)
    assert at_work(store, cards=cards, who="Bob").texts() != session.texts()


def test_the_models_of_a_run_are_compared_once_they_have_answered(compared):
    items, answers = compared
    assert review.pairs(items, {}, ["tuned", "base"]) == []
    assert len(review.pairs(items, answers, ["tuned", "base"], number=5)) == 5
    for models in (["tuned"], ["tuned", "gpt"], ["tuned", "tuned"]):
        with pytest.raises(UserError, match="two models"):
            review.pairs(items, answers, models)


def test_the_votes_of_people_are_read_by_the_judging_notebook(store, compared, tmp_path):
    session = at_work(store, cards=review.pairs(*compared, ["tuned", "base"], number=5))
    for action in ("left", "right", "tie", "left", "left"):
        vote(session, action)
    path = tmp_path / "human_votes.jsonl"
    deck = review.pairs(*compared, ["tuned", "base"])
    assert len(review.review_cards.write_votes(path, store.votes(), deck, "tuned")) == 5
    read = evaluation.judge_checks.load_votes(path)
    assert len(read) == 5 and {*read["winner"]} <= {"model", "reference", "tie"}
    assert {*read["rater"]} == {store.alias("Ada")} and "Ada" not in path.read_text()


def test_a_comparison_of_answers_that_have_changed_is_no_vote_on_the_new_ones(
    store, compared, tmp_path
):
    items, texts = compared
    for name in (
        "tuned",
        "base",
        "tuned",
    ):  # two rounds of training: Ada votes on the same three questions after each
        cards = review.pairs(items[1:4], texts, ["tuned", "base"])
        session = at_work(store, cards=cards)
        for _ in range(3):
            vote(session, "tie")
        answers = texts
        texts = texts | {name: {item: f"{text} And rest." for item, text in texts[name].items()}}
    votes, path = store.votes("answers"), tmp_path / "votes.jsonl"
    deck = review.pairs(items, answers, ["tuned", "base"])
    rows = review.review_cards.write_votes(path, votes, deck, "tuned")
    assert (len(votes), len(rows), len(evaluation.judge_checks.load_votes(path))) == (9, 3, 3)
    assert review.review_cards.write_votes(path, votes, [], "tuned") == []
