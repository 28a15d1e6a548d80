"""Connections to the page: idle ones are closed, on which Uvicorn alone would keep waiting."""

from uvicorn.protocols.http.h11_impl import H11Protocol

_PATIENCE = 20.0  # seconds from look to look; nothing asked between two of them is too little


class Prompt(H11Protocol):
    """HTTP with a clock: headers that never end, and bodies sent on after a refusal, end here."""

    _before = (None, True)

    def connection_made(self, transport) -> None:
        """As uvicorn calls it."""
        super().connection_made(transport)
        self.loop.call_later(_PATIENCE, self._look)

    def _look(self) -> None:
        answered = self.cycle is None or self.cycle.response_complete
        if self.transport.is_closing():
            return
        if answered and self._before == (self.cycle, answered):
            self.transport.close()
            return
        self._before = self.cycle, answered
        self.loop.call_later(_PATIENCE, self._look)
