"""Spot placement scores, by the scenario's capacity (moto has none).

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetSpotPlacementScores.html
"""

from __future__ import annotations

from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES

from local_cloud.request import Call
from local_cloud.responses import Answer, Problem, xml_answer
from local_cloud.scenario import Scenario

LIKELY, UNLIKELY = 9, 1
MOST_REGIONS, FEWEST_TYPES = 10, 3


def scores(call: Call, scenario: Scenario) -> Answer:
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
