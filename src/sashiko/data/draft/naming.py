"""Names of columns: their names in the lake, and words that suggest personal data.

The words are English and German. In other languages only the values decide.
"""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from sashiko.contract.model import Classification

_LONGEST_PROJECT = 41
_LONGEST_PREFIX = 19  # as `project` in the settings
_LONGEST = 60  # of 63 characters, a lake's limit; the rest is for a number


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
# A number that identifies one person or household.
_PERSONS_NUMBER = re.compile(
    r"(?:^|_)((?:account|client|customer|employee|household|insured|konto|kunden?|member|"
    r"mitarbeiter|mitglieds?|patient|patienten|person|personal|personen|personnel|student|"
    r"studenten|teilnehmer|user|versicherten|versicherungs|vertrags)"
    r"_?(?:id|key|kennung|no|nr|num|number|nummer|ref))(?=_|$)"
)
_NAME = _one_of("name")
# Their names are not those of persons.
THING = _one_of("""
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
IDENTIFIER = re.compile(
    r"(?:^|_)(?:id|key|no|nr|number|nummer|kennung|ref|reference|uuid|aktenzeichen|"
    r"\w*(?:number|nummer)|\w{3,}nr)$"
)
ROW_NAME = re.compile(r"^(?:row_?(?:id|names?|no|nr|num|number)|index|idx|lfd_?nr|unnamed_\d+)$")
# What people hope not to hear, and what they hope to hear.
_BAD = _one_of("""
    abandoned absent arrears bad blocked canceled cancelled churn churned complaint dead
    death declined default defaulted delayed delinquent denied died dismissed dropout escalate
    escalated fail failed failure fraud fraudulent late lost missed no_show overdue readmitted
    refused reject rejected rejection spam terminated unpaid withdrawn
    abbruch abgebrochen abgelehnt ablehnung absage ausfall ausgefallen beschwerde betrug gekundigt
    gescheitert kundigung mahnung schlecht spat storniert storno uberfallig unbezahlt verloren
    verspatet verspatung zahlungsausfall
""")
_GOOD = _one_of("""
    accepted admitted approve approved completed cured delivered good granted healthy hired on_time
    paid passed promoted punctual renewed repaid resolved retained satisfied solved success
    successful won
    angenommen bestanden bewilligt bezahlt eingestellt erfolg erfolgreich gelost genehmigt gut
    punktlich verlangert zufrieden zugesagt zuruckgezahlt
""")
_NOT = _one_of("no non not without kein keine nicht ohne")
ANSWERS = (("no", "yes"), ("n", "y"), ("false", "true"), ("0", "1"), ("nein", "ja"))
# Letters that Unicode does not decompose.
_LETTERS = str.maketrans({"ß": "ss", "ẞ": "SS", "æ": "ae", "ø": "o", "œ": "oe", "ł": "l", "Ł": "L"})


def words(name: str) -> tuple[str, ...]:
    """Splits a column's name into lower-case ASCII words: `Customer-ID`, `dateOfBirth`."""
    decomposed = unicodedata.normalize("NFKD", name.translate(_LETTERS))
    plain = decomposed.encode("ascii", "ignore").decode()
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", plain)
    return tuple(re.findall(r"[a-z0-9]+", spaced.lower()))


def project_name(path: Path) -> str:
    """Returns the name of contract and recipe for a file: `My Loans.csv` becomes `my-loans`."""
    name = "-".join(words(path.stem))
    if not name[:1].isalpha():
        name = f"data-{name}".rstrip("-")
    return name[:_LONGEST_PROJECT].rstrip("-")


def prefix_name(folder: Path) -> str:
    """Returns the project's name for a folder: `Über` becomes `uber`, `123` `project-123`."""
    name = "-".join(words(folder.absolute().name))
    if not name[:1].isalpha():
        name = f"project-{name}".rstrip("-")
    return name[:_LONGEST_PREFIX].rstrip("-")


def lake_names(names: Sequence[str]) -> tuple[str, ...]:
    """Returns a unique snake_case name for each column; `column_3` if it has no ASCII letters."""
    taken: list[str] = []
    for position, name in enumerate(names, 1):
        snake = "_".join(words(name)) or f"column_{position}"
        if not snake[0].isalpha():
            snake = f"column_{snake}"
        snake = snake[:_LONGEST].rstrip("_")
        twins = sum(1 for other in taken if re.fullmatch(rf"{snake}(_\d+)?", other))
        taken.append(f"{snake}_{twins + 1}" if snake in taken else snake)
    return tuple(taken)


def classify_name(name: str) -> tuple[Classification, str]:
    """Guesses a column's classification from the words of its name; returns it with the reason."""
    joined = "_".join(words(name))
    patterns = [_PERSONAL, _PERSONS_NUMBER, *([] if THING.search(joined) else [_NAME])]
    personal = next((match for pattern in patterns if (match := pattern.search(joined))), None)
    if personal:
        return "pii", f"`{personal[1]}` sounds like what identifies a person, so no step reads it"
    sensitive = _SENSITIVE.search(joined)
    if sensitive:
        return "sensitive", f"`{sensitive[1]}` sounds like a person's attribute: never trained on"
    return "none", "nothing in its name sounds like a person, so a model may be trained on it"


def sense(text: str) -> int:
    """Guesses from its words whether an outcome is good for a person: 1, or -1 if bad, or 0."""
    joined = "_".join(words(text))
    good, bad = _GOOD.search(joined), _BAD.search(joined)
    match = good or bad
    if match is None or (good and bad):
        return 0
    rest = joined[: match.start(1)] + joined[match.end(1) :]
    return (1 if good else -1) * (-1 if _NOT.search(rest) else 1)


def name_matches(pattern: re.Pattern[str], name: str) -> bool:
    """Returns whether the words of a column's name match IDENTIFIER, ROW_NAME or THING."""
    return pattern.search("_".join(words(name))) is not None
