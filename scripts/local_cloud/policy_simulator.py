"""IAM's policy simulator, which moto lacks: here all is allowed but what the weather refuses."""

from __future__ import annotations

from scripts.local_cloud.answers import Answer
from scripts.local_cloud.call import Call
from scripts.local_cloud.weather import Weather

REFUSALS = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"


def simulated(call: Call, weather: Weather) -> Answer | None:
    """Answer iam:SimulatePrincipalPolicy; None for all other calls."""
    if (call.service, call.action) != ("iam", "SimulatePrincipalPolicy"):
        return None
    members = "".join(
        f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>*</EvalResourceName>"
        f"<EvalDecision>{_decision(action, weather)}</EvalDecision></member>"
        for action in call.values("ActionNames.member")
    )
    return Answer(
        200,
        f'<SimulatePrincipalPolicyResponse xmlns="{NAMESPACE}"><SimulatePrincipalPolicyResult>'
        f"<IsTruncated>false</IsTruncated><EvaluationResults>{members}</EvaluationResults>"
        "</SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>".encode(),
    )


def _decision(action: str, weather: Weather) -> str:
    name = action.partition(":")[2]
    refused = any(fault.code in REFUSALS and fault.is_about(name) for fault in weather.faults)
    return "implicitDeny" if refused else "allowed"
