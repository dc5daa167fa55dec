"""Authors and contributors, as the command line takes them and as Kipoi, Zenodo and CITATION.cff write them."""

import pytest

from simbench_tf.errors import InputError
from simbench_tf.export.people import as_citation, as_kipoi, as_zenodo, read_person

ADA = {"name": "Lovelace, Ada", "github": "ada", "email": "ada@example.org", "orcid": "0000-0002-1825-0097"}


@pytest.mark.parametrize(
    ("text", "person"),
    [
        ("Ada Lovelace", {"name": "Ada Lovelace"}),
        ("Lovelace, Ada @ada", {"name": "Lovelace, Ada", "github": "ada"}),
        ("Lovelace, Ada @ada <ada@example.org> https://orcid.org/0000-0002-1825-0097", ADA),
        ("Lovelace, Ada 0000-0002-1825-0097 ada@example.org @ada", ADA),
        ("Group @ two", {"name": "Group @ two"}),
    ],
)
def test_a_person_is_read(text, person):
    assert read_person(text) == person


@pytest.mark.parametrize("text", ["", "@ada", "0000-0002-1825-0097", "Ada @ada @lovelace"])
def test_nobody_is_refused(text):
    with pytest.raises(InputError, match="write 'Family, Given @GITHUB ORCID'"):
        read_person(text)


def test_each_place_has_its_form():
    assert as_kipoi([ADA, "B. Author"]) == [
        {"name": "Ada Lovelace", "github": "ada", "email": "ada@example.org"},
        {"name": "B. Author"},
    ]
    assert as_zenodo([ADA]) == [{"name": "Lovelace, Ada", "orcid": "0000-0002-1825-0097"}]
    (cited,) = as_citation([ADA])
    assert cited == {
        "family-names": "Lovelace",
        "given-names": "Ada",
        "alias": "ada",
        "email": "ada@example.org",
        "orcid": "https://orcid.org/0000-0002-1825-0097",
    }
