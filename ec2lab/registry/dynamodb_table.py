"""The DynamoDB table under a registry: made when it is first used, its refusals explained, its clock read."""

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
from ec2lab.aws.errors import AWS_ERRORS, described
from ec2lab.aws.tags import SHARED, to_aws
from ec2lab.errors import UserError
from ec2lab.polling import attempts, jittered
from ec2lab.registry.base import NotARegistry

TRIES = 10
"""How often what collides with somebody else's transaction is tried."""
PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
"""Why a transaction may be cancelled now and not the next time; botocore does not ask again by itself
(https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html)."""
PASSING_CODES = {"TransactionConflictException", "TransactionInProgressException"}
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
KEYS = {"place": "HASH", "id": "RANGE"}
"""The keys of a registry's table."""
KNOWN_AFTER = 120.0
"""Seconds in which calls may not know a new table yet, though it is described as active."""
BACKUP_MARKER = {"place": "about", "id": "backups"}
"""The item that says that backups were seen to."""
NO_BACKUPS_YET = ("ContinuousBackupsUnavailableException", "TableNotFoundException", "ResourceNotFoundException")
"""What a table says to that which was made a moment ago."""
BACKUP_PATIENCE, BACKUP_POLL = 120, (2.0, 2.0)
"""Seconds after which a new table can be backed up at the latest, and between the tries."""

Answer = dict[str, Any]
WITH_VALUES = {"Key", "Item", "ExpressionAttributeValues"}
"""Members of requests that are typed on the wire: {"place": {"S": "live"}, …}."""


def typed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as DynamoDB's protocol has them."""
    serialize = TypeSerializer().serialize
    return {name: serialize(value) for name, value in values.items()}


def plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item as Python has it: whole numbers are int, others Decimal."""
    deserialize = TypeDeserializer().deserialize
    return {name: _plain(deserialize(value)) for name, value in item.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Binary):
        return bytes(value.value)  # type: ignore[attr-defined]  # missing from its stubs
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else value


def _as_sent(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: typed(value) if name in WITH_VALUES else value for name, value in request.items()}


class ConditionFailed(Exception):
    """What a write was conditioned on is not so."""


class Table:
    """One table, with a partition key `place` and a sort key `id`."""

    def __init__(self, client: Any, address: str, name: str) -> None:
        self.client = client
        self.address = address
        self.name = name
        self._made: float | None = None
        """When it was made by this process, or by another at the same time."""
        self._ahead = 0.0
        """Seconds by which AWS's clock is ahead of this computer's monotonic one."""

    def server_time(self) -> float:
        """Return the time by AWS's clock, which all lock_owners of leases share; at most a second early, never late."""
        return clock.monotonic() + self._ahead

    def get(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return an item as it is now."""
        found = self._call("get_item", Key=key, ConsistentRead=True).get("Item")
        return plain(found) if found else None

    def put(self, item: Mapping[str, Any], **condition: Any) -> None:
        """Write an item. Raises ConditionFailed."""
        self._call("put_item", Item=item, **condition)

    def update(self, key: Mapping[str, Any], **change: Any) -> None:
        """Change an item. Raises ConditionFailed."""
        self._call("update_item", Key=key, **change)

    def delete(self, key: Mapping[str, Any], **condition: Any) -> None:
        """Delete an item. Raises ConditionFailed."""
        self._call("delete_item", Key=key, **condition)

    def transact(self, writes: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Do all of some writes or none: by each one's action (Put, Delete, …) and request. Raises ConditionFailed."""
        sent = [{action: {"TableName": self.name, **_as_sent(request)}} for action, request in writes]
        self._call("transact_write_items", named=False, TransactItems=sent)

    def description(self) -> dict[str, Any] | None:
        """Return what DynamoDB says of the table; None where there is none. Raises UserError."""
        with self._explained(), _unless("ResourceNotFoundException"):
            described: dict[str, Any] = self.client.describe_table(TableName=self.name)["Table"]
            return described
        return None

    def is_backed_up(self) -> bool:
        """Say whether the table can be put back to any moment of the last weeks. Raises UserError."""
        with self._explained():
            told = self.client.describe_continuous_backups(TableName=self.name)["ContinuousBackupsDescription"]
        recovery = told.get("PointInTimeRecoveryDescription", {})
        return bool(recovery.get("PointInTimeRecoveryStatus") == "ENABLED")

    def query(self, place: str, prefix: str = "", **more: Any) -> Iterator[dict[str, Any]]:
        """Yield the items of a partition whose sort key begins with `prefix`, in its order, as they are now."""
        condition, values = "place = :place", {":place": place}
        if prefix:
            condition, values = f"{condition} AND begins_with(id, :prefix)", {**values, ":prefix": prefix}
        yield from self._pages(
            "query", KeyConditionExpression=condition, ExpressionAttributeValues=values, ConsistentRead=True, **more
        )

    def scan(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Yield the items of all partitions whose name begins with `prefix`, as they are now."""
        yield from self._pages(
            "scan", FilterExpression="begins_with(place, :prefix)",
            ExpressionAttributeValues={":prefix": prefix}, ConsistentRead=True,
        )  # fmt: skip

    def _pages(self, operation: str, **request: Any) -> Iterator[dict[str, Any]]:
        start: dict[str, Any] = {}
        while True:
            answer = self._call(operation, **request, **start)
            yield from map(plain, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _call(self, operation: str, *, named: bool = True, **request: Any) -> Answer:
        """Make a call, with the table's name where it takes one. Raises ConditionFailed, UserError."""
        call: Callable[..., Answer] = getattr(self.client, operation)
        table, request = ({"TableName": self.name} if named else {}), _as_sent(request)
        with self._explained():
            for tried, pause in enumerate(jittered(FIRST_PAUSE, LONGEST_PAUSE), 1):
                try:
                    answer = call(**table, **request)
                except ClientError as refusal:
                    self._handle_error(refusal, last=tried >= TRIES and not self._is_young())
                    clock.sleep(pause)
                else:
                    self._read_clock(answer)
                    return answer
        raise AssertionError("the tries never end")

    def _is_young(self) -> bool:
        """Say whether the table was made a moment ago, so that AWS may not know it yet."""
        return self._made is not None and clock.monotonic() - self._made < KNOWN_AFTER

    def _handle_error(self, refusal: ClientError, *, last: bool) -> None:
        """Fix what a refusal tells of, so that the call may be made again; raise where it may not."""
        self._read_clock(refusal.response)
        code = refusal.response["Error"]["Code"]
        reasons = {str(reason.get("Code")) for reason in refusal.response.get("CancellationReasons", ())}
        if code == "ConditionalCheckFailedException" or "ConditionalCheckFailed" in reasons:
            raise ConditionFailed from refusal
        if code == "ValidationException" or "ValidationError" in reasons:
            self._expect_own_keys()
        if code == "ResourceNotFoundException" and not last:
            if not self._is_young():
                self._make()
        elif last or not (code in PASSING_CODES or reasons & PASSING):
            raise refusal

    def _read_clock(self, answer: Mapping[str, Any]) -> None:
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date:
            # A Date has no fractions and was told before it arrived: each is early, and the least early is the best.
            # Were the last one taken, a lease could be renewed to an earlier end than it had.
            told = parsedate_to_datetime(date).replace(tzinfo=UTC).timestamp() - clock.monotonic()
            self._ahead = max(self._ahead, told)

    def _make(self) -> None:
        """Make the table: paid by the request, encrypted by a key of the account, with backups of every second."""
        with _unless("ResourceInUseException"):  # somebody else makes it
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
        """Raise NotARegistry where the table is somebody's, for something else."""
        if described := self.description():
            self.expect_keys_of(described)

    def expect_keys_of(self, described: Mapping[str, Any]) -> None:
        """Raise NotARegistry where a described table has other keys than a registry's."""
        keys = [(key["AttributeName"], key["KeyType"]) for key in described["KeySchema"]]
        if sorted(keys) != sorted(KEYS.items()):
            told = ", ".join(f"{name} ({kind})" for name, kind in keys)
            raise NotARegistry(
                f"{self.address}: the table {self.name} is no registry: its keys are {told}, not place (HASH) and "
                "id (RANGE); name another table, which is made when it is first used"
            )

    def ensure_backups(self) -> None:
        """Turn backups on, once, for a table whose maker was cut off before he did. Raises UserError."""
        if self.get(BACKUP_MARKER) is None:
            # Who may not is in a team in which somebody else sees to it.
            with self._explained(), _unless("AccessDeniedException"):
                self._back_up()
                self.put(BACKUP_MARKER)

    def _back_up(self) -> None:
        """Turn point-in-time recovery on, as soon as AWS lets a new table have it."""
        for last in attempts(clock.sleep, BACKUP_POLL, BACKUP_PATIENCE):
            with nullcontext() if last else _unless(*NO_BACKUPS_YET):
                self.client.update_continuous_backups(
                    TableName=self.name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
                )
                return

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn AWS's refusals into a line of our own: what recorded call they befell must not take them for its own."""
        try:
            yield
        except AWS_ERRORS as problem:
            said = described(problem) if isinstance(problem, ClientError) else str(problem).partition("\n")[0]
            raise UserError(f"{self.address}: {said}") from problem


@contextmanager
def _unless(*codes: str) -> Iterator[None]:
    """Let a call be refused with one of some codes."""
    try:
        yield
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] not in codes:
            raise
