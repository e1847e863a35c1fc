"""The category of each AWS error, and so how to handle it: a table and pure functions.

The codes are from https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from ec2lab.printable import shortened


class ErrorCategory(Enum):
    """The category of an error, in the words that the user sees."""

    INSUFFICIENT_CAPACITY = "insufficient capacity"
    """Try the next zone, type or region; retry all later."""
    ZONE_UNAVAILABLE = "zone not usable"
    """Try the next zone. One without a default subnet is excluded for all types."""
    NOT_OFFERED_IN_ZONE = "refused in this zone"
    """Exclude that type, zone and market."""
    NOT_OFFERED = "refused in this region"
    """Exclude that type, region and market. There are other causes than the offer: tenancy, boot mode, AMI."""
    COMPUTE_QUOTA = "vCPU quota used up"
    """Exclude what counts toward the same quota in that region."""
    STORAGE_QUOTA = "EBS quota used up"
    """Exclude the region, for all types."""
    NETWORK_QUOTA = "network quota used up"
    """Exclude the region, for all types."""
    RESERVATION_UNUSABLE = "reservation not usable here"
    """It belongs to another region, zone or type, or has expired: exclude it there."""
    TOO_MANY_AT_ONCE = "too many at once"
    """Wait until others are done, then make the same call."""
    THROTTLED = "throttled"
    """Make the same call, more slowly."""
    AMBIGUOUS = "no clear response"
    """Make the same call with the same token, or reconcile: it may have been carried out."""
    REGION_UNUSABLE = "region not usable"
    """Exclude the region. If all regions report this, the credentials or the lab's files are wrong."""
    REGION_DENIED = "denied by an organization policy"
    """Exclude the region. If all regions report this, nobody in this account may launch."""
    ACCESS_DENIED = "not allowed"
    """Exclude the region, since a policy may name regions. If all regions report this, the caller may not launch."""
    SUBSCRIPTION_REQUIRED = "the image needs a subscription"
    """Stop, and show AWS's link."""
    PARAMETER_MISMATCH = "a client token was used for two requests"
    """Stop: a bug of the lab."""
    CLIENT_TOKEN_REUSED = "that attempt's instance is dead"  # noqa: S105
    """Make the same call with a new token."""
    DRY_RUN_SUCCEEDED = "the dry run would have worked"
    FATAL = "rejected"
    """Stop: no other call would succeed."""


WAITING_HELPS = frozenset({ErrorCategory.TOO_MANY_AT_ONCE, ErrorCategory.THROTTLED})
"""Nothing was done, and the same call will succeed later."""
TRANSIENT = WAITING_HELPS | {ErrorCategory.AMBIGUOUS}  # the next call of any kind may succeed
NOT_PERMITTED = frozenset({ErrorCategory.ACCESS_DENIED, ErrorCategory.REGION_DENIED})
REGION_OUT = NOT_PERMITTED | {  # says nothing about any other region
    ErrorCategory.REGION_UNUSABLE, ErrorCategory.STORAGE_QUOTA, ErrorCategory.NETWORK_QUOTA,
}  # fmt: skip

STOPS = frozenset(  # no region will do
    {ErrorCategory.SUBSCRIPTION_REQUIRED, ErrorCategory.PARAMETER_MISMATCH, ErrorCategory.CLIENT_TOKEN_REUSED,
     ErrorCategory.DRY_RUN_SUCCEEDED, ErrorCategory.FATAL}
)  # fmt: skip

NEVER_SENT = frozenset(  # botocore's errors from before a request is sent
    {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "UnauthorizedSSOTokenError",
     "TokenRetrievalError", "SSOTokenLoadError"}
)  # fmt: skip

_C = ErrorCategory
TABLE: dict[ErrorCategory, str] = {
    _C.INSUFFICIENT_CAPACITY: """InsufficientInstanceCapacity InsufficientHostCapacity
        InsufficientReservedInstanceCapacity InsufficientCapacityOnHost InsufficientCapacity UnfulfillableCapacity
        ReservationCapacityExceeded SpotMaxPriceTooLow InvalidPlacementGroup.InUse""",
    _C.ZONE_UNAVAILABLE: "InsufficientFreeAddressesInSubnet InsufficientVolumeCapacity",
    _C.NOT_OFFERED_IN_ZONE: "VolumeTypeNotAvailableInZone",
    # Without its role, an account has no spot market, but the others.
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
PREFIXES = {"Throttling": _C.THROTTLED, "InvalidAMIID.": _C.REGION_UNUSABLE, "InvalidKMSKey": _C.REGION_UNUSABLE}
ACCESS_DENIED_CODES = tuple(TABLE[_C.ACCESS_DENIED].split())
CREDENTIAL_CODES = ("AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException")
"""A region's response if the account has not opted in to it, and every region's if the credentials are wrong
(https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_enable-regions.html)."""

EVERYWHERE = ("Blocked", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "InvalidSignatureException",
              "MissingAuthenticationToken", "RequestExpired", "SignatureDoesNotMatch")  # fmt: skip
"""What every region would return for any call: the clock, the session or the account is wrong."""

ENCODED = "Encoded authorization failure message"
"""The rest of the message can only be decoded by sts:DecodeAuthorizationMessage."""
NO_DEFAULT_SUBNET = "no default subnet for availability zone"
NO_SUBNETS = "no subnets found for the default vpc"
POLICY_DENIES = re.compile(r"explicit deny in an? (service|resource) control policy")
NOT_IMPLEMENTED, SERVER_ERROR = 501, 500  # HTTP: a server that does not know an operation has not started it


@dataclass(frozen=True, slots=True)
class ApiError:
    """An error response of AWS, or a missing response."""

    code: str
    message: str
    status: int | None = None
    """The HTTP status; None without a response, or for a late error from an instance's StateReason."""
    late: bool = False
    region: str = ""
    operation: str = ""  # Service and operation: "ec2:RunInstances"
    market: str = ""
    instance_type: str = ""  # what was requested, if the call was about an instance

    @property
    def category(self) -> ErrorCategory:
        found = classify(self.code, self.message, self.status, self.region)
        if self.late and found in TRANSIENT:
            # The instance has terminated, so nothing is ambiguous. EC2's own failure says nothing about other pools.
            return _C.INSUFFICIENT_CAPACITY if self.code.startswith("Server.") else self._of_a_client
        return found

    @property
    def _of_a_client(self) -> ErrorCategory:
        """The category of a late failure that is not EC2's own. InternalError is usually a KMS key, one per region."""
        return _C.REGION_UNUSABLE if bare(self.code) == "InternalError" else _C.FATAL

    @property
    def zones_named(self) -> list[str]:
        """The zones that the message suggests; a hint for the order, and sometimes wrong."""
        _, _, offered = self.message.partition("choosing")
        return zones_in(offered, self.region)

    @property
    def unavailable_zone(self) -> str | None:
        """The zone that the message is about, if it names one."""
        about, _, _ = self.message.partition("choosing")
        return next(iter(zones_in(about, self.region)), None)

    @property
    def lacks_default_subnet(self) -> bool:
        """Whether the zone stays unusable, because nobody can launch there without naming a subnet."""
        return NO_DEFAULT_SUBNET in self.message.lower()

    @property
    def is_about_a_subnet(self) -> bool:
        """Whether another subnet of the region may work."""
        return bare(self.code) == "InvalidSubnetID.NotFound"

    @property
    def is_about_credentials(self) -> bool:
        """Whether wrong credentials would cause the same response."""
        return self.code in CREDENTIAL_CODES

    @property
    def is_everywhere(self) -> bool:
        """Whether every region would return it, so no other must be tried."""
        return self.code in EVERYWHERE

    @property
    def explained(self) -> str:
        """The error in one line: with AWS's message if waiting does not help, else its category."""
        if self.category is _C.INSUFFICIENT_CAPACITY:
            return str(self.category.value)
        said = shortened(" ".join(self.message.partition(ENCODED)[0].split()))
        return f"{self}: {said}" if said and self.category not in TRANSIENT else str(self)

    def __str__(self) -> str:
        return f"{self.category.value} ({self.code})"


def classify(code: str, message: str = "", status: int | None = None, region: str = "") -> ErrorCategory:
    """Return the category of an error code, considering its message, status and region.

    A StateReason's code has the prefix `Server.` or `Client.`, and means the same.
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
    """Return a code without the prefix of a StateReason."""
    return code.removeprefix("Server.").removeprefix("Client.")


def zones_in(text: str, region: str) -> list[str]:
    """Return the zones of a region that a text names: the region's name and more (`us-west-2-lax-1a`)."""
    if not region:
        return []
    return re.findall(rf"\b{re.escape(region)}(?:[a-z]|-[\w-]*[a-z])\b", text)
