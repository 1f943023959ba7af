"""What a column's name tells: its name in the lake, and whether it smells of a person.

The words are English and German; of other languages the values alone tell.
"""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from sashiko.contract.columns import Classification

_LONGEST_PROJECT = 41
_LONGEST = 60  # of the 63 characters that a lake's column may have; the rest is for a number


def _one_of(names: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|_)({'|'.join(names.split())})(?=_|$)")


_PERSONAL = _one_of("""
    account_number address birth birthday birthdate card_number dob e_mail email fax firstname
    forename iban insurance_number ip lastname mail mobile national_id passport phone postal
    postcode social_security ssn street surname tax_id telephone username zip zipcode
    adresse anschrift ansprechpartner benutzername familienname geburtsdatum geburtsjahr
    geburtsname geburtsort geburtstag handy handynummer hausnummer kontonr kontonummer kundenname
    mobilnummer nachname plz postfach postleitzahl rufnummer steuer_id steuernummer strasse svnr
    sozialversicherungsnummer telefax telefon telefonnummer vorname zuname
""")
# A number by which one person, or one household, is found again.
_PERSONS_NUMBER = re.compile(
    r"(?:^|_)((?:account|client|customer|employee|household|insured|konto|kunden?|member|"
    r"mitarbeiter|mitglieds?|patient|patienten|person|personal|personen|personnel|student|"
    r"studenten|teilnehmer|user|versicherten|versicherungs|vertrags)"
    r"_?(?:id|key|kennung|no|nr|num|number|nummer|ref))(?=_|$)"
)
_NAME = _one_of("name")
# A name of one of these is no person's.
_THING = _one_of("""
    branch brand campaign category channel city column company country course event file game item
    model plan product project region school shop state station store table team
""")
_SENSITIVE = _one_of("""
    age caste citizenship disability disabled ethnic ethnicity gender health language marital
    married nationality orientation pregnancy pregnant race relationship religion salutation sex
    veteran alter altersgruppe altersklasse anrede behindert behinderung familienstand geschlecht
    gesundheit herkunft konfession krankheit migrationshintergrund nationalitat schwanger
    schwangerschaft staatsangehorigkeit
""")
_IDENTIFIER = re.compile(
    r"(?:^|_)(?:id|key|no|nr|number|nummer|kennung|ref|reference|uuid|aktenzeichen|"
    r"\w*(?:number|nummer)|\w{3,}nr)$"
)
_ROW_NAME = re.compile(r"^(?:row_?(?:id|names?|no|nr|num|number)|index|idx|lfd_?nr|unnamed_\d+)$")
# Letters that Unicode does not take apart.
_LETTERS = str.maketrans({"ß": "ss", "ẞ": "SS", "æ": "ae", "ø": "o", "œ": "oe", "ł": "l", "Ł": "L"})


def words(name: str) -> tuple[str, ...]:
    """Splits a column's name into lower-case ASCII words: `Customer-ID`, `dateOfBirth`."""
    apart = unicodedata.normalize("NFKD", name.translate(_LETTERS))
    plain = apart.encode("ascii", "ignore").decode()
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", plain)
    return tuple(re.findall(r"[a-z0-9]+", parted.lower()))


def project_name(path: Path) -> str:
    """Makes a name for contract and recipe of a file's: `My Loans.csv` becomes `my-loans`."""
    name = "-".join(words(path.stem))
    if not name[:1].isalpha():
        name = f"data-{name}".rstrip("-")
    return name[:_LONGEST_PROJECT].rstrip("-")


def lake_names(names: Sequence[str]) -> tuple[str, ...]:
    """Returns a snake_case name for each column, no two the same; `column_3` where none is left."""
    taken: list[str] = []
    for position, name in enumerate(names, 1):
        snake = "_".join(words(name)) or f"column_{position}"
        if not snake[0].isalpha():
            snake = f"column_{snake}"
        snake = snake[:_LONGEST].rstrip("_")
        twins = sum(1 for other in taken if re.fullmatch(rf"{snake}(_\d+)?", other))
        taken.append(f"{snake}_{twins + 1}" if snake in taken else snake)
    return tuple(taken)


def smells_of(name: str) -> tuple[Classification, str]:
    """Guesses a column's classification by the words of its name, and says why."""
    joined = "_".join(words(name))
    patterns = [_PERSONAL, _PERSONS_NUMBER, *([] if _THING.search(joined) else [_NAME])]
    personal = next((seen for pattern in patterns if (seen := pattern.search(joined))), None)
    if personal:
        return "pii", f"`{personal[1]}` sounds like what identifies a person, so no step reads it"
    sensitive = _SENSITIVE.search(joined)
    if sensitive:
        return "sensitive", f"`{sensitive[1]}` sounds like a person's attribute: never trained on"
    return "none", "nothing in its name sounds like a person, so a model may be trained on it"


def is_identifier(name: str) -> bool:
    """Tells whether a column's name ends as that of a key does."""
    return _IDENTIFIER.search("_".join(words(name))) is not None


def is_row_name(name: str) -> bool:
    """Tells whether a column's name is one that programs give to the names of rows."""
    return _ROW_NAME.search("_".join(words(name))) is not None


def is_things(name: str) -> bool:
    """Tells whether a column's name is about a thing, such as a product or a branch."""
    return _THING.search("_".join(words(name))) is not None
