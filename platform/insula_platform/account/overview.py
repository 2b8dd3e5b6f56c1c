"""Who one is: name and address."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_platform.account.guard import Person, enter, enter_with_form
from insula_platform.email_links import service as links
from insula_platform.email_links.service import DeadLink, Purpose
from insula_platform.mail import Letter, enqueue
from insula_platform.people import Account, memberships_of
from insula_platform.people.service import check_email, normal_email
from insula_platform.signin.attempts import Attempt, may_write
from insula_platform.signin.brake import count, refuse, too_many
from insula_platform.signin.pages import error_page
from insula_platform.signin.visits import Opened, Sent, Visit, sentence
from insula_tenants import audit
from insula_tenants.errors import Conflict, InvalidInput

router = APIRouter(include_in_schema=False)

PATH = "/account"
_FLOOD = "Some letters have gone to this address already. Try again in an hour."


@router.get(PATH)
def overview(visit: Opened) -> Response:
    """Name, address, and the tenants one belongs to."""
    return _show(visit)


@router.post("/account/email/verification")
def send_verification(visit: Sent) -> Response:
    """Send the link that confirms the address, once more."""
    with visit.platform.databases.core() as core:
        person = enter_with_form(core, visit, PATH)
        if allowed := may_write(core, person.account.email):
            links.send_verification(core, visit.platform.settings.public_url, person.account)
    if not allowed:
        return _show(visit, message=_FLOOD, status=429)
    return _show(visit, note="A letter is on its way. Its link works for 24 hours.")


@router.post("/account/email")
def change_email(visit: Sent) -> Response:
    """Send a link to the new address; the old one stays until it is followed.

    Whether another account has the address is said to nobody who cannot read its mail.
    """
    try:
        with visit.platform.databases.core() as core:
            person = enter_with_form(core, visit, PATH, recently=True)
            email = normal_email(visit.given.get("email", ""))
            check_email(email)
            if allowed := may_write(core, email):
                links.send_change(core, visit.platform.settings.public_url, person.account, email)
                audit.record(
                    core,
                    person.actor,
                    "email.change_requested",
                    tenant=None,
                    target=person.account.email,
                    detail={"email": email},
                )
    except InvalidInput as error:
        return _show(visit, message=sentence(error.detail), status=422)
    if not allowed:
        return _show(visit, message=_FLOOD, status=429)
    return _show(visit, note=f"A letter is on its way to {email}. Follow its link within an hour.")


@router.get("/confirm-email")
def confirm_form(visit: Opened) -> Response:
    """Where the link leads."""
    return visit.page("confirm_email.html", has_script=True, message="")


@router.post("/confirm-email")
def confirm_email(visit: Sent) -> Response:
    """Take the link: the address is shown to be the person's, or becomes so."""
    if not visit.is_own_form:
        return visit.page(
            "confirm_email.html", status=403, message="This page had expired. Open your link again."
        )
    if wait := count(visit, Attempt(visit.platform.settings, visit.request, None)):
        message = too_many(wait)
        return visit.page("confirm_email.html", status=429, retry_after=wait, message=message)
    try:
        email = _confirm(visit)
    except (DeadLink, Conflict) as error:
        refuse(visit)
        return error_page(
            visit.platform.settings,
            "This link cannot be used",
            error.detail,
            "You can have another one sent from the page of your account.",
            status=error.status,
        )
    return visit.page("email_confirmed.html", email=email)


def _confirm(visit: Visit) -> str:
    with visit.platform.databases.core() as core:
        link = links.take(core, visit.given.get("token", ""), Purpose.VERIFY, Purpose.CHANGE)
        account = core.get(Account, link.account_id, with_for_update=True)
        if account is None or (link.purpose == Purpose.VERIFY and account.email != link.email):
            raise DeadLink("It was sent to an address that the account no longer has.")
        if link.purpose == Purpose.CHANGE:
            _move(visit, core, account, link.email)
        account.email_verified_at = datetime.now(UTC)
        audit.record(core, visit.actor(account), "email.verified", tenant=None, target=account.email)
        return account.email


def _move(visit: Visit, core: Session, account: Account, email: str) -> None:
    """Give the account the address, and tell the old one."""
    taken = core.scalar(select(Account.id).where(Account.email == email, Account.id != account.id))
    if taken is not None:
        raise Conflict("There is another account with this address.")
    old, account.email = account.email, email
    links.forget(core, account.id)
    audit.record(
        core, visit.actor(account), "email.changed", tenant=None, target=email, detail={"before": old}
    )
    text = (
        f"Hello,\n\nyour account at Insula has another e-mail address now: {email}.\n\n"
        "It was not you? Tell whoever runs your Insula at once.\n"
    )
    enqueue(core, Letter(old, "Your e-mail address at Insula was changed", text))


def _show(visit: Visit, *, message: str = "", note: str = "", status: int = 200) -> Response:
    with visit.platform.databases.core() as core:
        person: Person = enter(core, visit, PATH)
        members = [(member.tenant.name, member.role) for member in memberships_of(core, person.account.id)]
        return visit.page(
            "account.html",
            status=status,
            account=person.account,
            members=members,
            message=message,
            note=note,
        )
