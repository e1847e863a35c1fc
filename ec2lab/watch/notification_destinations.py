"""Where `[notify]` of lab.toml sends events: Slack, any webhook, and an SNS topic, which sends e-mail."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import urllib.request
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from ec2lab.aws.errors import in_words
from ec2lab.config.lab_sections import Notify
from ec2lab.console import warn
from ec2lab.errors import UserError
from ec2lab.events import Emit, Event
from ec2lab.events.watch import CommandExited
from ec2lab.launch.parts.notifications import topic_of
from ec2lab.launch.run_spec import last_recorded_run
from ec2lab.printable import printable
from ec2lab.rendering import text_of
from ec2lab.session import Session
from ec2lab.watch.notifier import NotificationDispatcher, Notifier, notifiers

if TYPE_CHECKING:
    from http.client import HTTPMessage
    from typing import IO

TIMEOUT = 8.0  # seconds for one request: less than a notifier may take for one event
SUBJECT = 100  # characters of a subject, which are ASCII (https://docs.aws.amazon.com/sns/latest/api/API_Publish.html)


class Destination(Notifier):
    def __init__(self, session: Session, settings: Notify) -> None:
        self.session, self.events = session, frozenset(settings.events)

    def notify(self, event: Event) -> None:
        if event.event in self.events:
            self.send(event)

    @abstractmethod
    def send(self, event: Event) -> None:
        """Send an event. May raise anything."""

    def text(self, event: Event) -> str:
        """Return an event in one line that names the lab and the experiment."""
        text, experiment = printable(text_of(event)), getattr(event, "experiment", None)
        return f"[{self.session.lab.name}] {text if not experiment or experiment in text else f'{experiment}: {text}'}"


class Slack(Destination):
    """An incoming webhook of Slack (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks)."""

    name = "slack"

    def send(self, event: Event) -> None:
        """Post the event's line. `&`, `<` and `>` would begin markup."""
        text = self.text(event).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        post(secret_address(self.session, self.name, str(self.session.lab.notify.slack)), {"text": text})


class Webhook(Destination):
    """Any address that takes a POST of JSON."""

    name = "webhook"

    def send(self, event: Event) -> None:
        post(secret_address(self.session, self.name, str(self.session.lab.notify.webhook)), event.as_json())


class Topic(Destination):
    """An SNS topic, with whatever subscribes to it: e-mail addresses, a chat client, queues."""

    name = "topic"

    def send(self, event: Event) -> None:
        """Publish the event's line, and the object below it."""
        if isinstance(event, CommandExited) and self._is_published_there(event.experiment):
            return
        arn, text = str(topic_of(self.session)), self.text(event)
        subject = text.encode("ascii", "replace").decode()[:SUBJECT]
        message = f"{text}\n\n{json.dumps(event.as_json(), indent=2)}\n"
        with in_words():
            client = self.session.cloud.client("sns", arn.split(":")[3])
            client.publish(TopicArn=arn, Subject=subject, Message=message)

    def _is_published_there(self, experiment: str) -> bool:
        """Return whether the instance publishes that its command ended: once is enough."""
        run = last_recorded_run(self.session, experiment)
        return bool(run and run["experiment"].get("instance_profile"))


DESTINATIONS = (Slack, Webhook, Topic)


def all_notifiers(session: Session) -> list[Notifier]:
    settings = session.lab.notify
    chosen = [one(session, settings) for one in DESTINATIONS if getattr(settings, one.name)]
    if settings.email:
        chosen.append(Topic(session, settings))
    return [*chosen, *notifiers(session.plugins)]


@contextmanager
def notifying(session: Session, emit: Emit) -> Iterator[Emit]:
    """Give an emit that also notifies. A notifier that fails or hangs is a warning, and stops nothing."""
    if not (found := all_notifiers(session)):
        yield emit
        return
    dispatcher = NotificationDispatcher(found, warn)

    def emit_and_tell(event: Event) -> None:
        emit(event)
        if event.notify:
            dispatcher.tell(event)

    try:
        yield emit_and_tell
    finally:
        dispatcher.close()


def secret_address(session: Session, key: str, place: str) -> str:
    """Return the address that is kept at `env:NAME` or `ssm:/name`. Errors never contain it. Raises UserError."""
    kind, _, name = place.partition(":")
    read: Mapping[str, Callable[[], str | None]] = {
        "env": lambda: os.environ.get(name),
        "ssm": lambda: _parameter(session, name),
    }
    where = f"lab.toml: notify.{key}: {place}"
    if not (address := read[kind]()):
        raise UserError(f"{where}: {'is not set in the environment' if kind == 'env' else 'no such SSM parameter'}")
    if not is_allowed(address):
        raise UserError(f"{where}: does not hold an https:// address (http:// is for loopback only)")
    return address


def _parameter(session: Session, name: str) -> str | None:
    with in_words():
        ssm = session.cloud.client("ssm", session.lab.regions[0])
        found = ssm.get_parameters(Names=[name], WithDecryption=True)["Parameters"]
    return str(found[0]["Value"]) if found else None


def is_allowed(address: str) -> bool:
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if re.search(r"[^\x21-\x7e]", address) or not host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: an event goes to the address that was configured, or nowhere."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        del req, fp, code, msg, headers, newurl


def post(address: str, content: Mapping[str, Any]) -> None:
    """Post JSON. Raises UserError, without the address, unless the response is a success."""
    body = json.dumps(content).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json", "User-Agent": "ec2-lab"})  # noqa: S310 - https or loopback
    # Plain http is for this computer alone: a proxy would see the address.
    proxies = [urllib.request.ProxyHandler({})] if urlsplit(address).scheme == "http" else []
    try:
        with urllib.request.build_opener(_NoRedirect, *proxies).open(request, timeout=TIMEOUT):
            pass
    except HTTPError as error:
        error.close()
        raise UserError(f"the response is {error.code}") from None
    except (OSError, HTTPException) as problem:
        raise UserError(str(getattr(problem, "reason", None) or type(problem).__name__)) from None
