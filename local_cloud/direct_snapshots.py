"""The EBS direct APIs: snapshots written and read block by block. moto's validate nothing and know no parents.

Blocks are stored by the volume behind a snapshot, which moto's copies of it share.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local_cloud import clock
from local_cloud.lifecycle import backend
from local_cloud.request import ACCOUNT, Call, route
from local_cloud.responses import Answer, Problem, json_answer
from local_cloud.tags import check_direct_tags

BLOCK = 512 * 1024
PER_GIB = (1 << 30) // BLOCK
PAGE = 10000


@dataclass
class Writing:
    region: str
    written: set[int] = field(default_factory=set)


@dataclass
class DirectSnapshots:
    blocks: dict[str, dict[int, bytes]] = field(default_factory=dict)  # by volume
    _writing: dict[str, Writing] = field(default_factory=dict)
    _tokens: dict[str, tuple[Any, str]] = field(default_factory=dict)
    """Client token -> the request, and the snapshot that it created."""

    def answer(self, call: Call) -> Answer:
        decided: dict[str, Callable[[Call, dict[str, str]], Answer]] = {
            "StartSnapshot": self._start,
            "PutSnapshotBlock": self._put,
            "CompleteSnapshot": self._complete,
            "ListSnapshotBlocks": self._list,
            "GetSnapshotBlock": self._get,
        }
        _, named = route("ebs", call.environ["REQUEST_METHOD"], call.environ["PATH_INFO"])
        if call.action not in decided:
            raise Problem("ValidationException", "The local cloud does not know this operation.")
        return decided[call.action](call, named)

    def _start(self, call: Call, _: dict[str, str]) -> Answer:
        asked = call.json
        check_direct_tags(asked.get("Tags") or [])
        if "ParentSnapshotId" in asked and "Encrypted" in asked:
            raise Problem(
                "ValidationException", "You can't specify ParentSnapshotId and Encrypted in the same request."
            )
        token = asked["ClientToken"]
        if token in self._tokens:
            earlier, identity = self._tokens[token]
            if earlier != asked:
                raise Problem("ConflictException", "The client token was used with other parameters.")
        else:
            identity = self._made(call.region, asked)
            self._tokens[token] = (asked, identity)
        shown = {"SnapshotId": identity, "OwnerId": ACCOUNT, "Status": "pending", "StartTime": clock.now().timestamp(),
                 "BlockSize": BLOCK, "VolumeSize": asked["VolumeSize"], "Tags": asked.get("Tags") or []}  # fmt: skip
        return json_answer(shown, 201)

    def _made(self, region: str, asked: dict[str, Any]) -> str:
        store, parent = backend(region), None
        if named := asked.get("ParentSnapshotId"):
            parent = _snapshot(region, named)
            if parent.status != "completed":
                raise Problem("ValidationException", f"The parent snapshot '{named}' is not completed.")
            if int(parent.volume.size) > asked["VolumeSize"]:
                raise Problem("ValidationException", "The volume is smaller than the parent snapshot's.")
        encrypted = parent.encrypted if parent else bool(asked.get("Encrypted"))
        key = f"arn:aws:kms:{region}:{ACCOUNT}:key/2b1f7a52-52c5-4c0f-9d0f-0c4c1e7f5a10" if encrypted else None
        volume = store.create_volume(asked["VolumeSize"], f"{region}a", encrypted=encrypted, kms_key_id=key)
        snapshot = store.create_snapshot(volume.id, asked.get("Description", ""))
        store.delete_volume(volume.id)
        snapshot.status = "pending"
        snapshot.add_tags({tag["Key"]: tag["Value"] for tag in asked.get("Tags", [])})
        self.blocks[volume.id] = dict(self.blocks.get(parent.volume.id, {})) if parent else {}
        self._writing[snapshot.id] = Writing(region)
        return str(snapshot.id)

    def _put(self, call: Call, named: dict[str, str]) -> Answer:
        snapshot, writing = self._being_written(call, named["snapshot"])
        index, content = int(named["block"]), call.body
        told = call.environ.get("HTTP_X_AMZ_CHECKSUM", "")
        if len(content) != BLOCK or call.environ.get("HTTP_X_AMZ_DATA_LENGTH") != str(BLOCK):
            raise Problem("ValidationException", f"A block has {BLOCK} bytes, this one {len(content)}.")
        if base64.b64encode(hashlib.sha256(content).digest()).decode() != told:
            raise Problem("ValidationException", "The checksum is not that of the data.")
        if index >= int(snapshot.volume.size) * PER_GIB:
            raise Problem("ValidationException", f"Block {index} lies beyond the end of the volume.")
        self.blocks[snapshot.volume.id][index] = content
        writing.written.add(index)
        return Answer(201, b"", "application/json", headers=_checksum(content))

    def _complete(self, call: Call, named: dict[str, str]) -> Answer:
        snapshot, writing = self._being_written(call, named["snapshot"])
        count = int(call.environ["HTTP_X_AMZ_CHANGEDBLOCKSCOUNT"])
        if count != len(writing.written):
            raise Problem("ValidationException", f"{len(writing.written)} blocks were written, not {count}.")
        snapshot.status = "completed"
        del self._writing[snapshot.id]
        return json_answer({"Status": "pending"}, 202)

    def _list(self, call: Call, named: dict[str, str]) -> Answer:
        snapshot = self._completed(call, named["snapshot"])
        there = sorted(self.blocks.get(snapshot.volume.id, {}))
        query = dict(part.split("=", 1) for part in call.environ.get("QUERY_STRING", "").split("&") if "=" in part)
        start = int(base64.b64decode(query["pageToken"].replace("%3D", "="))) if "pageToken" in query else 0
        page, more = there[start : start + PAGE], len(there) > start + PAGE
        shown = {
            "Blocks": [{"BlockIndex": index, "BlockToken": _token(snapshot.id, index)} for index in page],
            "ExpiryTime": clock.now().timestamp() + 7 * 86400,
            "VolumeSize": int(snapshot.volume.size),
            "BlockSize": BLOCK,
            **({"NextToken": base64.b64encode(str(start + PAGE).encode()).decode()} if more else {}),
        }
        return json_answer(shown)

    def _get(self, call: Call, named: dict[str, str]) -> Answer:
        snapshot = self._completed(call, named["snapshot"])
        content = self.blocks.get(snapshot.volume.id, {}).get(int(named["block"]))
        if content is None:
            raise Problem("ResourceNotFoundException", f"Block {named['block']} does not exist.")
        return Answer(200, content, "application/octet-stream", headers=_checksum(content))

    def _being_written(self, call: Call, identity: str) -> tuple[Any, Writing]:
        snapshot = _snapshot(call.region, identity)
        if identity not in self._writing:
            raise Problem("ValidationException", f"The snapshot '{identity}' is not being written.")
        return snapshot, self._writing[identity]

    def _completed(self, call: Call, identity: str) -> Any:
        snapshot = _snapshot(call.region, identity)
        if snapshot.status != "completed":
            raise Problem("ValidationException", f"The snapshot '{identity}' is not completed.")
        return snapshot


def _snapshot(region: str, identity: str) -> Any:
    if (snapshot := backend(region).snapshots.get(identity)) is None:
        raise Problem("ResourceNotFoundException", f"The snapshot '{identity}' does not exist.")
    return snapshot


def _checksum(content: bytes) -> dict[str, str]:
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    return {"x-amz-Checksum": digest, "x-amz-Checksum-Algorithm": "SHA256", "x-amz-Data-Length": str(len(content))}


def _token(snapshot: str, index: int) -> str:
    return base64.b64encode(f"{snapshot}/{index}/{secrets.token_hex(4)}".encode()).decode()
