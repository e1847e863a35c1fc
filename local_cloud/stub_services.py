"""Stand-ins for services that moto lacks: prices, quotas, spot placement scores, IAM's policy simulator, CloudTrail."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES

from ec2lab.costs.price_book import VOLUME_USAGE, Priced, Unit, volume_usage
from ec2lab.costs.price_lookup import bundled_instances, bundled_price
from local_cloud import clock, metadata_tags
from local_cloud.request import Call
from local_cloud.responses import Answer, Problem, json_answer, xml_answer
from local_cloud.scenario import Scenario

SPOT_SHARE = 0.4  # Spot prices are invented: this share of the on-demand price

QUOTAS = {  # vCPUs of a lab in its second year; a new account has 0 for most of these
    "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances": 1920.0,
    "Running On-Demand G and VT instances": 768.0,
    "Running On-Demand P instances": 1152.0,
    "Running On-Demand Trn instances": 256.0,
    "Running On-Demand Inf instances": 256.0,
    "Running On-Demand X instances": 256.0,
    "Running On-Demand DL instances": 0.0,
    "Running On-Demand F instances": 0.0,
    "Running On-Demand High Memory instances": 0.0,
    "Running On-Demand HPC instances": 192.0,
    "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests": 1920.0,
    "All G and VT Spot Instance Requests": 768.0,
    "All P4, P3 and P2 Spot Instance Requests": 1152.0,
    "All P5 Spot Instance Requests": 0.0,
    "All Trn Spot Instance Requests": 256.0,
    "All Inf Spot Instance Requests": 256.0,
    "All X Spot Instance Requests": 256.0,
    "All DL Spot Instance Requests": 0.0,
    "All F Spot Instance Requests": 0.0,
}


MEETS = {"TERM_MATCH": str.__eq__, "CONTAINS": str.__contains__}  # the filters that the lab uses


def _get_products(call: Call, _: Scenario) -> Answer:
    """Answer pricing:GetProducts, with the bundled prices, in one region."""
    wanted = {item["Field"]: item["Value"] for item in call.json["Filters"]}
    region = wanted.get("regionCode", "")
    if wanted.get("productFamily") == "Storage Snapshot":
        found = {"EBS:SnapshotUsage": Priced(Unit.SNAPSHOT, region)}
    elif wanted.get("productFamily") == "Fast Snapshot Restore":
        found = {"EBS:FastSnapshotRestore": Priced(Unit.FAST_RESTORE, region)}
    elif wanted.get("group") == "VPCPublicIPv4Address":
        found = {
            "PublicIPv4:InUseAddress": Priced(Unit.ADDRESS, region),
            "PublicIPv4:IdleAddress": Priced(Unit.IDLE_ADDRESS, region),
        }
    elif kind := wanted.get("volumeApiName"):
        found = {volume_usage(unit, kind): Priced(unit, region, kind) for unit in VOLUME_USAGE}
    else:
        asked = [(MEETS[one["Type"]], one["Value"]) for one in call.json["Filters"] if one["Field"] == "instanceType"]
        kinds = [kind for kind in bundled_instances(region) if all(meets(kind, value) for meets, value in asked)]
        found = {f"BoxUsage:{kind}": Priced(Unit.INSTANCE, region, kind) for kind in kinds}
    products = [
        _product(usage, one, price) for usage, one in found.items() if (price := bundled_price(one)) is not None
    ]
    return json_answer({"FormatVersion": "aws_v1", "PriceList": products})


def _product(usage: str, priced: Priced, price: float) -> str:
    dimension = {"unit": "Hrs", "pricePerUnit": {"USD": f"{price:.10f}"}}
    terms = {"OnDemand": {"TERM": {"priceDimensions": {"RATE": dimension}}}}
    attributes = {"usagetype": usage} | ({"instanceType": priced.name} if priced.unit is Unit.INSTANCE else {})
    return json.dumps({"product": {"attributes": attributes}, "terms": terms})


UNCHANGED = 0.0  # vCPUs: AWS's default for accelerated instances in a new account


def quotas_in(scenario: Scenario) -> dict[str, float]:
    return {**QUOTAS, **scenario.quotas, **dict.fromkeys(scenario.unlisted_quotas, UNCHANGED)}


def _list_service_quotas(_: Call, scenario: Scenario) -> Answer:
    """Answer service-quotas:ListServiceQuotas for EC2, which may omit unchanged ones."""
    known = quotas_in(scenario)
    return _quotas({name: known[name] for name in known if name not in scenario.unlisted_quotas})


def _list_default_quotas(_: Call, scenario: Scenario) -> Answer:
    return _quotas(dict.fromkeys(quotas_in(scenario), UNCHANGED))


def _quotas(known: dict[str, float]) -> Answer:
    quotas = [{"ServiceCode": "ec2", "QuotaName": name, "Value": value} for name, value in known.items()]
    return json_answer({"Quotas": quotas})


def with_spot_prices(body: bytes, region: str) -> bytes:
    """Return spot prices as they could be, for types with a list price; moto's are all 0.00001, since 2006."""

    def priced(item: re.Match[bytes]) -> bytes:
        if (listed := bundled_price(Priced(Unit.INSTANCE, region, item["type"].decode()))) is None:
            return b""
        price = f"{listed * SPOT_SHARE:.6f}".encode()
        return item[0].replace(b"<spotPrice>0.00001<", b"<spotPrice>" + price + b"<")

    return re.sub(rb"<item>.*?<instanceType>(?P<type>[^<]+)</instanceType>.*?</item>", priced, body, flags=re.DOTALL)


def _decoded(call: Call, _: Scenario) -> Answer:
    """Answer sts:DecodeAuthorizationMessage: here an encoded message is plain base64."""
    try:
        message = base64.b64decode(call.params["EncodedMessage"], validate=True).decode()
    except ValueError as problem:
        raise Problem("InvalidAuthorizationMessageException", "Invalid authorization message") from problem
    content = f"<DecodedMessage>{escape(message)}</DecodedMessage>"
    content = f"<DecodeAuthorizationMessageResult>{content}</DecodeAuthorizationMessageResult>"
    return xml_answer(call.action, content, "https://sts.amazonaws.com/doc/2011-06-15/")


LIKELY, UNLIKELY = 9, 1
MOST_REGIONS, FEWEST_TYPES = 10, 3


def _scores(call: Call, scenario: Scenario) -> Answer:
    """Answer GetSpotPlacementScores: low where no type is to be had on spot, or fewer than three are named."""
    types, regions = call.values("InstanceType"), call.values("RegionName")
    if unknown := next((one for one in types if one not in INSTANCE_TYPES), None):
        raise Problem("InvalidParameterValue", f"Invalid value '{unknown}' for InstanceType.")
    if not types or not call.params.get("TargetCapacity", "").isdigit():
        raise Problem("MissingParameter", "The request must contain the parameters InstanceType and TargetCapacity")
    if len(regions) > MOST_REGIONS:
        raise Problem("InvalidParameterValue", "You can specify at most 10 Regions.")
    items = "".join(
        f"<item><region>{region}</region><score>{_score(region, types, scenario)}</score></item>"
        for region in regions or INSTANCE_TYPE_OFFERINGS["region"]
    )
    return xml_answer(call.action, f"<spotPlacementScoreSet>{items}</spotPlacementScoreSet>")


def _score(region: str, types: list[str], scenario: Scenario) -> int:
    offers = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, [])
    pools = [(region, one["Location"], one["InstanceType"], "spot") for one in offers if one["InstanceType"] in types]
    rules = [next((rule for rule in scenario.capacity if rule.covers(*pool)), None) for pool in pools]
    has_room = any(rule is None or rule.available for rule in rules)
    return LIKELY if has_room and len(types) >= FEWEST_TYPES else UNLIKELY


REFUSALS = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
CONTEXT_TYPES = {  # https://docs.aws.amazon.com/IAM/latest/APIReference/API_ContextEntry.html
    kind + several for kind in ("string", "numeric", "boolean", "ip", "binary", "date") for several in ("", "List")
}
NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"


def _simulated(call: Call, scenario: Scenario) -> Answer:
    _check_simulation(call)
    members = "".join(
        f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>*</EvalResourceName>"
        f"<EvalDecision>{_decision(action, scenario)}</EvalDecision></member>"
        for action in call.values("ActionNames.member")
    )
    results = f"<IsTruncated>false</IsTruncated><EvaluationResults>{members}</EvaluationResults>"
    content = f"<SimulatePrincipalPolicyResult>{results}</SimulatePrincipalPolicyResult>"
    return xml_answer(call.action, content, NAMESPACE)


def _check_simulation(call: Call) -> None:
    """Reject what IAM rejects. Which actions need the same information is unknown here, so none may be mixed."""
    if len(actions := set(call.values("ActionNames.member"))) > 1:
        told = ", ".join(sorted(actions))
        raise Problem("InvalidInput", f"Actions that need different authorization information: {told}. Ask one by one.")
    for entry in call.numbered("ContextEntries.member"):
        if (kind := entry.get("ContextKeyType", "")) not in CONTEXT_TYPES:
            raise Problem("InvalidInput", f"Invalid context key type: {kind} ({entry.get('ContextKeyName')})")


def _decision(action: str, scenario: Scenario) -> str:
    name = action.partition(":")[2]
    refused = any(fault.code in REFUSALS and fault.is_about(name) for fault in scenario.faults)
    return "implicitDeny" if refused else "allowed"


IDS = re.compile(rb"\b(?:i|vol|snap|sg|key|eipalloc)-[0-9a-f]{8,17}\b")


@dataclass
class EventHistory:
    _events: list[dict[str, Any]] = field(default_factory=list)

    def write(self, call: Call, answer: Answer) -> None:
        """Note a call that changed something, with everything that its response names."""
        if call.service == "ec2" and answer.code is None and call.changes_something():
            names = {found.decode() for found in IDS.findall(answer.body)}
            event = {"EventId": str(uuid.uuid4()), "EventName": call.action, "EventTime": clock.now().timestamp()}
            event |= {"Username": call.key, "EventSource": "ec2.amazonaws.com", "region": call.region}
            self._events.append({**event, "Resources": [{"ResourceName": name} for name in sorted(names)]})

    def lookup(self, call: Call) -> dict[str, Any]:
        """Answer LookupEvents by a resource's name, newest event first."""
        wanted = {item["AttributeKey"]: item["AttributeValue"] for item in call.json.get("LookupAttributes", ())}
        found = [
            {key: value for key, value in event.items() if key != "region"}
            for event in reversed(self._events)
            if event["region"] == call.region
            and any(resource["ResourceName"] == wanted.get("ResourceName") for resource in event["Resources"])
        ]
        return {"Events": found[: call.json.get("MaxResults", 50)]}


STAND_INS: dict[tuple[str, str], Callable[[Call, Scenario], Answer]] = {
    ("ec2", "GetInstanceMetadataDefaults"): metadata_tags.defaults,
    ("ec2", "GetSpotPlacementScores"): _scores,
    ("iam", "SimulatePrincipalPolicy"): _simulated,
    ("pricing", "GetProducts"): _get_products,
    ("servicequotas", "ListAWSDefaultServiceQuotas"): _list_default_quotas,
    ("servicequotas", "ListServiceQuotas"): _list_service_quotas,
    ("sts", "DecodeAuthorizationMessage"): _decoded,
}


def stub_response(call: Call, scenario: Scenario) -> Answer | None:
    """Answer a call that moto cannot; None for all others, and for dry runs."""
    stub = STAND_INS.get((call.service, call.action))
    return stub(call, scenario) if stub and "DryRun" not in call.params else None
