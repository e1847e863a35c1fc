"""The DynamoDB table of a registry: created on first use, with errors explained and its clock read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from ec2lab import clock
from ec2lab.aws.errors import AWS_ERRORS, described, ignoring
from ec2lab.aws.tags import SHARED, to_aws
from ec2lab.errors import UserError
from ec2lab.polling import attempts, jittered
from ec2lab.progress import working
from ec2lab.registry.base import NotARegistry

TRIES = 10
PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
"""Transient reasons of a cancelled transaction, which botocore does not retry
(https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html)."""
PASSING_CODES = {"TransactionConflictException", "TransactionInProgressException"}
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
KEYS = {"place": "HASH", "id": "RANGE"}
KNOWN_AFTER = 120.0  # seconds during which calls may not know a new table yet, although it is described as active
BACKUP_MARKER = {"place": "about", "id": "backups"}  # the item that records that backups were enabled
NO_BACKUPS_YET = ("ContinuousBackupsUnavailableException", "TableNotFoundException", "ResourceNotFoundException")
"""Errors about a table that was just created."""
BACKUP_PATIENCE, BACKUP_POLL = 120, (2.0, 2.0)
"""Timeout and interval, in seconds, until backups can be enabled on a new table."""

Answer = dict[str, Any]
WITH_VALUES = {"Key", "Item", "ExpressionAttributeValues"}
"""Members of requests whose values are typed in DynamoDB's protocol: {"place": {"S": "live"}, …}."""


def typed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values in DynamoDB's protocol."""
    serialize = TypeSerializer().serialize
    return {name: serialize(value) for name, value in values.items()}


def plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item as Python values: whole numbers as int, others as Decimal."""
    deserialize = TypeDeserializer().deserialize
    return {name: _plain(deserialize(value)) for name, value in item.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Binary):
        return bytes(value.value)  # type: ignore[attr-defined]  # missing from its stubs
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else value


def _as_sent(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: typed(value) if name in WITH_VALUES else value for name, value in request.items()}


class ConditionFailed(Exception):
    """The condition of a write was not met."""


class Table:
    """One table, with the partition key `place` and the sort key `id`."""

    def __init__(self, client: Any, address: str, name: str) -> None:
        self.client = client
        self.address = address
        self.name = name
        self._made: float | None = None  # when it was created by this process, or by another at the same time
        self._ahead = 0.0  # seconds by which AWS's clock is ahead of this computer's monotonic clock

    def server_time(self) -> float:
        """Return the time by AWS's clock, which all owners of leases share; at most a second early, never late."""
        return clock.monotonic() + self._ahead

    def get(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        found = self._call("get_item", Key=key, ConsistentRead=True).get("Item")
        return plain(found) if found else None

    def put(self, item: Mapping[str, Any], **condition: Any) -> None:
        self._call("put_item", Item=item, **condition)

    def update(self, key: Mapping[str, Any], **change: Any) -> None:
        self._call("update_item", Key=key, **change)

    def delete(self, key: Mapping[str, Any], **condition: Any) -> None:
        self._call("delete_item", Key=key, **condition)

    def transact(self, writes: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Make several writes or none, given as action (Put, Delete, …) and request. Raises ConditionFailed."""
        sent = [{action: {"TableName": self.name, **_as_sent(request)}} for action, request in writes]
        self._call("transact_write_items", named=False, TransactItems=sent)

    def description(self) -> dict[str, Any] | None:
        """Return DynamoDB's description of the table; None if it does not exist. Raises UserError."""
        with self._explained(), ignoring("ResourceNotFoundException"):
            described: dict[str, Any] = self.client.describe_table(TableName=self.name)["Table"]
            return described
        return None

    def is_backed_up(self) -> bool:
        """Return whether point-in-time recovery is enabled. Raises UserError."""
        with self._explained():
            backups = self.client.describe_continuous_backups(TableName=self.name)["ContinuousBackupsDescription"]
        recovery = backups.get("PointInTimeRecoveryDescription", {})
        return bool(recovery.get("PointInTimeRecoveryStatus") == "ENABLED")

    def query(self, place: str, prefix: str = "", **more: Any) -> Iterator[dict[str, Any]]:
        """Yield the items of a partition whose sort key begins with `prefix`, in order, read consistently."""
        condition, values = "place = :place", {":place": place}
        if prefix:
            condition, values = f"{condition} AND begins_with(id, :prefix)", {**values, ":prefix": prefix}
        yield from self._pages(
            "query", KeyConditionExpression=condition, ExpressionAttributeValues=values, ConsistentRead=True, **more
        )

    def scan(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Yield the items of all partitions whose name begins with `prefix`, read consistently."""
        yield from self._pages(
            "scan", FilterExpression="begins_with(place, :prefix)",
            ExpressionAttributeValues={":prefix": prefix}, ConsistentRead=True,
        )  # fmt: skip

    def _pages(self, operation: str, **request: Any) -> Iterator[dict[str, Any]]:
        start: dict[str, Any] = {}
        while True:
            with working("reading the registry"):
                answer = self._call(operation, **request, **start)
            yield from map(plain, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _call(self, operation: str, *, named: bool = True, **request: Any) -> Answer:
        """Make a call, with the table's name if the operation takes one. Raises ConditionFailed, UserError."""
        call: Callable[..., Answer] = getattr(self.client, operation)
        table, request = ({"TableName": self.name} if named else {}), _as_sent(request)
        with self._explained():
            for tried, pause in enumerate(jittered(FIRST_PAUSE, LONGEST_PAUSE), 1):
                try:
                    answer = call(**table, **request)
                except ClientError as error:
                    self._handle_error(error, last=tried >= TRIES and not self._is_young())
                    clock.sleep(pause)
                else:
                    self._read_clock(answer)
                    return answer
        raise AssertionError("the tries never end")

    def _is_young(self) -> bool:
        """Return whether the table was created so recently that AWS may not know it yet."""
        return self._made is not None and clock.monotonic() - self._made < KNOWN_AFTER

    def _handle_error(self, error: ClientError, *, last: bool) -> None:
        """Fix what an error reports, so that the call can be repeated; raise if it must not be."""
        self._read_clock(error.response)
        code = error.response["Error"]["Code"]
        reasons = {str(reason.get("Code")) for reason in error.response.get("CancellationReasons", ())}
        if code == "ConditionalCheckFailedException" or "ConditionalCheckFailed" in reasons:
            raise ConditionFailed from error
        if code == "ValidationException" or "ValidationError" in reasons:
            self._expect_own_keys()
        if code == "ResourceNotFoundException" and not last:
            if not self._is_young():
                self._make()
        elif last or not (code in PASSING_CODES or reasons & PASSING):
            raise error

    def _read_clock(self, answer: Mapping[str, Any]) -> None:
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date:
            # A Date has no fractions and is sent before it arrives, so each is early; the least early is the best.
            # With the last one instead, a lease might be renewed to an earlier expiry than it had.
            offset = parsedate_to_datetime(date).replace(tzinfo=UTC).timestamp() - clock.monotonic()
            self._ahead = max(self._ahead, offset)

    def _make(self) -> None:
        """Create the table: on-demand billing, encrypted with the account's key, point-in-time recovery."""
        with ignoring("ResourceInUseException"):  # somebody else creates it
            self.client.create_table(
                TableName=self.name,
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in KEYS],
                KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in KEYS.items()],
                BillingMode="PAY_PER_REQUEST",
                SSESpecification={"Enabled": True, "SSEType": "KMS"},
                DeletionProtectionEnabled=True,
                Tags=to_aws({SHARED: "registry"}),
            )  # fmt: skip
        self.client.get_waiter("table_exists").wait(TableName=self.name, WaiterConfig={"Delay": 2, "MaxAttempts": 60})
        self._made = clock.monotonic()
        self._back_up()

    def _expect_own_keys(self) -> None:
        if described := self.description():
            self.expect_keys_of(described)

    def expect_keys_of(self, described: Mapping[str, Any]) -> None:
        """Raise NotARegistry if a described table has other keys than a registry's."""
        keys = [(key["AttributeName"], key["KeyType"]) for key in described["KeySchema"]]
        if sorted(keys) != sorted(KEYS.items()):
            shown = ", ".join(f"{name} ({kind})" for name, kind in keys)
            raise NotARegistry(
                f"{self.address}: the table {self.name} is no registry: its keys are {shown}, not place (HASH) and "
                "id (RANGE); name another table, which is created when it is first used"
            )

    def ensure_backups(self) -> None:
        """Enable backups of a table whose creator was interrupted before it did. Raises UserError."""
        if self.get(BACKUP_MARKER) is None:
            # Without the permission, a teammate can do it.
            with self._explained(), ignoring("AccessDeniedException"):
                self._back_up()
                self.put(BACKUP_MARKER)

    def _back_up(self) -> None:
        """Enable point-in-time recovery as soon as AWS allows it for a new table."""
        for last in attempts(clock.sleep, BACKUP_POLL, BACKUP_PATIENCE):
            with nullcontext() if last else ignoring(*NO_BACKUPS_YET):
                self.client.update_continuous_backups(
                    TableName=self.name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
                )
                return

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Convert AWS's errors to UserError, so that a recorded call does not mistake them for its own."""
        try:
            yield
        except AWS_ERRORS as problem:
            said = described(problem) if isinstance(problem, ClientError) else str(problem).partition("\n")[0]
            raise UserError(f"{self.address}: {said}") from problem
