"""The UI speaks French as completely as English, and each person's language at once."""

from __future__ import annotations

import string
import threading

import pytest

from insula_analytics_ui.words import LANGUAGES, _, ngettext, number_text, preferred, share_text, speaking
from tests import catalogue


def fields(text: str) -> set[str | None]:
    """The places in a text where values go."""
    return {name for _text, name, _format, _conversion in string.Formatter().parse(text) if name is not None}


def test_every_text_of_the_code_is_in_the_catalogue_and_nothing_else():
    known = {message.id for message in catalogue.read() if message.id}
    assert known == catalogue.texts(), "run: python -m tests.catalogue"


def test_every_text_is_translated_and_no_translation_is_a_guess():
    for message in catalogue.read():
        if not message.id:
            continue
        forms = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(forms), f"not translated: {message.id}"
        assert not message.fuzzy, f"fuzzy: {message.id}"


def test_a_translation_has_places_for_the_same_values():
    for message in catalogue.read():
        if not message.id:
            continue
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        forms = message.string if isinstance(message.string, tuple) else (message.string,)
        assert {frozenset(fields(form)) for form in forms} == {frozenset(fields(each)) for each in ids}, ids


def test_texts_in_the_code_are_found_inside_of_f_strings_too():
    import ast

    tree = ast.parse("""f"<p>{escape(_('within'))}</p>"; ngettext("one", "many", 3); other("no")""")
    assert set(catalogue._marked(tree)) == {"within", ("one", "many")}


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("fr-BE,fr;q=0.9,en;q=0.8", "fr"),
        ("en-GB,fr;q=0.5", "en"),
        ("nl,fr;q=0.5", "fr"),
        ("en;q=0.2,fr;q=0.9", "fr"),
        ("fr;q=0,de", "en"),
        ("nl,*", "en"),
        ("fr;q=often", "en"),
        ("", "en"),
        (None, "en"),
    ],
)
def test_the_language_is_the_best_that_the_browser_accepts(header: str | None, language: str):
    assert preferred(header) == language


def test_numbers_and_plurals_follow_the_language():
    with speaking("fr"):
        assert number_text(-12_345.6, 1) == "\u221212\u202f345,6"
        assert share_text(0.99999) == "99,9\u202f%"
        assert ngettext("{number} room", "{number} rooms", 0).format(number=0) == "0 pièce"
    assert number_text(-12_345.6, 1) == "\u221212\u202f345.6"
    assert number_text(-0.04, 1) == "0.0"
    assert share_text(1.0) == "100\u202f%"
    assert ngettext("{number} room", "{number} rooms", 0).format(number=0) == "0 rooms"


def test_two_threads_speak_two_languages_at_once():
    said: dict[str, str] = {}
    both = threading.Barrier(2)

    def speak(language: str) -> None:
        with speaking(language):
            both.wait(10)
            said[language] = _("Overview")

    threads = [threading.Thread(target=speak, args=(language,)) for language in LANGUAGES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert said == {"en": "Overview", "fr": "Vue d\u2019ensemble"}
