"""IAM's policy simulator, which moto lacks: everything is allowed but what the scenario denies."""

from __future__ import annotations

from local_cloud.request import Call
from local_cloud.responses import Answer, Problem, xml_answer
from local_cloud.scenario import Scenario

REFUSALS = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
CONTEXT_TYPES = {
    kind + several for kind in ("string", "numeric", "boolean", "ip", "binary", "date") for several in ("", "List")
}
"""https://docs.aws.amazon.com/IAM/latest/APIReference/API_ContextEntry.html"""
NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"


def simulated(call: Call, scenario: Scenario) -> Answer:
    _check(call)
    members = "".join(
        f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>*</EvalResourceName>"
        f"<EvalDecision>{_decision(action, scenario)}</EvalDecision></member>"
        for action in call.values("ActionNames.member")
    )
    results = f"<IsTruncated>false</IsTruncated><EvaluationResults>{members}</EvaluationResults>"
    content = f"<SimulatePrincipalPolicyResult>{results}</SimulatePrincipalPolicyResult>"
    return xml_answer(call.action, content, NAMESPACE)


def _check(call: Call) -> None:
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
