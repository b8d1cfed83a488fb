"""`/admin/operators`: who may sign in, as what and how. An access review prints it."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from stateless_billing.operators.roster import END_SESSIONS, Operator, is_wallet
from stateless_billing.web.operators.page_frame import PageFrame


@dataclass(frozen=True, slots=True)
class RosterRow:
    """One person. `emails` and `wallets` are the names by which the person signs in."""

    name: str
    role: str
    emails: tuple[str, ...]
    wallets: tuple[str, ...]
    last_sign_in: int | None


class RosterPage:
    """Handler of the roster."""

    def __init__(self, frame: PageFrame) -> None:
        self._frame = frame
        self.page = frame.create_handler(self._page)

    async def _page(self, request: Request, operator: Operator) -> Response:
        roster = self._frame.services.settings.operators
        rows = [self._create_row(name) for name in sorted(roster, key=lambda name: (roster[name], name))]
        return self._frame.render(
            "admin_operators.html",
            request,
            rows=rows,
            admins=sum(row.role == "admin" for row in rows),
            mail=self._frame.sessions.sign_ins.mailer is not None,
            ending=operator.has_right(END_SESSIONS),
            watching_since=self._frame.sessions.watching_since,
        )

    def _create_row(self, name: str) -> RosterRow:
        names = self._frame.services.settings.operators.names_of(name)
        return RosterRow(
            name,
            self._frame.services.settings.operators[name],
            tuple(own for own in names if not is_wallet(own)),
            tuple(own for own in names if is_wallet(own)),
            self._frame.sessions.last_sign_ins.get(name),
        )
