"""Why a request is not answered, as its sender is told."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

from prodemb.core.text import line_for_terminal


class RequestProblem(Exception):  # noqa: N818 - an answer, by its status no error of ours
    """A request that is answered with a status and one line."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self._detail, self._headers = detail, headers

    def response(self) -> JSONResponse:
        """The answer."""
        detail = line_for_terminal(self._detail)
        return JSONResponse({"detail": detail}, status_code=self.status, headers=self._headers)
