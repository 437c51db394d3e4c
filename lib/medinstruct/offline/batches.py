"""The stand-in's files and batches: the part of the OpenAI API by which many requests are answered later at half the price."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any


class Batches:
    """Files and batches kept in memory. A batch is worked off the second time that somebody asks how it is getting on."""

    def __init__(self, complete: Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]) -> None:
        self.complete = complete
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.lost = 0  # rows of the next batch that expire, for trying what a client does then

    def handle(
        self, method: str, place: str, headers: Mapping[str, str], content: bytes
    ) -> tuple[int, Any]:
        """Status and body (bytes for a file's content) for one request."""
        parts = place.strip("/").split("/")
        if parts == ["files"] and method == "POST":
            return 200, self._upload(headers, content)
        if parts == ["batches"] and method == "POST":
            return 200, self._create(json.loads(content))
        known = self.files if parts[0] == "files" else self.batches
        if len(parts) < 2 or parts[1] not in known:
            return 404, {
                "error": {
                    "message": f"No such {parts[0]}: {place}",
                    "type": "invalid_request_error",
                }
            }
        if parts[0] == "files":
            return 200, self.files[parts[1]] if parts[2:] == ["content"] else self._file(parts[1])
        return 200, self._cancel(parts[1]) if parts[2:] == ["cancel"] else self._advance(parts[1])

    def _upload(self, headers: Mapping[str, str], content: bytes) -> dict[str, Any]:
        boundary = re.search(r"boundary=([^;]+)", headers.get("content-type", ""))
        if not boundary:
            raise ValueError("a file is uploaded as multipart/form-data")
        parts = content.split(b"--" + boundary.group(1).strip('"').encode())
        found = next(part for part in parts if b'name="file"' in part.partition(b"\r\n\r\n")[0])
        return self._file(self._keep(found.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")))

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        name = f"batch_{len(self.batches)}"
        rows = [
            json.loads(line)
            for line in self.files[body["input_file_id"]].splitlines()
            if line.strip()
        ]
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "endpoint": body["endpoint"],
            "input_file_id": body["input_file_id"],
            "status": "validating",
            "completion_window": "24h",
            "created_at": 0,
            "metadata": body.get("metadata"),
            "output_file_id": None,
            "error_file_id": None,
            "request_counts": {"total": len(rows), "completed": 0, "failed": 0},
        }
        return self.batches[name]

    def _advance(self, name: str) -> dict[str, Any]:
        batch = self.batches[name]
        if batch["status"] == "validating":
            batch["status"] = "in_progress"
        elif batch["status"] == "in_progress":
            self._work(batch)
        return batch

    def _work(self, batch: dict[str, Any]) -> None:
        rows = [
            json.loads(line)
            for line in self.files[batch["input_file_id"]].splitlines()
            if line.strip()
        ]
        lost, self.lost = self.lost, 0
        kept = rows[: len(rows) - lost]
        done, failed = [], []
        for row in kept:
            status, answer = self.complete(row["body"])
            line = _line(row, response={"status_code": status, "body": answer})
            (done if status == 200 else failed).append(line)
        gone = [
            _line(row, error={"code": "batch_expired", "message": "expired"})
            for row in rows[len(kept) :]
        ]
        batch["output_file_id"] = self._keep(_lines(done)) if done else None
        batch["error_file_id"] = self._keep(_lines(failed + gone)) if failed or gone else None
        batch["request_counts"] |= {"completed": len(done), "failed": len(failed) + len(gone)}
        batch["status"] = "expired" if lost else "completed"

    def _cancel(self, name: str) -> dict[str, Any]:
        self.batches[name]["status"] = "cancelled"
        return self.batches[name]

    def _keep(self, content: bytes) -> str:
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return name

    def _file(self, name: str) -> dict[str, Any]:
        about = {"id": name, "object": "file", "bytes": len(self.files[name]), "created_at": 0}
        return about | {"filename": "requests.jsonl", "purpose": "batch", "status": "processed"}


def _line(row: dict[str, Any], *, response: Any = None, error: Any = None) -> dict[str, Any]:
    return {
        "id": row["custom_id"],
        "custom_id": row["custom_id"],
        "response": response,
        "error": error,
    }


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
