"""Which passwords people may choose: NIST SP 800-63B-4, section 3.1.1.2."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher

from insula_platform.people.passwords import (
    MAX_LENGTH,
    MIN_LENGTH,
    check_new_password,
    hash_password,
    needs_rehash,
    verify_password,
)
from insula_tenants.errors import InvalidInput

ABOUT = ["Ada.Lovelace@harbour-house.example", "Ada Lovelace", "Harbour House", "harbour-house"]


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",  # words alone
        "zwölf Boxkämpfer jagen",  # any letters
        "тихий дон течёт вниз",
        "🦆 goes for a swim 🦆",
        "    spaces count    too",
        "k7Qz-92mX-p0Lw-4Vnd",  # what a password manager makes
        "a" * 20 + " heron wades where reeds lean over",
        "heron wades where reeds lean " * 8,  # 232 characters
    ],
)
def test_what_is_long_and_not_expected_is_taken_whatever_it_is_made_of(password: str):
    check_new_password(password, ABOUT)


@pytest.mark.parametrize(
    "password",
    [
        "aaaaaaaaaaaaaaaaaaaa",
        "123456789012345678",
        "abcdefghijklmnopqrst",
        "qwertyuiopasdfghjkl",
        "passwordpassword",
        "P4ssw0rdP4ssw0rd!",
        "letmeinletmeinletmein",
        "iloveyouiloveyouiloveyou",
        "insulainsulainsula",
        "adalovelaceadalovelace",
        "Ada.Lovelace@harbour-house.example",
        "harbour-househarbour-house",
        "a" * MAX_LENGTH,
    ],
)
def test_what_others_would_try_first_is_refused_with_advice(password: str):
    with pytest.raises(InvalidInput, match="others would guess") as refused:
        check_new_password(password, ABOUT)
    assert refused.value.field == "password"
    assert password not in refused.value.detail


def test_length_is_counted_in_characters_however_their_accents_are_composed():
    composed = "ñandúes grisáceos"[:MIN_LENGTH]
    check_new_password(composed)
    for short in (composed[:-1], "e\u0301" * (MIN_LENGTH - 1)):
        with pytest.raises(InvalidInput, match=f"at least {MIN_LENGTH} characters"):
            check_new_password(short)
    with pytest.raises(InvalidInput, match=f"at most {MAX_LENGTH} characters"):
        check_new_password("x" * (MAX_LENGTH + 1))


def test_a_name_makes_a_password_weak_for_its_owner_alone():
    """Also when many choose at once: the library that judges keeps the names in a global."""
    password = "Wintersummer-Quarterdeck"

    def is_taken(about: list[str]) -> bool:
        try:
            check_new_password(password, about)
        except InvalidInput:
            return False
        return True

    asked = [["Wintersummer-Quarterdeck"], ["somebody else"]] * 40
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(is_taken, asked)) == [False, True] * 40


def test_a_password_that_today_would_be_refused_still_opens_its_account():
    stored = hash_password("short")
    assert stored.startswith("$argon2id$")
    assert verify_password(stored, "short")
    assert not verify_password(stored, "other")
    assert not needs_rehash(stored)
    assert needs_rehash(PasswordHasher(time_cost=1, memory_cost=1024).hash("short"))
