"""Authors and contributors: names with GitHub accounts and ORCIDs, as Kipoi, Zenodo and CITATION.cff write them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from simbench_tf.errors import InputError

#: A person: a name, or a mapping with name and, where wanted, github, email and orcid.
Person = str | Mapping[str, str]

#: Stands where nobody was named.
NOBODY = "simbench_tf authors"

#: What a person may have beside the name, and how it reads.
_DETAILS = {
    "github": re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})"),
    "email": re.compile(r"[^@\s<>]+@[^@\s<>]+"),
    "orcid": re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]"),
}
_FORM = "write 'Family, Given @GITHUB ORCID'; all but the name may be left out"


def read_person(text: str) -> dict[str, str]:
    """Read a person as the command line takes one: a name, then a GitHub account behind an @, an email, an ORCID.

    Raises
    ------
    InputError
        There is no name, or something is given twice.

    Examples
    --------
    >>> read_person("Lovelace, Ada @ada 0000-0002-1825-0097")
    {'name': 'Lovelace, Ada', 'github': 'ada', 'orcid': '0000-0002-1825-0097'}
    """
    words, details = text.split(), {}
    while words and (found := _detail(words[-1])) is not None:
        kind, value = found
        if kind in details:
            raise InputError("person", f"{text!r} has two of {kind}", _FORM)
        details[kind] = value
        words.pop()
    if not words:
        raise InputError("person", f"{text!r} has no name", _FORM)
    return {"name": " ".join(words), **{kind: details[kind] for kind in _DETAILS if kind in details}}


def _detail(word: str) -> tuple[str, str] | None:
    if word.startswith("@"):
        return ("github", word[1:]) if _DETAILS["github"].fullmatch(word[1:]) else None
    bare = word.strip("<>").removeprefix("https://orcid.org/")
    return next(((kind, bare) for kind in ("email", "orcid") if _DETAILS[kind].fullmatch(bare)), None)


def check_person(key: str, person: Person) -> None:
    """Raise InputError with `key` if a person has no name, or details that are none."""
    told = {"name": person} if isinstance(person, str) else person
    wrong = [kind for kind, value in told.items() if kind != "name" and not _is_detail(kind, value)]
    if wrong or not str(told.get("name", "")).strip():
        raise InputError(key, f"{person!r} names no person", "give name, and github, email or orcid if you like")


def _is_detail(kind: str, value: str) -> bool:
    return kind in _DETAILS and bool(_DETAILS[kind].fullmatch(value))


def is_named(people: Sequence[Person]) -> bool:
    """Whether anybody was named."""
    return any(each["name"] != NOBODY for each in _told(people))


def spoken_name(person: Person) -> str:
    """A name as it is spoken.

    Examples
    --------
    >>> spoken_name("Lovelace, Ada"), spoken_name({"name": "Ada Lovelace"})
    ('Ada Lovelace', 'Ada Lovelace')
    """
    name = person if isinstance(person, str) else person["name"]
    family, comma, given = name.partition(",")
    return f"{given.strip()} {family.strip()}" if comma else name


def as_kipoi(people: Sequence[Person]) -> list[dict[str, str]]:
    """People as model.yaml has them: name, github, email."""
    return [
        {"name": spoken_name(each)} | {kind: each[kind] for kind in ("github", "email") if kind in each}
        for each in _told(people)
    ]


def as_zenodo(people: Sequence[Person]) -> list[dict[str, str]]:
    """People as .zenodo.json has them: name (Family, Given) and orcid."""
    return [{kind: each[kind] for kind in ("name", "orcid") if kind in each} for each in _told(people)]


def as_citation(people: Sequence[Person]) -> list[dict[str, str]]:
    """People as CITATION.cff has them: family and given names where a comma parts them, else one name.

    Examples
    --------
    >>> as_citation(["Lovelace, Ada", {"name": "A group", "github": "group"}])
    [{'family-names': 'Lovelace', 'given-names': 'Ada'}, {'name': 'A group', 'alias': 'group'}]
    """
    cited = []
    for each in _told(people):
        family, comma, given = each["name"].partition(",")
        name = {"family-names": family.strip(), "given-names": given.strip()} if comma else {"name": each["name"]}
        more = {"alias": each.get("github"), "email": each.get("email")}
        more["orcid"] = f"https://orcid.org/{each['orcid']}" if "orcid" in each else None
        cited.append(name | {kind: value for kind, value in more.items() if value})
    return cited


def _told(people: Sequence[Person]) -> list[Mapping[str, str]]:
    return [{"name": each} if isinstance(each, str) else each for each in people]
