"""What a refusal of AWS means for the search: a table and pure functions.

The codes are those of https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class Meaning(Enum):
    """What a refusal says, and so what is to be done."""

    POOL_EMPTY = "no capacity now"
    """Next zone, type, region; again in the next round."""
    NOT_IN_ZONE = "not offered in this zone"
    """That zone is out for that type, for good."""
    NOT_IN_REGION = "not offered in this region"
    """That type is out in that region, for good."""
    QUOTA = "quota used up"
    """That region, family and market are out, for this launch."""
    RESERVATION_OUT = "reservation not usable here"
    """It belongs to another region, zone or type, or is over: out there, for this launch."""
    REGION_OUT = "region not set up"
    """That region is out, for this launch."""
    TOO_FAST = "asked too fast"
    """The same again, more slowly."""
    UNKNOWN_OUTCOME = "no clear answer"
    """The same again with the same token: it may have happened."""
    TOKEN_SPENT = "that attempt's machine is dead"  # noqa: S105
    """The same again with a new token."""
    STOP = "refused"
    """Asking again, anywhere, is pointless."""


POOL_EMPTY = """InsufficientInstanceCapacity InsufficientHostCapacity InsufficientReservedInstanceCapacity
    InsufficientCapacityOnHost InsufficientCapacity UnfulfillableCapacity ReservationCapacityExceeded
    SpotMaxPriceTooLow InsufficientFreeAddressesInSubnet InsufficientVolumeCapacity InvalidPlacementGroup.InUse"""
QUOTA = """VcpuLimitExceeded InstanceLimitExceeded MaxSpotInstanceCountExceeded VolumeLimitExceeded
    MaxIOPSLimitExceeded SnapshotLimitExceeded AddressLimitExceeded NetworkInterfaceLimitExceeded"""
TOO_FAST = """RequestLimitExceeded Throttling ThrottlingException EC2ThrottledException SlowDown
    TooManyRequestsException PriorRequestNotComplete PendingSnapshotLimitExceeded ConcurrentSnapshotLimitExceeded
    SnapshotCreationPerVolumeRateExceeded ResourceLimitExceeded RequestThrottledException
    ConcurrentLimitExceededException"""
TOO_MANY = ("PendingSnapshotLimitExceeded", "ConcurrentSnapshotLimitExceeded", "ResourceLimitExceeded",
            "ConcurrentLimitExceededException")  # fmt: skip
"""Those of them that no slower asking helps, but only waiting until others are done."""
UNKNOWN_OUTCOME = """InternalError InternalFailure InternalServerException ServerInternal Unavailable
    ServiceUnavailable"""
REGION_OUT = """OptInRequired PendingVerification InvalidAMIID.NotFound InvalidAMIID.Unavailable
    InvalidAMIID.Malformed InvalidSnapshot.NotFound InvalidKeyPair.NotFound SnapshotCopyUnsupported.InterRegion
    VPCIdNotSpecified DefaultVpcDoesNotExist InvalidGroup.NotFound InvalidSubnetID.NotFound SsmInvalidParameter"""

MEANINGS = {
    **dict.fromkeys(POOL_EMPTY.split(), Meaning.POOL_EMPTY),
    **dict.fromkeys(QUOTA.split(), Meaning.QUOTA),
    **dict.fromkeys(TOO_FAST.split(), Meaning.TOO_FAST),
    **dict.fromkeys(UNKNOWN_OUTCOME.split(), Meaning.UNKNOWN_OUTCOME),
    **dict.fromkeys(REGION_OUT.split(), Meaning.REGION_OUT),
    "VolumeTypeNotAvailableInZone": Meaning.NOT_IN_ZONE,
    "IdempotentInstanceTerminated": Meaning.TOKEN_SPENT,
}

NOT_ALLOWED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
"""The codes by which AWS says that the caller may not make a call."""
SERVER_ERROR = 500

ZONE = r"\b[a-z]{2}(?:-[a-z]+)+-\d[a-z]\b"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One answer that was not a machine."""

    code: str
    message: str
    status: int | None = None
    """The HTTP status; None where no answer came, or where the refusal came late, as a machine's StateReason."""
    late: bool = False

    @property
    def meaning(self) -> Meaning:
        """What the refusal says."""
        meaning = meaning_of(self.code, self.message, self.status)
        if self.late and meaning is Meaning.UNKNOWN_OUTCOME:
            # The machine is dead, so nothing is unknown. EC2's own failure says nothing of other pools; any other
            # reason (Client.InternalError is often a KMS key that may not be used) would come again everywhere.
            return Meaning.POOL_EMPTY if self.code.startswith("Server.") else Meaning.STOP
        return meaning

    @property
    def zones_named(self) -> list[str]:
        """The zones that the message says would do: a hint for the order of asking, sometimes a wrong one."""
        _, _, offered = self.message.partition("choosing")
        return re.findall(ZONE, offered)

    def __str__(self) -> str:
        said = "too many at once" if self.code in TOO_MANY else self.meaning.value
        return f"{said} ({self.code})"


def meaning_of(code: str, message: str, status: int | None) -> Meaning:
    """Return what an error code means, where its message or status decides with them in mind.

    A StateReason's code comes with `Server.` or `Client.` in front, and means the same.
    """
    bare = code.removeprefix("Server.").removeprefix("Client.")
    if bare == "Unsupported":
        return Meaning.NOT_IN_ZONE if re.search(ZONE, message) else Meaning.NOT_IN_REGION
    if bare == "InvalidParameterValue" and "InstanceType" in message:
        return Meaning.NOT_IN_REGION
    if bare in MEANINGS:
        return MEANINGS[bare]
    if "CapacityReservation" in bare:
        return Meaning.RESERVATION_OUT
    if status is None or status >= SERVER_ERROR:
        return Meaning.UNKNOWN_OUTCOME
    return Meaning.STOP


FAMILIES = {
    "g": "G and VT", "gr": "G and VT", "vt": "G and VT", "p": "P", "trn": "Trn", "inf": "Inf", "dl": "DL", "f": "F",
    "x": "X", "u": "High Memory", "hpc": "HPC",
}  # fmt: skip
"""The quota that a type counts against, by the letters that it begins with; all others share one
(https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html)."""


def quota_family(instance_type: str) -> str:
    """Return the name of the vCPU quota that an instance type counts against."""
    letters = re.match(r"[a-z]+", instance_type)
    return FAMILIES.get(letters[0] if letters else "", "Standard")
