"""What a server sends with status 200 is an answer, a passing error or a clear error; no other thing is kept."""

import asyncio
import functools
import gzip
import json
import sqlite3
import ssl
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from medinstruct import evaluation, llm
from medinstruct.errors import UserError
from medinstruct.llm.messages import Reply, finish_of, settled, whole

USED = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
NOTE = "Keep the splint dry, and see the hand clinic on Friday."
GRIN, HALF = "\N{GRINNING FACE}", "\N{REPLACEMENT CHARACTER}"
PAGE = "<!DOCTYPE html><html><title>Log in</title></html>"


def body(content=NOTE, finish="stop", message=..., **more):
    """A completion with so odd a content, reason, message or field."""
    message = {"role": "assistant", "content": content} if message is ... else message
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "x", "model": "hand-7b", "choices": [choice], "usage": USED} | more


def request(text="What of my splint?", **parameters):
    turns = [{"role": "user", "content": text}]
    return llm.Request(messages=turns, parameters=parameters or {"max_tokens": 50})


class Socket:
    """A server that sends these bodies, or (status, headers, body), the last one again and again."""

    def __init__(self, *bodies, kind="application/json"):
        self.asked, sent = [], list(bodies)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                owner.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                row = sent.pop(0) if len(sent) > 1 else sent[0]
                status, headers, row = row if isinstance(row, tuple) else (200, {}, row)
                data = row if isinstance(row, bytes) else json.dumps(row).encode()
                self.send_response(status)
                usual = {"Content-Type": kind, "Content-Length": str(len(data))}
                for name, text in (usual | headers).items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        owner, self.server = self, ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()


TLS = functools.cache(ssl.create_default_context)  # takes longer than a test


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr("ssl.create_default_context", TLS)
    monkeypatch.setattr("medinstruct.llm.retry.random.uniform", lambda low, high: low)


def ask(*bodies, count=1, kind="application/json", room=50, **fields):
    """The replies to different requests, one after the other, and the client."""
    with Socket(*bodies, kind=kind) as server:
        client = llm.Client(url=server.url, model="m", concurrency=1, **fields)
        asked = [request(f"Question {n}", max_tokens=room) for n in range(count)]
        return asyncio.run(client.ask_all(asked)), client, server


def stream(*bodies, kind="text/event-stream"):
    """The pieces of a streamed answer, and its reply."""

    async def talk():
        client = llm.Client(url=server.url, model="m")
        return [item async for item in client.stream(request())]

    with Socket(*bodies, kind=kind) as server:
        *pieces, reply = asyncio.run(talk())
        return pieces, reply


def events(*rows):
    """Rows as server-sent events: chunks, or raw bytes."""
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    return b"".join(b"data: " + line + b"\n\n" for line in lines)


def chunk(finish=None, **delta):
    return {"id": "x", "model": "hand-7b", "choices": [{"delta": delta, "finish_reason": finish}]}


FAILURES = {  # in place of an answer: the body, and words of the message where it never passes
    "error of a provider": ({"error": {"message": "Provider returned error", "code": 429}}, "Provider returned error"),
    "error and null choices": (body(choices=None, error={"message": "Upstream is down"}), "Upstream is down"),
    "error in words": ({"error": "the upstream is overloaded"}, "overloaded"),
    "error of FastChat": ({"object": "error", "message": "NETWORK ERROR", "code": 50001}, "NETWORK ERROR"),
    "error of MiniMax": (body(choices=None, base_resp={"status_msg": "rate limited"}), "rate limited"),
    "error in the choice": (body("Keep the", "error"), "finish_reason': 'error"),
    "its words in the choice": (body(choices=[{"error": {"message": "Provider died"}, "text": ""}]), "Provider died"),
    "error beside no text": (body("", error={"message": "quota of the day"}), "quota of the day"),
    "error beside half a text": (body("Keep the", None, error={"message": "cut the line"}), "cut the line"),
    "network error": (body("Keep", "network_error"), "finish_reason"),
    "aborted": (body("Keep", "abort"), "finish_reason"),
    "choices null": (body(choices=None), "hand-7b"),
    "choices empty": (body(choices=[]), "hand-7b"),
    "choices are words": (body(choices="none"), "hand-7b"),
    "choice null": (body(choices=[None]), "hand-7b"),
    "message null": (body(message=None), "hand-7b"),
    "message empty": (body(message={}), "hand-7b"),
    "no text and no usage": (body("", usage=None), "hand-7b"),
    "model null as well": (body(choices=None, model=None, usage=None), "gave no answer"),
    "web page": (PAGE.encode(), r"web page.*ends in /v1.*Log in"),
    "words": (b"upstream timed out", "upstream timed out"),
    "nothing": (b"", "gave no answer"),
    "null": (None, "gave no answer"),
    "list": ([], "gave no answer"),
    "half a body": (json.dumps(body()).encode()[:90], "gave no answer"),
    "endless list": (b"[" * 100_000, "gave no answer"),
}  # fmt: skip


@pytest.mark.parametrize("failure, words", FAILURES.values(), ids=FAILURES)
def test_what_is_no_answer_passes_or_ends_in_its_words_and_is_not_kept(failure, words, tmp_path):
    replies, client, server = ask(body(), failure, body(), count=2)
    assert [reply.text for reply in replies] == [NOTE, NOTE] and len(server.asked) == 3
    for kind in ("application/json", "text/html"):
        with pytest.raises(UserError, match=f"(?s){words}"):
            ask(failure, kind=kind, cache=tmp_path / "c.sqlite")
    assert llm.Cache(tmp_path / "c.sqlite").keys() == []


ODD = {  # status, headers and body that pass once: words where they never pass
    "no gzip": ((200, {"Content-Encoding": "gzip"}, b"\x1f\x8bgarbage"), "decompressing"),
    "half a gzip": ((200, {"Content-Encoding": "gzip"}, gzip.compress(json.dumps(body()).encode())[:40]), "gave no answer"),
    "shorter than its length": ((200, {"Content-Length": "9999"}, json.dumps(body()).encode()), "peer closed"),
    "a chunk without its end": ((200, {"Content-Length": "", "Transfer-Encoding": "chunked"}, b"5\r\n{\"a\""), "gave no answer"),
    "204": ((204, {}, b""), "gave no answer"),
    "202": ((202, {}, {"status": "queued"}), "queued"),
    "a redirection to itself": ((307, {"Location": "/v1/chat/completions"}, b""), "redirects"),
    "a page behind a 503": ((503, {}, b"<html><title>Back soon</title></html>"), "Back soon"),
    "a wait of no number": ((429, {"Retry-After": "\u00b2"}, {"error": "slow down"}), "slow down"),
}  # fmt: skip


@pytest.mark.parametrize("odd, words", ODD.values(), ids=ODD)
def test_an_odd_response_passes_or_ends_in_its_words(odd, words, monkeypatch):
    monkeypatch.setattr("medinstruct.llm.retry.FIRST_RETRIES", 1)
    replies, _, _ = ask(*[odd] * (30 if odd[0] == 307 else 1), body(), count=2)
    assert [reply.text for reply in replies] == [NOTE, NOTE]
    with pytest.raises(UserError, match=f"(?s){words}"):
        ask(odd)


@pytest.mark.parametrize("status", [300, 304, 405, 410])
def test_a_status_of_a_wrong_address_says_so_at_once(status):
    with (
        Socket((status, {}, b"")) as server,
        pytest.raises(UserError, match="Check the model name, and the address"),
    ):
        asyncio.run(llm.Client(url=server.url, model="m").ask_all([request()]))
    assert len(server.asked) == 1


WAITS = [("Retry-After", "7", 7), ("Retry-After", "0.5", 0.5), ("Retry-After", "600", 120)]
WAITS += [("Retry-After", "-5", 0), ("Retry-After", "soon", 0), ("Retry-After", "nan", 0)]
WAITS += [("retry-after-ms", "1500", 1.5), ("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT", 0)]


@pytest.mark.parametrize("name, text, seconds", WAITS)
def test_the_wait_that_a_server_asks_for_is_kept(name, text, seconds, monkeypatch):
    waits, sleep = [], asyncio.sleep
    monkeypatch.setattr("asyncio.sleep", lambda wait: waits.append(wait) or sleep(0))
    replies, _, _ = ask((429, {name: text}, {"error": "slow down"}), body())
    assert replies[0].text == NOTE and max(waits) == seconds


def test_a_wait_of_hours_ends_at_once_with_its_length():
    for text in ("86400", "8.64e4", formatdate(time.time() + 86_400, usegmt=True)):
        with Socket((429, {"Retry-After": text}, {"error": "of the day"})) as server:
            client = llm.Client(url=server.url, model="m")
            with pytest.raises(UserError, match="(?s)of the day.*24 hours.*saved"):
                asyncio.run(client.ask_all([request()]))
        assert len(server.asked) == 1


@pytest.mark.parametrize("error", [
    {"message": "No such key", "code": 401},
    {"message": "No such key", "code": "invalid_api_key"},
    {"message": "No such model", "type": "model_not_found"},
    {"message": "No such model", "code": "404"},
    {"message": "No money", "code": 402},
    {"message": "No money", "code": "insufficient_quota"},
])  # fmt: skip
def test_an_error_of_status_200_that_will_not_pass_is_not_tried_again(error):
    with Socket({"error": error}) as server, pytest.raises(UserError, match=error["message"]):
        asyncio.run(llm.Client(url=server.url, model="m").ask_all([request()]))
    assert len(server.asked) == 1


CONTENTS = {
    "parts": ([{"type": "text", "text": "Keep the splint dry, "}, {"type": "text", "text": "and see the hand clinic on Friday."}], ""),
    "thinking part": ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": NOTE}], "hm"),
    "reasoning part": ([{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": NOTE}], "hm"),
    "summary of a thought": ([{"type": "reasoning", "text": None, "summary": [{"type": "summary_text", "text": "hm"}]}, NOTE], "hm"),
    "thought of Gemini": ([{"text": "hm", "thought": True}, {"text": NOTE, "thought": False}], "hm"),
    "unknown parts": ([{"type": "image_url", "image_url": {"url": "data:,"}}, {"type": "text", "text": NOTE}, {"type": "tool", "id": 7}, None, 7], ""),
    "nested lists": ([[[NOTE]]], ""),
    "text in a value": ([{"type": "text", "text": {"value": NOTE, "annotations": []}}], ""),
    "one dict": ({"type": "text", "text": NOTE}, ""),
    "thinking and null": ([{"type": "thinking", "thinking": None}, {"type": "text", "text": NOTE}], ""),
    "marks in a part": ([{"type": "text", "text": f"<think>hm</think>{NOTE}"}], "hm"),
}  # fmt: skip


@pytest.mark.parametrize("content, thought", CONTENTS.values(), ids=CONTENTS)
def test_content_in_parts_is_read_without_its_thoughts(content, thought):
    (reply,), _, _ = ask(body(content))
    assert (reply.text, reply.thought, reply.incomplete_reason) == (NOTE, thought, "")
    pieces, reply = stream(events(chunk(content=content), chunk("stop"), b"[DONE]"))
    assert "".join(pieces) == reply.text == NOTE and reply.thought == thought


DEEP = functools.reduce(lambda part, _: [part], range(450), NOTE)


@pytest.mark.parametrize(
    "content", [None, "", " \n", "\xa0\u200b\n", [], [{"type": "image_url"}], {"a": 1}, 7, DEEP]
)
def test_a_counted_answer_without_a_text_is_asked_once_more_and_reported_as_empty(content):
    (reply,), client, server = ask(body(content))
    assert reply.incomplete_reason == "empty" and len(server.asked) == 2
    (reply,), _, _ = ask(body(content), body())
    assert reply.text == NOTE


MARKED = {  # what servers leave of a chat template around an answer
    "ChatML": f"{NOTE}<|im_end|>",
    "a turn of the user behind it": f"{NOTE}<|im_end|>\n<|im_start|>user\nMay I swim?",
    "Llama 3": f"<|start_header_id|>assistant<|end_header_id|>\n\n{NOTE}<|eot_id|>",
    "Gemma": f"<start_of_turn>model\n{NOTE}<end_of_turn>\n",
    "Gemma 4": f"{NOTE}<turn|>",
    "Mistral": f"<s> {NOTE}</s>",
    "DeepSeek": f"{NOTE}<｜end▁of▁sentence｜>",
    "padding": f"{NOTE}<eos><pad><pad>\n",
    "after a thought": f"<think>hm</think>{NOTE}<|im_end|>",
    "ERNIE": f"<think>hm</think>\n<response>\n{NOTE}\n</response>",
    "a thought with a time": f'<think time="3">hm</think>{NOTE}',
}


@pytest.mark.parametrize("text", MARKED.values(), ids=MARKED)
def test_the_marks_of_a_chat_template_are_no_part_of_an_answer(text):
    assert ask(body(text))[0][0].text == NOTE
    pieces, reply = stream(
        events(*(chunk(content=sign) for sign in text), chunk("stop"), b"[DONE]")
    )
    assert "".join(pieces) == reply.text == NOTE


@pytest.mark.parametrize(
    "text", ["2 < 3 <s>old</s> new", " a </s> b ", "Press <enter>.", "\n x \n"]
)
def test_other_marks_and_blanks_stay_in_an_answer(text):
    assert ask(body(text))[0][0].text == text


def test_messages_of_other_shapes_are_read():
    for message in (NOTE, {"text": NOTE}, {"content": None, "refusal": None, "text": NOTE}):
        assert ask(body(message=message))[0][0].text == NOTE
    choices = [None, {"text": NOTE, "finish_reason": "eos", "message": None}]
    assert ask(body(choices=choices))[0][0].text == NOTE
    assert ask(body(choices=choices), chat=False)[0][0].text == NOTE
    declined = {"content": None, "refusal": {"text": "Not for me."}}
    (reply,), _, _ = ask(body(message=declined))
    assert reply.incomplete_reason == "refused" and reply.text == "Not for me."


REASONS = {
    "stop": "stop STOP Stop eos EOS eos_token end_turn END_TURN stop_sequence stop-sequence completed COMPLETE finished FinishReason.STOP FINISH_REASON_STOP stop_token eot_id",
    "length": "length LENGTH max_tokens MAX_TOKENS model_length FinishReason.MAX_TOKENS max_output_tokens ERROR_LIMIT model_context_window_exceeded MAX_LENGTH",
    "content_filter": "content_filter content_filtered SAFETY RECITATION PROHIBITED_CONTENT BLOCKLIST SPII sensitive guardrail_intervened refusal ERROR_TOXIC content-filter",
    "tool_calls": "tool_calls tool_use function_call TOOL_CALL",
    "error": "error ERROR network_error insufficient_system_resource abort aborted failed FinishReason.ERROR MALFORMED_FUNCTION_CALL",
}  # fmt: skip


REASONS["stop"] += " endTurn stopSequence stopTokens endOfText"
REASONS["length"] += " maxTokens maxPredictedTokensReached contextLengthReached limit_reached"
REASONS["content_filter"] += " ContentFilter contentFiltered"


def test_finish_reasons_of_all_servers_mean_those_of_the_api():
    wrong = {
        w: finish_of(w)
        for name, row in REASONS.items()
        for w in row.split()
        if finish_of(w) != name
    }
    assert not wrong
    assert {finish_of(odd) for odd in (None, "", 1, 0.5, [], {"a": 1}, "pause_turn", "</s>")} == {
        ""
    }


@pytest.mark.parametrize("finish", ["eos", "END_TURN", "FinishReason.STOP", "stop_sequence", None, 1, [], "pause_turn"])  # fmt: skip
def test_an_answer_with_a_foreign_or_unknown_finish_reason_is_complete(finish):
    (reply,), _, server = ask(body(finish=finish))
    assert reply.finish_reason == "stop" and reply.text == NOTE and len(server.asked) == 1
    pieces, reply = stream(events(chunk(content=NOTE), chunk(finish or "eos"), b"[DONE]"))
    assert "".join(pieces) == NOTE and not reply.incomplete_reason


def test_an_answer_that_fills_its_room_without_a_known_reason_is_cut():
    (reply,), _, server = ask(body(finish=None), room=5)
    assert reply.incomplete_reason == "" and server.asked[1]["max_tokens"] == 10
    assert len(ask(body(finish="stop"), room=5)[2].asked) == 1


@pytest.mark.parametrize("message", [None, {}, {"content": None}, {"content": "Keep"}])
def test_a_filtered_answer_is_one_and_not_asked_again(message):
    for finish in ("content_filter", "SAFETY", "content_filtered"):
        (reply,), _, server = ask(body(message=message, finish=finish, usage=None))
        assert reply.incomplete_reason == "content_filter" and len(server.asked) == 1


USAGES = [
    None,
    [],
    "9",
    {},
    {"prompt_tokens": None},
    {"prompt_tokens": "9", "completion_tokens": "5"},
]
USAGES += [
    {"prompt_tokens": -3, "completion_tokens": 1e400, "total_tokens": []},
    {"prompt_tokens": 10**30},
]
USAGES += [{"completion_tokens": 2.0, "completion_tokens_details": "none"}, {"completion_tokens_details": {"reasoning_tokens": None}}]  # fmt: skip


@pytest.mark.parametrize("usage", USAGES, ids=str)
def test_odd_counts_of_tokens_are_none(usage):
    replies, client, _ = ask(body(usage=usage, model=None), count=2, usd_per_mtok=(1, 10))
    assert [reply.text for reply in replies] == [NOTE] * 2 and replies[0].model == ""
    assert 0 <= replies[0].prompt_tokens <= 10**9 and client.usage["usd"] >= 0
    assert replies[0].prompt_tokens == 9 or usage != USAGES[5]
    _, reply = stream(events(chunk(content=NOTE), {"choices": None, "usage": usage}, b"[DONE]"))
    assert reply.text == NOTE


HALVES = {
    "at the end": ("Well \ud83d", f"Well {HALF}"),
    "at the beginning": ("\ude00 well", f"{HALF} well"),
    "alone": ("\ud83d", HALF),
    "before a whole": (f"\ud83d{GRIN}", f"{HALF}{GRIN}"),
    "two that belong together": ("\ud83d\ude00 well", f"{GRIN} well"),
    "in the wrong order": ("\ude00\ud83d", HALF * 2),
    "NUL": ("a\0b", f"a{HALF}b"),
}


@pytest.mark.parametrize("text, wanted", HALVES.values(), ids=HALVES)
def test_half_a_character_is_replaced_where_it_is_read_and_the_answer_is_kept(
    text, wanted, tmp_path
):
    call = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": text}}]
    fields = {"content": text, "reasoning": text, "tool_calls": call}
    odd = body(message=fields, model=f"m{text}")
    (reply,), client, _ = ask(odd, cache=tmp_path / "c.sqlite")
    assert reply.text == reply.thought == wanted and reply.model == f"m{wanted}"
    assert client.cache.get(reply.key).text == wanted and client.usage["asked"] == 1
    (reply,), _, _ = ask(body(message={"content": None, "refusal": text}))
    assert reply.text == wanted and reply.refused
    assert ask(body([{"type": "text", "text": text}]))[0][0].text == wanted
    with pytest.raises(UserError, match="gave no answer") as error:
        ask({"error": f"{text} is no key"})
    assert str(error.value).encode() and wanted in str(error.value)
    pieces, reply = stream(
        events(*(chunk(content=sign) for sign in text), chunk("stop"), b"[DONE]")
    )
    assert "".join(pieces) == reply.text == wanted


def test_a_character_in_two_chunks_comes_out_whole():
    signs = [chunk(content=half) for half in ("Well \ud83d", "\ude00", " done \ud83d", "\ude00")]
    pieces, reply = stream(events(*signs, chunk("stop"), b"[DONE]"))
    assert "".join(pieces) == reply.text == f"Well {GRIN} done {GRIN}"
    assert all(piece == whole(piece) and HALF not in piece for piece in pieces)
    assert settled("Rest well. Sleep \ud83d") == "Rest well. Sle"


def test_bytes_that_are_no_utf_8_are_replaced():
    data = json.dumps(body("Well X")).encode().replace(b"X", b"\xf0\x9f\x98")
    assert ask(data)[0][0].text == f"Well {HALF}"
    assert ask(b"\xef\xbb\xbf" + json.dumps(body()).encode())[0][0].text == NOTE


def test_a_notebook_shows_the_message_of_an_error_and_no_traceback():
    """IPython sends none of an error whose context is a group of exceptions, as of a TaskGroup."""
    with pytest.raises(UserError) as caught:
        ask(PAGE.encode())
    context = caught.value
    while context := context.__context__:
        assert not isinstance(context, BaseExceptionGroup)


STREAMS = {
    "web page": (PAGE.encode(), "text/html", "ends in /v1"),
    "web page as a stream": (PAGE.encode(), "text/event-stream", "gave no answer"),
    "nothing": (b"", "text/event-stream", "gave no answer"),
    "an error in place of it": (json.dumps({"error": {"message": "No such model", "code": 404}}).encode(), "application/json", "No such model.*Check the model name"),
    "another shape": (b'{"detail": "Not Found"}', "application/json", "Not Found"),
    "error at the first": (events({"error": {"message": "Provider died", "code": 502}}), "text/event-stream", "Provider died.*Try again later"),
    "error in the middle": (events(chunk(content=NOTE), {"error": {"message": "Provider died", "code": 502}}), "text/event-stream", "Provider died"),
    "error without choices in words": (events(chunk(content=NOTE), {"error": "the line is cut"}), "text/event-stream", "."),
    "error as the reason": (events(chunk(content=NOTE), chunk("error"), b"[DONE]"), "text/event-stream", "error"),
    "half a chunk": (events(chunk(content=NOTE), b'{"choices": [{"del'), "text/event-stream", "gave no answer"),
    "a chunk of words": (events(chunk(content=NOTE), b'"the line is cut"'), "text/event-stream", "the line is cut"),
    "cut off": ((200, {"Content-Length": "9999"}, events(chunk(content=NOTE))), "text/event-stream", "peer closed"),
    "a 204": ((204, {}, b""), "text/event-stream", "gave no answer"),
    "no utf-8": (events(b"\xff\xff"), "text/event-stream", "gave no answer"),
}  # fmt: skip


@pytest.mark.parametrize("data, kind, words", STREAMS.values(), ids=STREAMS)
def test_a_stream_that_fails_ends_in_a_clear_error(data, kind, words):
    with pytest.raises(UserError, match=f"(?s){words}"):
        stream(data, kind=kind)


def test_chunks_without_a_choice_are_passed_over():
    rows = [{"choices": None}, {"choices": []}, {"choices": [None]}, {}, chunk(content=NOTE), {"choices": [{"delta": None}]}]  # fmt: skip
    pieces, reply = stream(events(*rows, chunk("end_turn"), {"choices": None, "usage": USED}, b"[DONE]"))  # fmt: skip
    assert "".join(pieces) == reply.text == NOTE and reply.finish_reason == "stop"
    assert (reply.completion_tokens, reply.model) == (5, "hand-7b")


def test_a_server_that_does_not_stream_is_read_at_once():
    pieces, reply = stream(body(f"<think>hm</think>{NOTE}"), kind="application/json")
    assert "".join(pieces) == reply.text == NOTE and reply.completion_tokens == 5


@pytest.mark.parametrize("text", ["", '{"text": "Kee', "[]", '{"model": "m"}', '{"text": null}'])
def test_a_row_of_the_cache_that_is_no_answer_is_asked_again_and_replaced(text, tmp_path):
    path, asked = tmp_path / "c.sqlite", request("Question 0")
    with Socket(body("New.")) as server:
        client = llm.Client(url=server.url, model="m", cache=path, usd_per_mtok=(1, 1))
        with sqlite3.connect(path) as base:
            base.execute("INSERT INTO answers VALUES (?, '{}', ?, 1, 2)", (client.key(asked), text))
        replies = [asyncio.run(client.ask_all([asked]))[0] for _ in range(2)]
        assert [reply.text for reply in replies] == ["New."] * 2 and len(server.asked) == 1
        usd = base.execute("SELECT usd FROM answers").fetchall()
        assert usd == [(pytest.approx(2 + 14e-6),)], "what was paid is still counted"


def test_the_first_good_answer_stays(tmp_path):
    caches = [llm.Cache(tmp_path / "c.sqlite") for _ in range(2)]
    row = {"text": "First.", "finish_reason": "stop", "model": "m"}
    kept = [cache.put("k", request(), row | {"text": text}).text
            for cache, text in zip(caches * 2, ("First.", "Second.", "Third.", "Fourth."), strict=True)]  # fmt: skip
    assert kept == ["First."] * 4
    assert isinstance(caches[1].get("k"), Reply)


def test_a_good_answer_stays_that_replaces_a_damaged_row_at_the_same_moment(tmp_path, monkeypatch):
    one, other = (llm.Cache(tmp_path / "c.sqlite") for _ in range(2))
    row = {"text": "First.", "finish_reason": "stop", "model": "m"}
    one.put("k", request(), row)
    with sqlite3.connect(one.path) as base:
        base.execute("UPDATE answers SET answer = '[]'")

    def get_beside_another_kernel(key, get=one.get):
        found = get(key)
        other.put(key, request(), row)
        return found

    monkeypatch.setattr(one, "get", get_beside_another_kernel)
    assert one.put("k", request(), row | {"text": "Second."}).text == "First."


def test_a_judge_that_thinks_or_answers_in_parts_is_read():
    items = evaluation.load_items("own", limit=3)
    form = evaluation.answers.Answer
    answers = [form(item=item.id, model="m", text="Short.") for item in items]
    references = [form(item=item.id, model="r", text="A longer answer.") for item in items]
    pairs = evaluation.judge.build_pairs(items, answers, references=references)
    thought = "Output (b) is shorter, output (a) names the dose."
    for content in (f"<think>{thought}</think>Output (a)", [{"type": "thinking", "thinking": thought}, {"type": "text", "text": "Output (a)"}]):  # fmt: skip
        with Socket(body(content, "end_turn")) as server:
            judge = llm.Client(url=server.url, model="m")
            verdicts = asyncio.run(evaluation.judge.ask(judge, pairs))
        assert {verdict.winner for verdict in verdicts} == {"model", "reference"}
