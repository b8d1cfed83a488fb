"""A sign-in link works however a mail program cut it, and never accuses a browser that is signed in."""

import pytest

from stateless_billing.services.container import Services
from tests.fakes.in_process_service import BEGIN, Town
from tests.fakes.signed_in import ADMIN, MODERATOR, ROSTER, open_browser, start_desk

MINUTE = BEGIN // 60
OTHER_NAME = "ann@example.org"


def link(services: Services, email: str, minute: int = MINUTE) -> str:
    """Return the token of a mailed link."""
    return services.sign_ins.tokens.seal("link", {"email": email, "minute": minute}, at=minute * 60)


@pytest.mark.parametrize("behind", [".", " ", "%20", ".%0A", ")", "%3E", ".\u201d"])
def test_what_stands_behind_a_link_is_ignored(behind: str) -> None:
    town = Town([])

    async def scenario() -> None:
        services, app = await start_desk(town)
        asked = services.sign_ins.tokens.seal("asked", {"email": ADMIN, "minutes": [MINUTE], "nonce": "n"})
        async with open_browser(app, "nobody@example.org") as browser:
            browser.headers["cookie"] = f"__Host-asked={asked}"
            page = await browser.get(f"/login/link?token={link(services, ADMIN)}{behind}")
            assert page.status_code == 200, page.text
            assert "Almost there" not in page.text
            assert "was altered" not in page.text
            answer = await browser.post("/login/link", data={"token": f"{link(services, ADMIN)}. "})
            assert (answer.status_code, answer.headers["location"]) == (303, "/admin")
            assert "__Host-session=" in answer.headers["set-cookie"]

    town.run(scenario())


def test_a_used_or_old_link_leads_on_where_its_operator_is_signed_in() -> None:
    town = Town([])

    async def scenario() -> None:
        services, app = await start_desk(town, OPERATORS=ROSTER.replace(ADMIN, f"{ADMIN}|{OTHER_NAME}", 1))
        async with open_browser(app) as browser:
            for token in (link(services, ADMIN), link(services, OTHER_NAME), link(services, ADMIN, MINUTE - 60), "cut"):
                page = await browser.get(f"/login/link?token={token}")
                assert (page.status_code, page.headers["location"]) == (303, "/admin")
                again = await browser.post("/login/link", data={"token": token})
                assert (again.status_code, again.headers["location"]) == (303, "/admin")
            other = await browser.get(f"/login/link?token={link(services, MODERATOR)}")
            assert "Almost there" in other.text, "another person's link in this browser shows its code"
        async with open_browser(app, "nobody@example.org") as browser:
            page = await browser.get(f"/login/link?token={link(services, ADMIN, MINUTE - 60)}")
            assert page.status_code == 401
            assert "more than 10 minutes old" in page.text

    town.run(scenario())
