"""Second factors: add and remove an app and passkeys, and have new recovery codes.

All of it wants a recent sign-in, with the factors there are: an unlocked computer is not enough.
"""

from __future__ import annotations

from uuid import UUID

import segno
from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import delete
from sqlalchemy.orm import Session

from insula_platform.account.guard import Person, enter, enter_with_form
from insula_platform.factors import factors_of, passkeys, recovery, totp
from insula_platform.factors.models import Passkey
from insula_platform.factors.passkeys import UnusablePasskey
from insula_platform.factors.totp import Enrolment
from insula_platform.mail import Letter, enqueue
from insula_platform.signin import forms
from insula_platform.signin.visits import Opened, Sent, Visit, sentence
from insula_tenants import audit
from insula_tenants.errors import InvalidInput

router = APIRouter(include_in_schema=False)

PATH = "/account/factors"


@router.get(PATH)
def list_factors(visit: Opened) -> Response:
    """What the account has, and what it could have."""
    return _list(visit)


@router.post("/account/factors/app")
def begin_app(visit: Sent) -> Response:
    """Show the secret of a new app, to be scanned."""
    with visit.platform.databases.core() as core:
        person = enter_with_form(core, visit, PATH, recently=True)
        if factors_of(core, person.account.id).totp is not None:
            return RedirectResponse(PATH, 303)
        return _app_form(visit, totp.begin(core, visit.platform.settings.secret_key, person.account))


@router.post("/account/factors/app/confirm")
def confirm_app(visit: Sent) -> Response:
    """Take the app's first code."""
    secret_key = visit.platform.settings.secret_key
    with visit.platform.databases.core() as core:
        person = enter_with_form(core, visit, PATH, recently=True)
        if not totp.confirm(core, secret_key, person.account.id, visit.given.get("code", "")):
            enrolment = totp.begun(core, secret_key, person.account)
            if enrolment is None:
                return RedirectResponse(PATH, 303)
            message = "This code is not that of the app. Is your telephone's clock right?"
            return _app_form(visit, enrolment, message=message, status=403)
        return _added(core, visit, person, "an authenticator app", {"kind": "totp"})


@router.post("/account/factors/app/remove")
def remove_app(visit: Sent) -> Response:
    """Forget the app."""
    with visit.platform.databases.core() as core:
        person = enter_with_form(core, visit, PATH, recently=True)
        if totp.remove(core, person.account.id):
            _removed(core, person, "the authenticator app", {"kind": "totp"})
    return RedirectResponse(PATH, 303)


@router.post("/account/factors/passkey/options")
def passkey_options(visit: Sent) -> Response:
    """What the browser is to make a passkey of, as JSON for its script."""
    settings = visit.platform.settings
    with visit.platform.databases.core() as core:
        person = enter_with_form(core, visit, PATH, recently=True)
        if passkeys.relying_party(settings) is None:
            return Response(status_code=403)
        secret = forms.form_secret(settings, visit.request)
        try:
            options = passkeys.ask_to_register(core, settings, secret, person.account)
        except InvalidInput:
            return Response(status_code=403)
    return Response(options, media_type="application/json", headers={"Cache-Control": "no-store"})


@router.post("/account/factors/passkey")
def add_passkey(visit: Sent) -> Response:
    """Take a new passkey."""
    settings, given = visit.platform.settings, visit.given
    try:
        with visit.platform.databases.core() as core:
            enter_with_form(core, visit, PATH, recently=True)
            challenge = passkeys.take_challenge(core, forms.form_secret(settings, visit.request))
        with visit.platform.databases.core() as core:
            person = enter(core, visit, PATH, recently=True)
            answer, name = given.get("credential", ""), given.get("name", "")
            passkey = passkeys.register(core, settings, challenge, person.account, answer, name)
            return _added(core, visit, person, f"the passkey “{passkey.name}”", _detail(passkey))
    except UnusablePasskey as error:
        return _list(visit, message=sentence(error.detail), status=403)


@router.post("/account/factors/passkey/remove")
def remove_passkey(visit: Sent) -> Response:
    """Forget a passkey."""
    with visit.platform.databases.core() as core:
        person = enter_with_form(core, visit, PATH, recently=True)
        try:
            passkey_id = UUID(visit.given.get("passkey", ""))
        except ValueError:
            return RedirectResponse(PATH, 303)
        theirs = delete(Passkey).where(Passkey.id == passkey_id, Passkey.account_id == person.account.id)
        passkey = core.scalar(theirs.returning(Passkey))
        if passkey is not None:
            _removed(core, person, f"the passkey “{passkey.name}”", _detail(passkey))
    return RedirectResponse(PATH, 303)


@router.post("/account/factors/recovery-codes")
def renew_codes(visit: Sent) -> Response:
    """New recovery codes; the old ones are void."""
    with visit.platform.databases.core() as core:
        person = enter_with_form(core, visit, PATH, recently=True)
        if not factors_of(core, person.account.id).is_protected:
            return RedirectResponse(PATH, 303)
        return _new_codes(core, visit, person)


def _added(core: Session, visit: Visit, person: Person, what: str, detail: dict[str, str]) -> Response:
    """Note a new factor, tell the owner, and show recovery codes when there are none yet."""
    audit.record(core, person.actor, "factor.added", tenant=None, target=person.account.email, detail=detail)
    _tell(core, person, f"{what} was added to")
    if factors_of(core, person.account.id).recovery_codes == 0:
        return _new_codes(core, visit, person)
    return RedirectResponse(PATH, 303)


def _removed(core: Session, person: Person, what: str, detail: dict[str, str]) -> None:
    """Note that a factor is gone, tell the owner, and take the recovery codes away with the last one."""
    audit.record(
        core, person.actor, "factor.removed", tenant=None, target=person.account.email, detail=detail
    )
    _tell(core, person, f"{what} was removed from")
    core.flush()
    if not factors_of(core, person.account.id).is_protected:
        recovery.forget(core, person.account.id)


def _new_codes(core: Session, visit: Visit, person: Person) -> Response:
    codes = recovery.renew(core, person.account.id)
    audit.record(core, person.actor, "recovery-codes.made", tenant=None, target=person.account.email)
    return visit.page("recovery_codes.html", codes=codes)


def _tell(core: Session, person: Person, what: str) -> None:
    text = (
        f"Hello,\n\n{what} your account at Insula.\n\n"
        "It was not you? Choose a new password at once, look at your second factors, and tell whoever runs "
        "your Insula.\n"
    )
    enqueue(core, Letter(person.account.email, "Your second factors at Insula have changed", text))


def _detail(passkey: Passkey) -> dict[str, str]:
    return {"kind": "passkey", "name": passkey.name}


def _app_form(visit: Visit, enrolment: Enrolment, *, message: str = "", status: int = 200) -> Response:
    # Black on white with its quiet zone, whatever the page's colours: cameras want it so.
    code = segno.make(enrolment.uri, error="m").svg_inline(scale=4, dark="#000", light="#fff")
    groups = [enrolment.secret[start : start + 4] for start in range(0, len(enrolment.secret), 4)]
    return visit.page("factor_app.html", status=status, code=code, secret=" ".join(groups), message=message)


def _list(visit: Visit, *, message: str = "", status: int = 200) -> Response:
    with visit.platform.databases.core() as core:
        person = enter(core, visit, PATH, recently=True)
        return visit.page(
            "factors.html",
            status=status,
            has_script=True,
            factors=factors_of(core, person.account.id),
            can_passkeys=passkeys.relying_party(visit.platform.settings) is not None,
            message=message,
        )
