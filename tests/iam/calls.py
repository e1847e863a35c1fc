"""A call on the wire as IAM sees it: one request for each action and each resource, authorised by itself."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.iam.evaluation import Request
from tests.iam.reference import request, resource_types

ACCOUNT = "111122223333"
PREFIXES = {
    "i": "instance", "vol": "volume", "snap": "snapshot", "sg": "security-group", "subnet": "subnet", "vpc": "vpc",
    "ami": "image", "eipalloc": "elastic-ip", "key": "key-pair", "cr": "capacity-reservation",
    "eni": "network-interface", "lt": "launch-template",
}  # fmt: skip
ID = rf"({'|'.join(PREFIXES)})-(?:[0-9a-f]{{8}}|[0-9a-f]{{17}})"
WITHOUT_ACCOUNT = ("snapshot", "image")
CREATES = {
    "RunInstances": ("instance", "network-interface", "volume"), "CreateVolume": ("volume",),
    "CreateSnapshot": ("snapshot",), "CopySnapshot": ("snapshot",), "CreateSecurityGroup": ("security-group",),
    "CreatePlacementGroup": ("placement-group",),
}  # fmt: skip
NAMED = {
    "DeleteKeyPair": {"KeyName": "key-pair"}, "DeletePlacementGroup": {"GroupName": "placement-group"},
    "RunInstances": {"Placement.GroupName": "placement-group", "KeyName": "key-pair"},
}  # fmt: skip
"""Action -> the parameters that name a resource, and its type."""
DEFAULTS = {"RunInstances": ("security-group", "subnet"), "CreateSecurityGroup": ("vpc",)}
"""Action -> what it takes the account's own default of where none is named."""
IN_A_TRANSACTION = ("ConditionCheckItem", "DeleteItem", "PutItem")
"""What TransactWriteItems asks to be allowed instead of itself
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html)."""
RESOLVED = "resolve:ssm:"

Call = Mapping[str, Any]
"""As the local cloud logs it."""
Found = Iterator[Request]


@dataclass
class World:
    """What is known of the resources that calls name; what is not known of carries no tag."""

    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    """By id or name: those that it was created with, which are all that a policy may rely on."""
    public: set[str] = field(default_factory=set)
    """Images that anyone may launch."""
    roles: dict[str, str] = field(default_factory=dict)
    """Name -> path; also of instance profiles."""
    of_profile: dict[str, list[str]] = field(default_factory=dict)
    """Instance profile -> its roles' names."""

    def see(self, inventory: Iterable[Mapping[str, Any]]) -> None:
        """Learn of all that is there now."""
        for thing in inventory:
            self.tags.setdefault(thing["id"], thing["tags"])

    def hear(self, call: Call) -> None:
        """Learn of IAM's things from the calls that make them."""
        params = call["params"]
        if call["action"] in ("CreateRole", "CreateInstanceProfile"):
            name = params.get("RoleName") or params["InstanceProfileName"]
            self.roles[name] = params.get("Path", "/")
        if call["action"] == "AddRoleToInstanceProfile":
            self.of_profile.setdefault(params["InstanceProfileName"], []).append(params["RoleName"])


def requests_of(call: Call, world: World) -> list[Request]:
    """Return all that must be allowed for a call to be carried out."""
    service = call["service"]
    found = list(SERVICES.get(service, _of_whatever)(call, world))
    assert found, f"{service}:{call['action']}: on what? What is asked for nothing would count as allowed"
    return found


def arn(kind: str, name: str, region: str) -> str:
    """Return the ARN of one of EC2's resources; `*` is one that is still to be made."""
    return f"arn:aws:ec2:{region}:{'' if kind in WITHOUT_ACCOUNT else ACCOUNT}:{kind}/{name}"


def _of_ec2(call: Call, world: World) -> Found:
    action, params, region = f"ec2:{call['action']}", call["params"], call["region"]
    types = resource_types(action)
    if set(types) == {""}:
        yield request(action, "", "*", {})
        return
    found = list(_named(call))
    for kind, name in found:
        place = params.get("SourceRegion", region) if call["action"] == "CopySnapshot" else region
        yield request(action, kind, arn(kind, name, place), {**_facts(world, kind, name), **_attribute(call)})
    for kind in DEFAULTS.get(call["action"], ()):
        if kind not in {known for known, _ in found}:
            yield request(action, kind, arn(kind, "default", region), {})
    yield from _created(call)
    if call["action"] == "CreateTags":
        yield from _tagged(call, world)
    if call["action"] == "RunInstances":
        yield from _asked_by_a_launch(call, world)


def _named(call: Call) -> Iterator[tuple[str, str]]:
    """Find the resources that a call names, each once, of the types that the action is authorised on."""
    action, params = call["action"], call["params"]
    types = resource_types(f"ec2:{action}")
    by_id = {value: PREFIXES[found[1]] for value in params.values() if (found := re.fullmatch(ID, value))}
    by_name = {params[name]: kind for name, kind in NAMED.get(action, {}).items() if name in params}
    images = {value: "image" for value in params.values() if value.startswith(RESOLVED)}
    for name, of in (by_id | by_name | images).items():
        if of in types and action != "CreateTags":
            yield of, name


def _facts(world: World, kind: str, name: str) -> dict[str, Any]:
    tags = {f"aws:ResourceTag/{key}": value for key, value in world.tags.get(name, {}).items()}
    public = name in world.public or name.startswith(f"{RESOLVED}/aws/service/")
    return tags | ({"ec2:Public": str(public).lower()} if kind == "image" else {})


def _attribute(call: Call) -> dict[str, str]:
    """Return which attribute is modified, by its name in the request, as AWS's examples word it
    (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policies-for-amazon-ec2.html#attribute-key).
    """
    if not call["action"].startswith("Modify"):
        return {}
    named = call["params"].get("Attribute")
    own = [name.partition(".")[0] for name in call["params"] if not re.search(r"Id$|^DryRun$|^Value$", name)]
    return {"ec2:Attribute": named[:1].upper() + named[1:] if named else own[0]}


def _created(call: Call) -> Found:
    action, region = f"ec2:{call['action']}", call["region"]
    specified = tags_by_type(call["params"])
    kinds = (*CREATES.get(call["action"], ()), *(k for k in specified if k == "spot-instances-request"))
    for kind in kinds:
        yield request(action, kind, arn(kind, "*", region), _requested(specified.get(kind, {})))
    for kind, tags in specified.items():
        facts = {**_requested(tags), "ec2:CreateAction": call["action"]}
        yield request("ec2:CreateTags", kind, arn(kind, "*", region), facts)


def tags_by_type(params: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the tags of a request's TagSpecifications."""
    found: dict[str, dict[str, str]] = {}
    for name, kind in params.items():
        if match := re.fullmatch(r"(TagSpecification\.\d+)\.ResourceType", name):
            found[kind] = _pairs(params, f"{match[1]}.Tag")
    return found


def _pairs(params: Mapping[str, str], prefix: str) -> dict[str, str]:
    names = [name for name in params if re.fullmatch(rf"{re.escape(prefix)}\.\d+\.Key", name)]
    return {params[name]: params.get(f"{name.removesuffix('Key')}Value", "") for name in names}


def _requested(tags: Mapping[str, str]) -> dict[str, Any]:
    names: dict[str, Any] = {"aws:TagKeys": list(tags)} if tags else {}
    return names | {f"aws:RequestTag/{key}": value for key, value in tags.items()}


def _tagged(call: Call, world: World) -> Found:
    params = call["params"]
    facts = _requested(_pairs(params, "Tag"))
    for name in (value for key, value in params.items() if key.startswith("ResourceId.")):
        kind = PREFIXES[name.partition("-")[0]]
        yield request("ec2:CreateTags", kind, arn(kind, name, call["region"]), facts | _facts(world, kind, name))


def _asked_by_a_launch(call: Call, world: World) -> Found:
    params = call["params"]
    if parameter := params.get("ImageId", "").partition(RESOLVED)[2]:
        yield _parameter(parameter, call["region"])
    if profile := params.get("IamInstanceProfile.Name"):
        for role in world.of_profile[profile]:
            yield _passed(role, world)


def _passed(role: str, world: World) -> Request:
    return request("iam:PassRole", "role", iam_arn("role", role, world), {"iam:PassedToService": "ec2.amazonaws.com"})


def _parameter(name: str, region: str) -> Request:
    account = "" if name.startswith("/aws/service/") else ACCOUNT
    return request("ssm:GetParameters", "parameter", f"arn:aws:ssm:{region}:{account}:parameter/{name.lstrip('/')}", {})


def iam_arn(kind: str, name: str, world: World) -> str:
    """Return the ARN of a role or an instance profile."""
    return f"arn:aws:iam::{ACCOUNT}:{kind}{world.roles.get(name, '/')}{name}"


def _of_iam(call: Call, world: World) -> Found:
    action, params = f"iam:{call['action']}", call["params"]
    kinds = {"role": params.get("RoleName"), "instance-profile": params.get("InstanceProfileName")}
    named = {kind: name for kind, name in kinds.items() if name and kind in resource_types(action)}
    tags = _pairs(params, "Tags.member")
    for kind, name in named.items():
        place = {**world.roles, name: params["Path"]} if "Path" in params else world.roles
        resource = iam_arn(kind, name, World(roles=place))
        yield request(action, kind, resource, _requested(tags))
        if tags:
            yield request(f"iam:Tag{kind.title().replace('-', '')}", kind, resource, _requested(tags))
    if not named:
        yield request(action, "", "*", {})
    if call["action"] == "AddRoleToInstanceProfile":
        yield _passed(params["RoleName"], world)


def _of_ebs(call: Call, world: World) -> Found:
    action, params, region = f"ebs:{call['action']}", call["params"], call["region"]
    if call["action"] != "StartSnapshot":
        (name,) = re.findall(r"snap-[0-9a-f]+", params["Path"])
        yield request(action, "snapshot", arn("snapshot", name, region), _facts(world, "snapshot", name))
        return
    asked = _requested({tag["Key"]: tag["Value"] for tag in json.loads(params.get("Tags", "[]"))})
    parent = params.get("ParentSnapshotId")
    parents = {"ebs:ParentSnapshot": arn("snapshot", parent, region)} if parent else {}
    yield request(action, "snapshot", arn("snapshot", "*", region), asked | parents)
    if asked:
        # AWS names no ec2:CreateAction for it, so that none is taken for granted.
        yield request("ec2:CreateTags", "snapshot", arn("snapshot", "*", region), asked)


def _of_dynamodb(call: Call, _: World) -> Found:
    table = f"arn:aws:dynamodb:{call['region']}:{ACCOUNT}:table/{call['params']['TableName']}"
    actions = IN_A_TRANSACTION if call["action"] == "TransactWriteItems" else (call["action"],)
    for action in (*actions, *(["TagResource"] if call["action"] == "CreateTable" else [])):
        yield request(f"dynamodb:{action}", "table", table, {})


def _of_s3(call: Call, _: World) -> Found:
    path = call["params"]["Path"].strip("/")
    if call["action"] == "ListObjectsV2":
        yield request("s3:ListBucket", "bucket", f"arn:aws:s3:::{path}", {})
    else:
        yield request(f"s3:{call['action']}", "object", f"arn:aws:s3:::{path}", {})


def _of_ssm(call: Call, _: World) -> Found:
    for name in json.loads(call["params"]["Names"]):
        yield _parameter(name, call["region"])


def _of_sns(call: Call, _: World) -> Found:
    params, action = call["params"], f"sns:{call['action']}"
    named = params.get("TopicArn") or params.get("ResourceArn")
    if not named and "Name" not in params:
        yield request(action, "", "*", {})
        return
    topic, tags = named or f"arn:aws:sns:{call['region']}:{ACCOUNT}:{params['Name']}", _pairs(params, "Tags.member")
    yield request(action, "topic", topic, _requested(tags))
    if tags:
        yield request("sns:TagResource", "topic", topic, _requested(tags))


def _of_whatever(call: Call, _: World) -> Found:
    action = f"{call['service']}:{call['action']}"
    assert set(resource_types(action)) == {""}, f"{action}: on what?"
    yield request(action, "", "*", {})


SERVICES: Mapping[str, Callable[[Call, World], Found]] = {
    "ec2": _of_ec2, "iam": _of_iam, "ebs": _of_ebs, "dynamodb": _of_dynamodb, "s3": _of_s3, "sns": _of_sns,
    "ssm": _of_ssm,
}  # fmt: skip
