"""Options of a draft, which `contract init` and `new --data` share."""

from collections.abc import Mapping
from typing import Annotated, Literal

import typer

from sashiko.contract.model import Delimiter, Encoding

# `;` and `|` are special characters in a shell.
DELIMITERS: Mapping[str, Delimiter] = {"comma": ",", "semicolon": ";", "bar": "|", "tab": "\t"}
DECIMALS: Mapping[str, Literal[".", ","]] = {"point": ".", "comma": ","}

Facets = Annotated[
    list[str] | None, typer.Option("--facet", help="A column by which bias is judged; repeatable.")
]
DelimiterName = Annotated[
    Literal["comma", "semicolon", "bar", "tab"] | None,
    typer.Option("--delimiter", help="The separator of a CSV's values; default: detected."),
]
EncodingName = Annotated[
    Encoding | None, typer.Option("--encoding", help="The encoding of a CSV; default: detected.")
]
DecimalName = Annotated[
    Literal["point", "comma"] | None,
    typer.Option("--decimal", help="The decimal separator; default: detected."),
]
DateOrder = Annotated[
    Literal["dmy", "mdy"] | None,
    typer.Option("--date-order", help="The order in dates such as 01/02/2025; default: detected."),
]
