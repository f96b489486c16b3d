"""`Afterwork`: one object that holds an app's settings. The one place where the parts meet."""

from __future__ import annotations

from ._middleware import AfterMiddleware, new_pipeline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Unpack

    from ._asgi import ASGIApp
    from ._settings import SettingValues


class Afterwork:
    """The settings of an app, and everything that runs under them.

    Make one per process and wrap the app with it: `app = work.wrap(app)`.

    `host`
        How work may outlive a response: a `Host`, a plain function `wait_until(awaitable)`, or
        `"detached"`, `"inline"`, `"before_end"`. Default None: found out from the environment.
    `timeout`
        Seconds for each attempt of a callback that does not set its own; None (default) for no
        limit.
    `budget`
        Seconds for all callbacks of one request together, from the end of its response; None
        (default) for no limit but the host's. What is unfinished then is cut and reported.
    `grace`
        Seconds that the app's shutdown waits for unfinished callbacks, 0 for none; default 25.
        Keep it below what your platform or server grants.
    `retry`
        The `Retry` for callbacks that do not set their own; None (default) for none.
    `sequential`
        True: the callbacks of one request take turns. Default False: they run concurrently.
    `early`
        True: callbacks start when the final message was sent, even if the app's call goes on, for
        example in a framework's background task. Default False.
    `limit`
        How many callbacks may run at a time in this process; default 100, None for no limit.
    `at_limit`
        `"wait"` (default): later ones wait, and a warning says so at most once a minute.
        `"reject"`: `after()` raises `LimitReachedError` while that many are unfinished.
    `threads`
        The most threads for sync callbacks; default 32. They are made when needed.
    `reporters`
        A list of `Reporter`: callables that are given every finished run.
    `around`
        A list of functions that take a `Run` and return a context manager. Each is entered in the
        callback's context (and thread) around every attempt, for example to open a span.
    `on_abandon`
        Called with the list of runs that a deadline or the end of the process left unfinished.
    `on_missing`
        What happens where the host says that it cannot run anything after a response: `"raise"`
        (default) or `"warn"`, which runs the work inside the process all the same.

    Raises `UnknownOptionError` for other names, `InvalidOptionError` for impossible values, and
    `InvalidHostError`.
    """

    def __init__(self, **settings: Unpack[SettingValues]) -> None:
        self.pipeline = new_pipeline(settings)

    def wrap(self, app: ASGIApp) -> AfterMiddleware:
        """The app with `after()`: the same as `AfterMiddleware(app, work)`."""
        return AfterMiddleware(app, self)

    def __repr__(self) -> str:
        return f"<Afterwork on {self.pipeline.host.info.name}>"
