"""The table of refusals, row by row."""

import pytest

from scripts.core.capacity.refusals import Meaning, Refusal, meaning_of, quota_family

IN_ZONE = (
    "Your requested instance type (p5.48xlarge) is not supported in your requested Availability Zone (us-east-1e)."
)


@pytest.mark.parametrize(
    ("code", "message", "status", "meaning"),
    [
        ("InsufficientInstanceCapacity", "", 500, Meaning.POOL_EMPTY),
        ("SpotMaxPriceTooLow", "", 400, Meaning.POOL_EMPTY),
        ("InsufficientFreeAddressesInSubnet", "", 400, Meaning.POOL_EMPTY),
        ("Unsupported", IN_ZONE, 400, Meaning.NOT_IN_ZONE),
        ("Unsupported", "The requested configuration is currently not supported.", 400, Meaning.NOT_IN_REGION),
        ("InvalidParameterValue", "Invalid value 'p9.large' for InstanceType.", 400, Meaning.NOT_IN_REGION),
        ("InvalidParameterValue", "Invalid value for Placement", 400, Meaning.STOP),
        ("VolumeTypeNotAvailableInZone", "", 400, Meaning.NOT_IN_ZONE),
        ("VcpuLimitExceeded", "", 400, Meaning.QUOTA),
        ("MaxSpotInstanceCountExceeded", "", 400, Meaning.QUOTA),
        ("ResourceLimitExceeded", "", 400, Meaning.TOO_FAST),
        ("RequestLimitExceeded", "", 503, Meaning.TOO_FAST),
        ("RequestThrottledException", "", 400, Meaning.TOO_FAST),
        ("InternalServerException", "", 500, Meaning.UNKNOWN_OUTCOME),
        ("InternalError", "", 500, Meaning.UNKNOWN_OUTCOME),
        ("ResponseParserError", "", None, Meaning.UNKNOWN_OUTCOME),
        ("ReadTimeoutError", "", None, Meaning.UNKNOWN_OUTCOME),
        ("503", "Service Unavailable", 503, Meaning.UNKNOWN_OUTCOME),
        ("OptInRequired", "", 401, Meaning.REGION_OUT),
        ("InvalidAMIID.NotFound", "", 400, Meaning.REGION_OUT),
        ("InvalidSnapshot.NotFound", "", 400, Meaning.REGION_OUT),
        ("UnauthorizedOperation", "", 403, Meaning.STOP),
        ("InvalidUserData.Malformed", "", 400, Meaning.STOP),
        ("IdempotentParameterMismatch", "", 400, Meaning.STOP),
        ("SomethingNewOfAws", "", 418, Meaning.STOP),
        ("IdempotentInstanceTerminated", "", 400, Meaning.TOKEN_SPENT),
    ],
)
def test_a_refusal_means_what_the_table_says(code, message, status, meaning):
    assert meaning_of(code, message, status) is meaning


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("Server.InsufficientInstanceCapacity", Meaning.POOL_EMPTY),
        ("Server.InternalError", Meaning.POOL_EMPTY),
        ("Server.SpotInstanceTermination", Meaning.POOL_EMPTY),
        ("Client.VolumeLimitExceeded", Meaning.QUOTA),
        ("Client.InvalidSnapshot.NotFound", Meaning.REGION_OUT),
        ("Client.InternalError", Meaning.STOP),
        ("Client.UserInitiatedShutdown", Meaning.STOP),
    ],
)
def test_a_late_refusal_is_never_unclear_because_the_machine_is_dead(code, meaning):
    assert Refusal(code, "", late=True).meaning is meaning


@pytest.mark.parametrize(
    ("instance_type", "family"),
    [("g5.xlarge", "G and VT"), ("gr6.4xlarge", "G and VT"), ("p4d.24xlarge", "P"), ("p5.48xlarge", "P"),
     ("trn1.32xlarge", "Trn"), ("m7i.large", "Standard"), ("im4gn.large", "Standard"), ("x2idn.16xlarge", "X")],
)  # fmt: skip
def test_a_type_counts_against_its_familys_quota(instance_type, family):
    assert quota_family(instance_type) == family
