"""What an intent's records say of its outcome."""

import pytest

from scripts.core.registry.record import Event, Record
from scripts.core.registry.resources import holdings
from scripts.kinds.instance import Instance

KINDS = {"instance": Instance()}
LOST = {"code": "ReadTimeoutError", "message": "", "http_status": None}
TOO_FAST = {"code": "RequestLimitExceeded", "message": "", "http_status": 503, "retries": 0}
EMPTY = {"code": "InsufficientInstanceCapacity", "message": "", "http_status": 500, "retries": 0}
REFUSED = {"code": "UnauthorizedOperation", "message": "", "http_status": 403, "retries": 0}
SECOND_TIME = REFUSED | {"retries": 1}


def tries(*errors):
    """Return the records of one attempt: an intent for each try with its one token, and what became of it."""
    call = {"experiment": "demo", "region": "us-east-1", "operation": "RunInstances", "request": {"ClientToken": "t"}}
    for error in errors:
        intent = Record(event=Event.INTENT, **call)
        yield intent
        if error is not None:
            yield Record(event=Event.ERROR, of=intent.id, error=error, **call)


@pytest.mark.parametrize(
    ("errors", "unsettled"),
    [
        ([None], 1),
        ([LOST], 1),
        ([EMPTY], 0),
        ([TOO_FAST, TOO_FAST], 0),
        ([SECOND_TIME], 1),
        ([LOST, EMPTY], 0),
        ([REFUSED], 0),
        ([LOST, REFUSED], 1),
        ([LOST, TOO_FAST], 1),
        ([TOO_FAST, LOST], 1),
    ],
)
def test_an_attempt_is_unsettled_while_nobody_can_know_whether_it_made_a_machine(errors, unsettled):
    assert len(holdings(tries(*errors), KINDS).unsettled) == unsettled
