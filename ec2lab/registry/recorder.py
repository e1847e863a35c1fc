"""The botocore hook that records every call: its intent before it is sent, its response or error after.

It uses each client's event system, so a script that calls boto3 is recorded without further code.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ec2lab.aws.account import Account
from ec2lab.context import current_experiment
from ec2lab.errors import UserError
from ec2lab.registry.base import Registry
from ec2lab.registry.not_found_retries import SERVICES, WAITED, KnownSoon
from ec2lab.registry.record import Event, Record, actor, new_id, now
from ec2lab.registry.record_model import BadRecord
from ec2lab.registry.redaction import redact, text_without_secrets

if TYPE_CHECKING:
    from botocore.model import OperationModel

READING = ("Describe", "Get", "List", "Head", "Search", "Lookup", "Decode", "Query", "Scan", "BatchGet", "Filter",
           "Simulate")  # fmt: skip
"""Prefixes of operations that change nothing. Any other is assumed to change something."""

UNRECORDED_DATA_CALLS = ("PutSnapshotBlock", "GetSnapshotBlock", "Publish")
"""Not recorded: blocks, of which there are thousands, as their snapshot is recorded; and messages, which create
nothing."""

PLAIN_TAG_SERVICES = ("ebs", "iam", "sns")
"""Services whose creating calls take the tags of their one resource, without TagSpecifications."""

WHO_ASKS = "GetCallerIdentity"
"""The call that returns the account. Its own record cannot contain the account; its response does."""

Context = dict[str, Any]
"""botocore's dictionary for one call. Ours is under ID and KEY."""
ID = "ec2_lab_record_id"
KEY = "ec2_lab_record"


def changes_something(operation: str) -> bool:
    """Return whether an operation creates, changes or deletes, so its intent must be on disk first."""
    return not operation.startswith(READING)


@dataclass(slots=True)
class _Poll:
    """The last response to a repeated query, and how often it came again."""

    answer: str
    record: Record
    times: int = 0


@dataclass
class Recorder:
    """Records the calls of one script for the current experiment."""

    registry: Registry
    script: str
    tags_of: Callable[[str, dict[str, Any], str], list[dict[str, Any]]]
    """(operation, request, record id) -> TagSpecifications of what the call creates."""
    not_found_codes: Collection[str]
    """AWS's errors for something that does not exist, which includes what was just created."""
    whose: Callable[[], Account | None]
    """Returns the account of the calls. Raises UserError if it cannot be determined."""

    def __post_init__(self) -> None:
        self._known_soon = KnownSoon(self.registry, self.not_found_codes)
        self._polls: dict[str, _Poll] = {}
        self._lock = threading.Lock()

    def attach(self, events: Any) -> None:
        # First, so that botocore's own random ClientToken does not replace ours.
        events.register_first("before-parameter-build", self._skip_data_calls(self._inject_token_and_tags))
        events.register_last("before-parameter-build", self._skip_data_calls(self._keep_request))
        events.register_last("before-call", self._skip_data_calls(self._write_intent))
        for service in SERVICES:
            events.register(f"needs-retry.{service}", self._known_soon.wait)
        events.register("after-call", self._skip_data_calls(self._write_answer))
        events.register("after-call-error", self._skip_data_calls(self._write_failure))

    @staticmethod
    def _skip_data_calls(hook: Callable[..., None]) -> Callable[..., None]:
        def hooked(event_name: str, **given: Any) -> None:
            if event_name.rpartition(".")[2] not in UNRECORDED_DATA_CALLS:
                hook(event_name=event_name, **given)

        return hooked

    def annotate(self, **note: Any) -> None:
        self.registry.append(self._stamped(self._record(Event.ANNOTATION, annotation=note)))

    def note_of(self, account: Account | None, **note: Any) -> None:
        """Write an annotation about another account than the current one."""
        record = self._record(Event.ANNOTATION, annotation=note)
        if account:
            record = replace(record, partition=account.partition, account=account.id)
        self.registry.append(record)

    def close(self) -> None:
        with self._lock:
            for question in list(self._polls):
                self._count(self._polls.pop(question))

    def _record(self, event: Event, **fields: Any) -> Record:
        return Record(event=event, experiment=current_experiment(), script=self.script, actor=actor(), **fields)

    def _stamped(self, record: Record) -> Record:
        whose = self.whose()
        return replace(record, partition=whose.partition, account=whose.id) if whose else record

    def _stamped_if_known(self, record: Record) -> Record:
        """Return a record with its account, if known. Whoever needs the account reports why it is not."""
        if record.whose or record.operation == WHO_ASKS:
            return record
        try:
            return self._stamped(record)
        except UserError:
            return record

    def _inject_token_and_tags(self, params: dict[str, Any], model: OperationModel, context: Context, **_: Any) -> None:
        """Add the record's id to a creating call, as its ClientToken and as a tag of what it creates."""
        if not changes_something(model.name) or model.input_shape is None:
            return
        context[ID] = record_id = new_id()
        members = model.input_shape.members
        if "ClientToken" in members and members["ClientToken"].metadata.get("idempotencyToken"):
            # A token that came with the call is that of an earlier attempt, and so is its tag.
            record_id = params.setdefault("ClientToken", record_id)
        if "TagSpecifications" in members and (tags := self.tags_of(model.name, params, record_id)):
            params["TagSpecifications"] = tags
        alone = model.service_model.service_name in PLAIN_TAG_SERVICES and "Tags" in members
        if alone and (tags := self.tags_of(model.name, params, record_id)):
            params["Tags"] = tags[0]["Tags"]

    def _keep_request(self, params: dict[str, Any], model: OperationModel, context: Context, **_: Any) -> None:
        context[KEY] = self._record(
            Event.INTENT,
            id=context.get(ID) or new_id(),
            service=model.service_model.service_name,
            region=context["client_region"],
            operation=model.name,
            request=redact(params, model.input_shape),
        )

    def _write_intent(self, context: Context, **_: Any) -> None:
        intent: Record = context[KEY]
        if not changes_something(str(intent.operation)):
            return
        try:
            context[KEY] = intent = self._stamped(intent)
            written = replace(intent, time=now())
            Record.from_json(written.as_json())  # a record that cannot be read back would be lost
            self.registry.append(written)
        except (UserError, BadRecord) as problem:
            raise UserError(f"{problem} ({intent.operation} was not sent)") from problem

    def _write_answer(self, http_response: Any, parsed: Any, model: OperationModel, context: Context, **_: Any) -> None:
        metadata = parsed.get("ResponseMetadata", {}) if isinstance(parsed, dict) else {}
        if http_response.status_code < 300:  # noqa: PLR2004
            outcome = {"event": Event.RESPONSE, "response": redact(parsed, model.output_shape)}
        else:
            found = parsed.get("Error", {})
            code, message = found.get("Code", "Unknown"), found.get("Message", "")
            error = {"code": code, "message": text_without_secrets(message), "http_status": http_response.status_code}
            # Attempts that were retried because AWS did not know a resource were rejected for certain.
            retries = metadata.get("RetryAttempts", 0) - context.get(WAITED, 0)
            outcome = {"event": Event.ERROR, "error": error | {"retries": retries}}
        self._write_outcome(context[KEY], request_id=metadata.get("RequestId"), **outcome)

    def _write_failure(self, exception: Exception, context: Context, **_: Any) -> None:
        # Only the first line: after it, botocore quotes the unreadable response, which may contain secrets.
        message = text_without_secrets(str(exception).partition("\n")[0])
        error = {"code": type(exception).__name__, "message": message, "http_status": None}
        self._write_outcome(context[KEY], event=Event.ERROR, error=error)

    def _write_outcome(self, intent: Record, **outcome: Any) -> None:
        record = replace(self._stamped_if_known(intent), id=new_id(), time=now(), parent_id=intent.id, **outcome)
        if changes_something(str(intent.operation)):
            self.registry.append(record)
        else:
            self._write_unless_repeated(replace(record, id=intent.id, parent_id=None))

    def _write_unless_repeated(self, record: Record) -> None:
        """Append the record of a read-only call, or count it if the last response to the same query was the same."""
        question = json.dumps([record.service, record.region, record.operation, record.request], sort_keys=True)
        answer = _without_metadata(record)
        with self._lock:
            poll = self._polls.get(question)
            if poll and poll.answer == answer:
                poll.times += 1
                return
            if poll:
                self._count(poll)
            self.registry.append(record)
            self._polls[question] = _Poll(answer, record)

    def _count(self, poll: _Poll) -> None:
        if poll.times:
            again = replace(poll.record, id=new_id(), time=now(), parent_id=poll.record.id, event=Event.REPEATED)
            self.registry.append(
                replace(again, times=poll.times, request=None, response=None, error=None, request_id=None)
            )


def _without_metadata(record: Record) -> str:
    """Return a response without what differs each time: request id and date."""
    response = {key: value for key, value in (record.response or {}).items() if key != "ResponseMetadata"}
    return json.dumps([record.event, response, record.error], sort_keys=True)
