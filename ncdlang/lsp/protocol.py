"""The messages themselves: every request has an answer, one that can't be read as well."""

from __future__ import annotations

from typing import Any

from pygls.exceptions import JsonRpcException, JsonRpcInvalidRequest
from pygls.protocol import LanguageServerProtocol


class Protocol(LanguageServerProtocol):
    """That of pygls, which leaves an editor waiting for the answer to a request that it can't read,
    and to one after `shutdown`."""

    def structure_message(self, data: dict[str, Any]) -> Any:
        """A message from what was read of it. Raises JsonRpcException, after the answer."""
        try:
            return super().structure_message(data)
        except JsonRpcException as error:
            self._refuse(data, error)
            raise

    def handle_message(self, message: Any) -> None:
        """Do what a message says."""
        if self._shutdown and hasattr(message, "id") and hasattr(message, "method"):
            error = JsonRpcInvalidRequest("the server was shut down")
            self._send_response(message.id, error=error.to_response_error())
            return
        super().handle_message(message)

    def _refuse(self, data: dict[str, Any], error: JsonRpcException) -> None:
        if isinstance(data.get("id"), (int, str)) and "method" in data:
            self._send_response(data["id"], error=error.to_response_error())
