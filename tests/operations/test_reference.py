"""The pages of the components say what the code does."""

from pathlib import Path

import pytest

from operations import reference


@pytest.mark.parametrize("page", reference.pages(), ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_a_page_has_the_tables_of_the_code(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert reference.with_tables(text, reference.pages()[page]()) == text, (
        "run `python -m operations.reference` and review the lines"
    )


def test_every_argument_of_a_contract_says_what_it_is() -> None:
    found = {field.name: field for field in reference.fields("NetworkArgs")}
    assert found["links"].meaning == "outgoing, to the other regions in use"
    assert found["peers"].meaning.startswith("The networks in use that have a lower slot")


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the lines"):
        reference.with_tables("# Network\n", "")
