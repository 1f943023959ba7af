"""Removes from calls and answers what is the account's own, while they are recorded.

Of an answer only the fields of the operation's list are kept, and of those each id, address, name
and token becomes a placeholder such as `<id-1>`: the same value, the same placeholder, so that what
a request takes from an earlier answer can still be seen. Without its brackets a placeholder is a
valid name, so that a record can be sent again.
"""

import base64
import binascii
import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

_SHORTEST_NAME: Final = 4  # a shorter one is a part of too many words
_WORD: Final = "(?<![A-Za-z0-9]){}(?![A-Za-z0-9])"  # `Role` is a part of a parameter's name
_NESTED: Final = 4  # encodings inside one another
_TOKEN: Final = re.compile(r"[A-Za-z0-9+/_-]{10,}={0,2}")  # `10.1.2.3` has 11 in base64
_ARN: Final = re.compile(r"(arn:aws[a-z-]*:([a-z0-9-]*):[a-z0-9-]*):([^:\s\"']*):([^\s\"',;)\]}]*)")
_S3: Final = re.compile(r"(?<=s3://)[^/\s\"'<]+")
# Kind of placeholder -> pattern, in this order.
_PATTERNS: Final[Mapping[str, re.Pattern[str]]] = {
    "query": re.compile(r"(?<=\?)[^\s\"'?]*(?:X-Amz-|Signature|AWSAccessKeyId|Expires)[^\s\"']*"),
    "email": re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    "host": re.compile(
        r"(?:[\w-]+\.)+(?:internal|local|lan|corp)\b|\bip-\d+-\d+-\d+-\d+\b"
        r"|(?:[\w-]+\.)*vpce-[\w-]+(?:\.[\w-]+)+|(?:[\w-]+\.)+compute(?:-\d)?\.amazonaws\.com"
    ),
    "key": re.compile(r"\bA[A-Z]{3}[A-Z0-9]{12,}\b"),
    "id": re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    "net": re.compile(
        r"\b(?:vpc|subnet|sgr?|eni|ami|snap|tgw|vpce(?:-svc)?|rtb|igw|acl|pl|fl|i|dopt|nat|vol)-[0-9a-f]{8,17}\b"
    ),
    "ip": re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\d|\.\d)(?:/\d{1,2})?"),
    "ipv6": re.compile(
        r"(?i)(?<![\w:.])(?=[\da-f:]*::|(?:[\da-f]+:){3})[\da-f]+:[\da-f:]+(?![\w:])"
    ),
    "account": re.compile(r"(?<!\d)(?:\d{12}|\d{4}-\d{4}-\d{4})(?!\d)"),
    "hex": re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{32,}(?![0-9a-fA-F])"),
}
# Of the scratch network of the fixtures, all addresses, and every account.
_PUBLIC: Final = frozenset({"10.77.0.0/24", "0.0.0.0/0", "127.0.0.1", "root"})


class Scrubber:
    """The placeholders of one record."""

    def __init__(self, *, account: str, prefix: str, names: Iterable[str] = ()) -> None:
        """Takes the account's id, the prefix of what the probe makes, and names to hide."""
        self._prefix = prefix
        words = sorted({name for name in names if len(name) >= _SHORTEST_NAME}, key=len)
        self._names = [re.compile(_WORD.format(re.escape(w)), re.IGNORECASE) for w in words[::-1]]
        self._placeholders = {account: "<account-1>"}

    def answer(self, value: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
        """Returns what a record keeps of an answer."""
        copy: dict[str, Any] = {}
        for field in fields:
            _copy(value, field.split("."), copy)
        return dict(self.scrub(copy))

    def scrub(self, value: Any) -> Any:
        """Returns a value, such as a request, with placeholders in all its texts."""
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.scrub(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.scrub(item) for item in value]
        if isinstance(value, dt.datetime):
            return "<time>"
        if isinstance(value, bytes):
            return self._placeholder("bytes", repr(value))
        text = str(value)
        return value if value is None or self.text(text) == text else self.text(text)

    def text(self, text: str, depth: int = 0) -> str:
        """Returns a text with placeholders."""
        decoded = unquote(text)
        if decoded != text and depth < _NESTED and self.text(decoded, depth + 1) != decoded:
            return self.text(decoded, depth + 1)
        for name in self._names:
            text = name.sub(lambda match: self._placeholder("name", match[0].lower()), text)
        text = _S3.sub(lambda match: self._own_or("bucket", match[0]), _ARN.sub(self._arn, text))
        for kind, pattern in _PATTERNS.items():
            text = pattern.sub(partial(self._placeholder, kind), text)
        return _TOKEN.sub(lambda match: self._token(match[0], depth), text)

    def _arn(self, match: re.Match[str]) -> str:
        head, service, account, resource = match.groups()
        if account == "aws" or (not account and service == "states"):
            return match[0]  # of AWS: a policy, or a call by a flow
        if account.isdigit():
            account = self._placeholder("account", account)
        first, *others = re.split(r"([/:])", resource)
        parts = [first if others and service != "s3" else self._own_or("resource", first)]
        parts += [part if part in "/:*" else self._own_or("resource", part) for part in others]
        return f"{head}:{account}:{''.join(parts)}"

    def _own_or(self, kind: str, value: str) -> str:
        if value.startswith((self._prefix, "$")):
            return value
        return self._placeholder("id" if _PATTERNS["id"].fullmatch(value) else kind, value)

    def _token(self, token: str, depth: int) -> str:
        if depth < _NESTED and (plain := _plain_text(token)) is not None:
            clean = self.text(plain, depth + 1) == plain
            return token if clean else self._placeholder("base64", token)
        random = all(re.search(letters, token) for letters in (r"[a-z]", r"[A-Z]", r"\d", ".{20}"))
        return self._placeholder("token", token) if random else token

    def _placeholder(self, kind: str, match: str | re.Match[str]) -> str:
        value = match if isinstance(match, str) else match[0]
        if not value or value.startswith("<") or value in _PUBLIC:
            return value
        value = value.replace("-", "") if kind == "account" else value
        if value not in self._placeholders:
            number = sum(one.startswith(f"<{kind}-") for one in self._placeholders.values()) + 1
            self._placeholders[value] = f"<{kind}-{number}>"
        return self._placeholders[value]


def _plain_text(token: str) -> str | None:
    """Decodes base64, of either alphabet; None if no text comes out."""
    padded = token.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        text = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return text if re.fullmatch(r"[\s\x20-\x7e\xa0-\uffff]+", text) else None


def _copy(value: Any, path: list[str], into: dict[str, Any]) -> None:
    """Copies one field, such as `Steps[].Name`, into a record of those that are kept."""
    key, *rest = path
    name = key.removesuffix("[]")
    if not isinstance(value, Mapping) or value.get(name) is None:
        return
    if not rest:
        into[name] = value[name]
    elif key == name:
        _copy(value[name], rest, into.setdefault(name, {}))
    else:
        targets = into.setdefault(name, [{} for _ in value[name]])
        for source, target in zip(value[name], targets, strict=True):
            _copy(source, rest, target)
