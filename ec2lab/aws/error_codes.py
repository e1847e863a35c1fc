"""What an error of AWS means, and so what to do about it: a table and pure functions.

The codes are those of https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from ec2lab.printable import shortened


class ErrorCategory(Enum):
    """What an error says, in the words that a user reads."""

    INSUFFICIENT_CAPACITY = "insufficient capacity"
    """Try the next zone, type, region; all of them again later."""
    ZONE_UNAVAILABLE = "zone not usable"
    """Try the next zone. One without a default subnet is out for all types."""
    NOT_OFFERED_IN_ZONE = "refused in this zone"
    """That type, zone and market are out."""
    NOT_OFFERED = "refused in this region"
    """That type, region and market are out. The cause may be another than the offer: tenancy, boot mode, AMI."""
    COMPUTE_QUOTA = "vCPU quota used up"
    """What counts against the same quota in that region is out."""
    STORAGE_QUOTA = "EBS quota used up"
    """The region is out, whatever the type."""
    NETWORK_QUOTA = "network quota used up"
    """The region is out, whatever the type."""
    RESERVATION_UNUSABLE = "reservation not usable here"
    """It belongs to another region, zone or type, or is over: out there."""
    TOO_MANY_AT_ONCE = "too many at once"
    """Wait until others are done, then the same call."""
    THROTTLED = "throttled"
    """The same call, more slowly."""
    AMBIGUOUS = "no clear response"
    """The same call with the same token, or reconcile: it may have been carried out."""
    REGION_UNUSABLE = "region not usable"
    """The region is out. Where every region says so, the credentials or the lab's files are wrong."""
    REGION_DENIED = "denied by an organization policy"
    """The region is out. Where every region says so, nobody in this account may."""
    ACCESS_DENIED = "not allowed"
    """The region is out, since a policy may name regions. Where every region says so, the caller may not."""
    SUBSCRIPTION_REQUIRED = "the image needs a subscription"
    """Stop, and show AWS's link."""
    PARAMETER_MISMATCH = "a client token was used for two requests"
    """Stop: a bug of ours."""
    CLIENT_TOKEN_REUSED = "that attempt's instance is dead"  # noqa: S105
    """The same call with a new token."""
    DRY_RUN_SUCCEEDED = "the dry run would have worked"
    FATAL = "rejected"
    """Stop: asking again, anywhere, is pointless."""


WAITING_HELPS = frozenset({ErrorCategory.TOO_MANY_AT_ONCE, ErrorCategory.THROTTLED})
"""Nothing was done, and the same call will work later."""
TRANSIENT = WAITING_HELPS | {ErrorCategory.AMBIGUOUS}
"""May be over at the next call, of whatever kind it is."""
NOT_PERMITTED = frozenset({ErrorCategory.ACCESS_DENIED, ErrorCategory.REGION_DENIED})
REGION_OUT = NOT_PERMITTED | {
    ErrorCategory.REGION_UNUSABLE, ErrorCategory.STORAGE_QUOTA, ErrorCategory.NETWORK_QUOTA,
}  # fmt: skip
"""Says nothing of any other region."""

STOPS = frozenset(
    {ErrorCategory.SUBSCRIPTION_REQUIRED, ErrorCategory.PARAMETER_MISMATCH, ErrorCategory.CLIENT_TOKEN_REUSED,
     ErrorCategory.DRY_RUN_SUCCEEDED, ErrorCategory.FATAL}
)  # fmt: skip
"""Says that no region will do."""

NEVER_SENT = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "UnauthorizedSSOTokenError",
     "TokenRetrievalError", "SSOTokenLoadError"}
)  # fmt: skip
"""botocore's errors from before a request is on the wire."""

_C = ErrorCategory
TABLE: dict[ErrorCategory, str] = {
    _C.INSUFFICIENT_CAPACITY: """InsufficientInstanceCapacity InsufficientHostCapacity
        InsufficientReservedInstanceCapacity InsufficientCapacityOnHost InsufficientCapacity UnfulfillableCapacity
        ReservationCapacityExceeded SpotMaxPriceTooLow InvalidPlacementGroup.InUse""",
    _C.ZONE_UNAVAILABLE: "InsufficientFreeAddressesInSubnet InsufficientVolumeCapacity",
    _C.NOT_OFFERED_IN_ZONE: "VolumeTypeNotAvailableInZone",
    # Without its role an account has no spot market, and the others all the same.
    _C.NOT_OFFERED: "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
    _C.COMPUTE_QUOTA: "VcpuLimitExceeded InstanceLimitExceeded MaxSpotInstanceCountExceeded",
    _C.STORAGE_QUOTA: "VolumeLimitExceeded MaxIOPSLimitExceeded SnapshotLimitExceeded",
    _C.NETWORK_QUOTA: """AddressLimitExceeded NetworkInterfaceLimitExceeded SecurityGroupLimitExceeded
        RulesPerSecurityGroupLimitExceeded""",
    _C.TOO_MANY_AT_ONCE: """PendingSnapshotLimitExceeded ConcurrentSnapshotLimitExceeded
        SnapshotCreationPerVolumeRateExceeded ResourceLimitExceeded ConcurrentLimitExceededException""",
    _C.THROTTLED: """RequestLimitExceeded EC2ThrottledException SlowDown TooManyRequestsException
        PriorRequestNotComplete RequestThrottled RequestThrottledException
        ProvisionedThroughputExceededException""",
    _C.AMBIGUOUS: """InternalError InternalFailure InternalServerException ServerInternal Unavailable
        ServiceUnavailable""",
    _C.REGION_UNUSABLE: """AuthFailure InvalidClientTokenId UnrecognizedClientException RegionDisabledException
        OptInRequired PendingVerification InvalidSnapshot.NotFound InvalidKeyPair.NotFound
        SnapshotCopyUnsupported.InterRegion VPCIdNotSpecified DefaultVpcDoesNotExist InvalidGroup.NotFound
        InvalidSubnetID.NotFound InvalidPlacementGroup.Unknown SsmInvalidParameter""",
    _C.ACCESS_DENIED: "UnauthorizedOperation AccessDenied AccessDeniedException",
    _C.PARAMETER_MISMATCH: "IdempotentParameterMismatch",
    _C.CLIENT_TOKEN_REUSED: "IdempotentInstanceTerminated",
    _C.DRY_RUN_SUCCEEDED: "DryRunOperation",
}
CATEGORIES = {code: category for category, codes in TABLE.items() for code in codes.split()}
PREFIXES = {
    "Throttling": _C.THROTTLED,
    "InvalidAMIID.": _C.REGION_UNUSABLE,
    "InvalidKMSKey": _C.REGION_UNUSABLE,
}
"""Families of codes."""
ACCESS_DENIED_CODES = tuple(TABLE[_C.ACCESS_DENIED].split())
"""How AWS says that the caller may not make a call."""
CREDENTIAL_CODES = ("AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException")
"""What a region says that the account has not opted in to, and every region of credentials that are wrong
(https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_enable-regions.html)."""

EVERYWHERE = ("Blocked", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "InvalidSignatureException",
              "MissingAuthenticationToken", "RequestExpired", "SignatureDoesNotMatch")  # fmt: skip
"""What each region would say, whatever is asked of it: the clock, the session or the account is wrong."""

ENCODED = "Encoded authorization failure message"
"""What comes behind it is for sts:DecodeAuthorizationMessage alone."""
NO_DEFAULT_SUBNET = "no default subnet for availability zone"
NO_SUBNETS = "no subnets found for the default vpc"
POLICY_DENIES = re.compile(r"explicit deny in an? (service|resource) control policy")
NOT_IMPLEMENTED, SERVER_ERROR = 501, 500
"""HTTP: a server that does not know the operation has not begun it."""


@dataclass(frozen=True, slots=True)
class ApiError:
    """A response of AWS that was an error, or a response that never came."""

    code: str
    message: str
    status: int | None = None
    """The HTTP status; None where no response came, or where the error came late, as an instance's StateReason."""
    late: bool = False
    region: str = ""
    operation: str = ""
    """Service and operation: "ec2:RunInstances"."""
    market: str = ""
    instance_type: str = ""
    """What was asked for, where the call was about an instance."""

    @property
    def category(self) -> ErrorCategory:
        """What the error says."""
        found = classify(self.code, self.message, self.status, self.region)
        if self.late and found in TRANSIENT:
            # The instance is dead, so nothing is ambiguous. EC2's own failure says nothing of other pools.
            return _C.INSUFFICIENT_CAPACITY if self.code.startswith("Server.") else self._of_a_client
        return found

    @property
    def _of_a_client(self) -> ErrorCategory:
        """What a late failure means that is not EC2's own. With InternalError it is mostly a KMS key, one a region."""
        return _C.REGION_UNUSABLE if bare(self.code) == "InternalError" else _C.FATAL

    @property
    def zones_named(self) -> list[str]:
        """The zones that the message says would do: a hint for the order of asking, sometimes a wrong one."""
        _, _, offered = self.message.partition("choosing")
        return zones_in(offered, self.region)

    @property
    def zone_refused(self) -> str | None:
        """The zone that the message is about, where it names one."""
        about, _, _ = self.message.partition("choosing")
        return next(iter(zones_in(about, self.region)), None)

    @property
    def lacks_default_subnet(self) -> bool:
        """Whether the zone will stay unusable: nobody can start an instance there without naming a subnet."""
        return NO_DEFAULT_SUBNET in self.message.lower()

    @property
    def is_about_a_subnet(self) -> bool:
        """Whether another subnet of the region may do."""
        return bare(self.code) == "InvalidSubnetID.NotFound"

    @property
    def is_about_credentials(self) -> bool:
        """Whether wrong credentials would have the same response."""
        return self.code in CREDENTIAL_CODES

    @property
    def is_everywhere(self) -> bool:
        """Whether each region would answer so, and no other need be asked."""
        return self.code in EVERYWHERE

    @property
    def explained(self) -> str:
        """The error in one line: with AWS's own message where waiting does not help, in two words where there is none
        to be had, as is said most often.
        """  # noqa: D205
        if self.category is _C.INSUFFICIENT_CAPACITY:
            return str(self.category.value)
        said = shortened(" ".join(self.message.partition(ENCODED)[0].split()))
        return f"{self}: {said}" if said and self.category not in TRANSIENT else str(self)

    def __str__(self) -> str:
        return f"{self.category.value} ({self.code})"


def classify(code: str, message: str = "", status: int | None = None, region: str = "") -> ErrorCategory:
    """Return the category of an error code, where its message, status or region decides with them in mind.

    A StateReason's code comes with `Server.` or `Client.` in front, and means the same.
    """
    code = bare(code)
    return _by_message(code, message, region) or _by_code(code, status)


def _by_message(code: str, message: str, region: str) -> ErrorCategory | None:
    text, about = message.lower(), message.partition("choosing")[0]
    match code:
        case _ if NO_DEFAULT_SUBNET in text:
            found = _C.ZONE_UNAVAILABLE
        case _ if NO_SUBNETS in text:
            found = _C.REGION_UNUSABLE
        case "Unsupported" if "requested availability zone" in text or zones_in(about, region):
            found = _C.NOT_OFFERED_IN_ZONE
        case "Unsupported":
            found = _C.NOT_OFFERED
        case "InvalidParameterValue" if "InstanceType" in message:
            found = _C.NOT_OFFERED
        case "OptInRequired" if "marketplace" in text:
            found = _C.SUBSCRIPTION_REQUIRED
        case _ if code in ACCESS_DENIED_CODES and POLICY_DENIES.search(text):
            found = _C.REGION_DENIED
        case _:
            return None
    return found


def _by_code(code: str, status: int | None) -> ErrorCategory:
    if found := CATEGORIES.get(code):
        return found
    if found := next((category for prefix, category in PREFIXES.items() if code.startswith(prefix)), None):
        return found
    if "CapacityReservation" in code:
        return _C.RESERVATION_UNUSABLE
    if status is None or (status >= SERVER_ERROR and status != NOT_IMPLEMENTED):
        return _C.AMBIGUOUS
    return _C.FATAL


def bare(code: str) -> str:
    """Return a code without what a StateReason puts in front."""
    return code.removeprefix("Server.").removeprefix("Client.")


def zones_in(text: str, region: str) -> list[str]:
    """Return the words of a text that are names of a region's zones: its own name and more (`us-west-2-lax-1a`)."""
    if not region:
        return []
    return re.findall(rf"\b{re.escape(region)}(?:[a-z]|-[\w-]*[a-z])\b", text)
