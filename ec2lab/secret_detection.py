"""Recognizes secrets by name or form, so that they can be rejected where they would be stored. Pure.

It finds what is recognizable by its name or its issuer's format. A password that looks like any other word, under an
unsuspicious name, is not found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

REMEDY = 'it would be recorded; name its source in [secrets] (HF_TOKEN = "env:HF_TOKEN"; docs/secrets.md)'

ENDINGS = ("secret", "password", "passwd", "passphrase", "credential", "apikey")
"""Always a secret, whatever precedes it."""
KEYS = {
    "access", "account", "anthropic", "api", "auth", "encryption", "hf", "kaggle", "master", "openai", "private",
    "secret", "service", "signing", "wandb",
}  # fmt: skip
"""Whose `key` is a secret. Others (`primary_key`, `sort_key`, `public_key`) are not."""
CREDENTIALS = {"access", "api", "auth", "bearer", "refresh", "session"}  # whose `tokens` are secrets, though plural
TEXT_TOKENS = {  # whose `token` is a unit of text, as in language models
    "action", "audio", "begin", "blank", "bos", "byte", "char", "class", "cls", "control", "decoder", "each",
    "encoder", "end", "eod", "eos", "eot", "fim", "first", "global", "image", "img", "instance", "lang", "language",
    "last", "mask", "memory", "newline", "next", "noise", "object", "pad", "padding", "per", "placeholder", "prefix",
    "prompt", "query", "register", "sep", "separator", "soft", "sos", "source", "space", "speaker", "special",
    "speech", "start", "stop", "sub", "suffix", "target", "task", "text", "think", "time", "tool", "trigger", "unk",
    "unknown", "video", "vision", "visual", "word",
}  # fmt: skip
FLAGS = {"disable", "enable", "has", "is", "max", "min", "n", "need", "needs", "no", "num", "require", "skip", "use"}
"""Prefixes of names that say whether or how many."""
CARRIERS = {"base64", "header", "hex", "string", "text", "value"}
"""What may follow the word that counts: `token_value` is a token, `token_file` is a file."""
ACCESS = {"auth", "authorization", "bearer", "psk", "pwd"}

FORMS: Mapping[str, str] = {
    # Nothing follows an unbounded repetition: searching a file of a MiB would take hours.
    "an AWS access key": r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{20,}\b",
    "a GitHub token": r"\b(?:gh[oprsu]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,})",
    "a GitLab token": r"\bgl(?:pat|rt|dt)-[A-Za-z0-9_-]{20,}",
    "an API key": r"(?<![A-Za-z0-9-])sk-(?:[a-z]{1,20}[0-9]{0,9}-){0,3}[A-Za-z0-9_-]{0,200}[A-Za-z0-9]{20}",
    "a Slack token": r"\b(?:xox[abeoprs]-|xapp-\d-)[A-Za-z0-9-]{10,}",
    "the address of a webhook": r"(?:hooks\.slack\.com/[a-z]+/T|discord(?:app)?\.com/api/webhooks/\d)[\w/-]{20,}",
    "a Google API key": r"\bAIza[A-Za-z0-9_-]{35}",
    "a Google token": r"\b(?:ya29\.|GOCSPX-)[A-Za-z0-9_-]{20,}",
    "an Azure key": r"\bAccountKey=[A-Za-z0-9+/]{40,}",
    "a signature that lets its bearer in": r"\b(?:X-Amz-Signature=[0-9a-f]{64}|sig=[A-Za-z0-9%+/]{40,})",
    "an NVIDIA key": r"\bnvapi-[A-Za-z0-9_-]{20,}",
    "a Replicate token": r"\br8_[A-Za-z0-9]{30,}",
    "a Groq key": r"\bgsk_[A-Za-z0-9]{40,}",
    "a LangSmith key": r"\blsv2_[a-z]{2}_[A-Za-z0-9_]{30,}",
    "a Docker Hub token": r"\bdckr_[a-z]+_[A-Za-z0-9_-]{20,}",
    "a Vault token": r"\bhv[bs]\.[A-Za-z0-9_-]{20,}",
    "a DigitalOcean token": r"\bdo[op]_v1_[0-9a-f]{40,}",
    "a Stripe key": r"\b[rs]k_live_[A-Za-z0-9]{16,}",
    "an npm token": r"\bnpm_[A-Za-z0-9]{36}\b",
    "a PyPI token": r"\bpypi-AgE[A-Za-z0-9_-]{20,}",
    "a private key": r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY|\bAGE-SECRET-KEY-1|\bPuTTY-User-Key-File-",
    "a JSON web token": r"\beyJ[A-Za-z0-9_-]{10,1000}\.eyJ[A-Za-z0-9_-]{10,5000}\.[A-Za-z0-9_-]{10,}",
    "a password in an address": r"\b[a-z][a-z0-9+.-]{0,30}://[^\s/:@$]*:[^\s/@${<]{3,}@",
}
LITERAL = r"""["']?([A-Za-z0-9][\w+/=.~@!#%^&*:-]{7,})"""
"""A literal value, not a variable or command substitution."""
ASSIGNMENTS = (rf"(?<![\w./$-])([A-Za-z_]\w*)={LITERAL}", rf"(?<!\S)--?([a-z][\w-]*)(?:=|\s+){LITERAL}")


def names_a_secret(name: str) -> bool:
    """Say whether a name means a secret: `hf_token`, `apiKey` and `DB_PASSWORD` do, `max_tokens` does not."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+(?:64)?", name)]
    while len(words) > 1 and words[-1] in CARRIERS:
        words.pop()
    if not words or (len(words) > 1 and words[0] in FLAGS):
        return False
    last = words[-1].removesuffix("s")
    before = words[-2] if len(words) > 1 else ""
    if last.endswith("token"):
        kind = last.removesuffix("token") or before
        return kind in CREDENTIALS if words[-1].endswith("s") else kind not in TEXT_TOKENS
    return last.endswith(ENDINGS) or last in ACCESS or (last == "key" and before in KEYS)


def secret_in(text: str) -> str | None:
    """Return the kind of secret in text, by its issuer's format; None where none is recognized."""
    return next((kind for kind, form in FORMS.items() if re.search(form, text)), None)


def secret_in_command(command: str) -> str | None:
    """Return the kind of secret in a command, also in `HF_TOKEN=…` or `--password …` with a literal; None for none."""
    if found := secret_in(command):
        return found
    for pattern in ASSIGNMENTS:
        for name, value in re.findall(pattern, command):
            if names_a_secret(name) and re.search(r"\d", value):
                return f"a value for {name}"
    return None
