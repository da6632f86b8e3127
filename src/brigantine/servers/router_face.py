"""What a router for programs looks like to its user, for threads and for asyncio."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import zmq

from ..config.given import config_of
from ..config.router import RouterConfig
from ..validation.calls import called_rightly, public_name
from .router_socket import RouterSocket

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..config.router import RouterOptions

__all__ = ["RouterFace"]


class RouterFace:
    """A router as its user has it, but for what waits."""

    @called_rightly
    def __init__(
        self,
        endpoint: str | Sequence[str],
        *,
        unroutable: Literal["raise", "count"] = "raise",
        delimiter: bool | None = None,
        impl: str | None = None,
        context: zmq.Context[Any] | None = None,
        config: RouterConfig | None = None,
        **options: Unpack[RouterOptions],
    ) -> None:
        self.config: RouterConfig = config_of(type(self), RouterConfig, config, options)
        self._router = RouterSocket(
            endpoint, unroutable=unroutable, delimiter=delimiter, config=self.config, impl=impl,
            context=context,
        )  # fmt: skip
        self._finalizer = weakref.finalize(self, self._router.close)
        try:
            self._router.look_after()
        except BaseException:  # also Ctrl-C: nobody gets this one to close it
            self._router.close()
            raise

    @property
    def endpoint(self) -> str:
        """Where it is bound, the first of :attr:`endpoints`."""
        return self._router.endpoints[0]

    @property
    def endpoints(self) -> tuple[str, ...]:
        """All endpoints, with the real ports."""
        return self._router.endpoints

    def stats(self) -> dict[str, int]:
        """All counters by name, also after :meth:`close`; see :data:`brigantine.ROUTER_COUNTERS`."""
        return self._router.stats()

    def __repr__(self) -> str:
        return f"<{public_name(type(self))} endpoint={','.join(self._router.endpoints)}>"
