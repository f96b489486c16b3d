"""`Afterwork`: one object that holds an app's settings and jobs. The one place where the parts
meet."""

from __future__ import annotations

from ._middleware import AfterMiddleware, new_pipeline
from .errors import InvalidOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime, timedelta
    from typing import Any, Literal, ParamSpec, TypeVar, Unpack, overload

    from ._asgi import ASGIApp
    from ._batches import Batches
    from ._cron import Cron
    from ._dead_letters import DeadLetter
    from ._dispatch import Dispatch
    from ._engine import Engine
    from ._every import Every
    from ._job import Job
    from ._job_policy import JobValues
    from ._once import Once
    from ._routes import Routes
    from ._run import Run
    from ._schedule import Schedule
    from ._settings import SettingValues
    from ._status import RunStatus
    from ._store import Store
    from ._verify import Verifier

    P = ParamSpec("P")
    R = TypeVar("R")
else:

    def overload(function: Any) -> Any:
        return function


class Afterwork:
    """The settings and jobs of an app, and everything that runs under them.

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
        Seconds that the app's shutdown waits for unfinished callbacks and jobs, 0 for none; default
        25. Keep it below what your platform or server grants.
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
        The most threads for sync callbacks; default 32. They are made when needed. On a platform
        without threads (Pyodide, so Cloudflare Workers) sync callbacks run on the loop.
    `reporters`
        A list of `Reporter`: callables that are given every finished run.
    `around`
        A list of functions that take a `Run` and return a context manager. Each is entered in the
        callback's context (and thread) around every attempt, for example to open a span.
    `on_abandon`
        Called with the list of runs that a deadline or the end of the process left unfinished, but
        for those of durable jobs: they go back to the journal or the engine, and run again.
    `on_missing`
        What happens where the host says that it cannot run anything after a response: `"raise"`
        (default) or `"warn"`, which runs the work inside the process all the same.
    `store`
        Where claims, leases and run records are kept: a `Store` or a URL, such as
        `"sqlite:///afterwork.db"` (all processes of one machine), `"redis://..."`,
        `"postgresql://..."` (replicas) or `"memory:"` (this process). Default None: once there are
        jobs, the URL in `AFTERWORK_STORE`, else the file `afterwork.db` in the working directory.
    `on_store_error`
        What a job does that needs the store while it is down: `"fail"` (default), it does not run;
        `"run"`, it runs, maybe twice and without a record. Both say `store.error`.
    `lease`
        Seconds after which the lease of a process that died is free again; default 60. It is
        renewed three times in that time.
    `environment`
        This environment's name, for jobs with `environments=`. Default None: `AFTERWORK_ENV`, else
        `VERCEL_ENV`.
    `record`
        Which callbacks get a record in the store, where there is one: `"failures"` (default: those
        that did not succeed, and slow ones), `"all"` or `"none"`. Jobs always do.
    `slow`
        Seconds from which on a callback counts as slow; default 10.
    `scheduler`
        Whether jobs with a schedule run in this process by themselves. `"auto"` (default): where
        the server runs a lifespan and the host does not freeze the process. True: the same, but a
        host that cannot is an error in the log. False: never; something calls the trigger route.
        Several workers and replicas may all run one: with one store, each slot runs once.
    `start_delay`
        Seconds from the app's start to the scheduler's; default 0.
    `ready`
        A function, sync or async, that says whether the scheduler may begin; it is asked each
        second until it does. Default None: at once.
    `keep`, `keep_for`
        How many records of ended runs are kept for each job, default 1000, and for how long,
        seconds or a text, default `"30d"`. A scheduler has older ones deleted each hour.
    `engine`
        Where calls of durable jobs are kept and run: an adapter to a queue system, such as those
        in `afterwork_integrations`. Default None: the journal of the store, in memory or in its
        SQLite file, for one machine.
    `worker`
        Whether this process runs durable calls of all processes while it serves: those that are
        delayed, tried again, or left behind by a process that died. `"auto"` (default): with the
        store's journal yes, with an engine no, which has workers of its own: `afterwork worker`.
    `concurrency`
        How many of those it runs at a time; default 10.
    `max_payload`
        The most characters that the arguments of a durable call may have as JSON, default 262144.
    `clock`
        What tells the time, for tests: see `afterwork.testing.FakeClock`.

    Raises `UnknownOptionError` for other names, `InvalidOptionError` for impossible values, and
    `InvalidHostError`.
    """

    def __init__(self, **settings: Unpack[SettingValues]) -> None:
        self.pipeline = new_pipeline(settings)

    def wrap(self, app: ASGIApp) -> AfterMiddleware:
        """The app with `after()`: the same as `AfterMiddleware(app, work)`."""
        return AfterMiddleware(app, self)

    # -- jobs

    def cron(
        self,
        expression: str | Cron,
        *,
        timezone: str = "UTC",
        dst: Literal["once", "skip", "both"] = "once",
        **options: Unpack[JobValues],
    ) -> Callable[[Callable[P, R]], Job[P, R]]:
        """Registers a function as a job with a cron schedule.

        `@work.cron("0 3 * * *", timezone="America/New_York")`. Expression, `timezone` and `dst` are
        those of `Cron`, which may be given ready-made. The other options are those of `job`, and:

        `misfire`
            What happens to slots that passed while nobody could run them: `"once"` (default) runs
            the newest, `"all"` runs them in order, at most 100, `"skip"` none. Those that do not
            run are recorded as `missed`.
        `grace`
            How late a slot may be and is still on time: seconds or a text such as `"10m"`. Default:
            half the interval, at least a minute, at most an hour.
        `jitter`
            Starts each slot up to that much later, the same on all replicas; seconds or a text.
            Default 0. Only for schedules that run here and for `/tick`.

        Raises `CronSyntaxError` with the position of the mistake, `UnknownTimezoneError`, and what
        `job` raises, at the decorator's line.
        """
        from ._cron import Cron

        if isinstance(expression, Cron):
            schedule = expression
        else:
            schedule = Cron(expression, timezone=timezone, dst=dst)
        return self._registrar(schedule, schedule.timezone, options)

    def every(
        self,
        interval: str | float | timedelta | Every,
        *,
        timezone: str = "UTC",
        **options: Unpack[JobValues],
    ) -> Callable[[Callable[P, R]], Job[P, R]]:
        """Registers a function as a job with an interval: `@work.every("10m")`.

        The interval is that of `Every`, which may be given ready-made. `timezone` is that of
        `between=`. The other options are those of `cron`. Raises `DurationSyntaxError` with the
        position of the mistake, and what `job` raises.
        """
        from ._every import Every

        schedule = interval if isinstance(interval, Every) else Every(interval)
        return self._registrar(schedule, timezone, options)

    @overload
    def job(self, fn: Callable[P, R], /) -> Job[P, R]: ...

    @overload
    def job(  # noqa: F811
        self, /, *, timezone: str = "UTC", **options: Unpack[JobValues]
    ) -> Callable[[Callable[P, R]], Job[P, R]]: ...

    def job(self, fn: Any = None, /, *, timezone: str = "UTC", **options: Any) -> Any:  # noqa: F811
        """Registers a function, sync or async, as a job without a schedule, to be set off through
        the trigger route, by hand, or by `after(job, ...)`. With or without arguments:
        `@work.job`, `@work.job(retry=Retry(5))`.

        `name`
            Names the job in URLs, logs and records. Default: the function's name.
        `tags`
            Texts for listing. Default none.
        `timeout`
            Seconds for each attempt, or a text such as `"10m"`; None for no limit. Default: the
            app's `timeout`. A sync job cannot be stopped: it is recorded as timed out, and the next
            run may start while its thread goes on. Let a long one ask `current_run().remaining()`.
        `retry`
            A `Retry` for attempts within the same run. Default: the app's `retry`.
        `overlap`
            What happens if it is due while it still runs, in any process that has the same store:
            `"skip"` (default with a schedule), `"queue"`: one run waits, the newest; `"replace"`:
            the old run is cancelled, and its end awaited; `"allow"` (default without a schedule).
        `when`
            A plain function without arguments, asked in a thread: no run unless it is true.
        `environments`
            Names of the environments it runs in. Default: all.
        `between`
            Two times of day, `("22:00", "06:00")`, in the job's time zone: no run outside.
        `mode`
            What the trigger route does: `"wait"` answers with the outcome, `"accept"` answers 202
            and runs after the response. Default None: the route's, and the caller may choose.

        `durable`
            True: `after(job, ...)` is written down before the response leaves, and survives its
            process. It runs at least once, right after the response where it can, and where not,
            in whichever process comes first: so let a second run do no harm. Its arguments are
            JSON, or what `docs/durable.md` lists. Without `retry` its first failure is final: a
            dead letter, which `dead_letters` shows and `retry_dead` runs again. Default False.
        `concurrency`
            How many of its calls run at a time, over all processes. Durable jobs only.
        `rate`
            How many may start in a time, over all processes: `"10/m"`, `"1/30s"`. Those that were
            saved up start at once. Durable jobs only.

        `when`, `environments`, `between` and pauses hold for schedules and callers of the trigger
        route, not for `after(job)` and runs by hand. The result is a `Job`: called directly it is
        the function. Raises `InvalidJobError`, `InvalidOptionError` and `UnknownOptionError`, at
        the decorator's line.
        """
        register = self._registrar(None, timezone, options)
        return register if fn is None else register(fn)

    def routes(
        self,
        *,
        verify: Verifier | Sequence[Verifier] | None = None,
        private: bool = False,
        mode: Literal["wait", "accept"] = "wait",
        max_body: int = 1_048_576,
    ) -> Routes:
        """The trigger route: an ASGI app that outside schedulers call.

        `Mount("/cron", work.routes(verify=Bearer.from_env("CRON_SECRET")))` in Starlette, FastAPI
        and Litestar; `work.routes(...).beside(app, "/cron")` for any other app. It serves, with
        and without a slash at the end:

        `/{job}`
            GET or POST runs the job, once per slot and delivery.
        `/`
            Runs the jobs whose expression is in the header `x-vercel-cron-schedule`. Write the
            slash (`/cron/`): without it Starlette and FastAPI redirect, which no cron follows.
        `/tick`
            Runs what is due. Call it every minute or so.
        `/jobs`
            GET lists the jobs.
        `/runs/{id}`
            GET tells where a run stands; with `Accept: text/event-stream`, or `?stream=1` for a
            browser's `EventSource`, as a stream of its changes. Errors are told by their class.
        `/work`
            POST runs the durable call that is the body, for engines that call (QStash, Cloud
            Tasks): 200 means that the engine is to forget the message.
        `/health`
            GET tells whether everything is on time, 200 or 503. Without credentials it gives the
            verdict only.

        `verify`
            One `Verifier` or several, of which one has to be content. There is no route without.
        `private`
            True: for an address that only the platform can reach, such as a Vercel function without
            a URL. Then every call has to be a CloudEvent of its scheduler, and `verify` is left
            out. Never mount such a route on a public address.
        `mode`
            For jobs that set none: `"wait"` (default) or `"accept"`. A caller may choose with
            `?mode=` or the header `Prefer: respond-async`.
        `max_body`
            Bytes that a request's body may have; default 1 MiB.

        Answers are JSON with a `status`; 200 or 202 for all that is no failure, also for
        `duplicate`, `skipped` and `paused`; 500 where another delivery helps; 401, 404, 405, 413,
        400 for bad calls; 503 while store or verifier are down. Raises `InvalidOptionError`.
        """
        from ._routes import Routes

        return Routes(
            self.dispatch,
            self.wrap,
            verify=verify,
            private=private,
            mode=mode,
            max_body=max_body,
        )

    async def run(self, job: str | Job[..., Any], /, *args: Any, **kwargs: Any) -> Run:
        """Runs a job now, by hand, and waits for its end: with its timeout, retries and overlap
        policy, and a record. It takes no slot: the next one runs all the same.

        Look at the result's `outcome`; a failure does not raise. Raises `UnknownJobError`.
        """
        return await self.dispatch.run(_name(job), args, kwargs)

    async def pause(
        self,
        job: str | Job[..., Any],
        *,
        seconds: float | None = None,
        note: str | None = None,
    ) -> None:
        """Pauses a job in all processes that have the same store, for so long or until it is
        resumed. It survives restarts. Slots that pass are recorded as skipped, with the reason
        `paused`; runs by hand and `after(job)` go on. What runs already is not stopped.

        Raises `UnknownJobError`, `StoreError`.
        """
        await self.dispatch.pause(_name(job), seconds, note)

    async def resume(
        self, job: str | Job[..., Any], *, resume_from: datetime | None = None
    ) -> bool:
        """Ends a pause; returns whether there was one. Slots that passed are not made up for,
        unless `resume_from` is given: then those after that moment run now, in order, at most the
        newest hundred, and each once however often it is asked.

        Raises `UnknownJobError`, `NaiveDatetimeError`, `StoreError`.
        """
        return await self.dispatch.resume(_name(job), resume_from)

    def once(self, key: str, *, ttl: float | str = 86_400) -> Once:
        """Does something once, over all processes that have the same store:

        ```
        async with work.once(f"welcome-mail:{user.id}", ttl="30d") as first:
            if first:
                await send_welcome_mail(user)
        ```

        True for the first who enters it with that key, False for all others, for `ttl` seconds (or
        a text such as `"30d"`; default a day). If the block raises, the key is free again, so that
        a retry finds it so; a process that dies in the block keeps it taken. In sync code use
        `with`. Raises `InvalidOptionError`, `DurationSyntaxError`, `StoreError`.
        """
        from . import _check, _durations
        from ._once import Once

        if not isinstance(key, str) or not key:
            raise InvalidOptionError("key", "a text that is not empty", key)
        seconds = _durations.parse(ttl) if isinstance(ttl, str) else ttl
        return Once(self.dispatch, key, _check.seconds("ttl", seconds))

    def batches(
        self,
        fetch: Callable[[Any], tuple[list[Any], Any] | Awaitable[tuple[list[Any], Any]]],
        *,
        key: str | None = None,
        reserve: float = 1.0,
    ) -> Batches:
        """Works through a big set inside a job, as far as its time goes. The next run goes on where
        this one stopped.

        ```
        @work.cron("*/10 * * * *", timeout="5m")
        async def reindex():
            async for batch in work.batches(next_users):
                await index(batch)

        async def next_users(cursor):       # None at the beginning of the set
            users = await users_after(cursor or 0, limit=500)
            return users, users[-1].id if users else None   # None at its end
        ```

        After each batch the cursor, any JSON value, is kept in the store under `key` (default: the
        job's name). No batch is begun with less than `reserve` seconds left, or less than one and
        a half times the longest batch took, or once the run should stop. A batch whose block raised
        is given again by the next run: let doing it twice do no harm. `fetch` may be sync or async;
        sync jobs use `for` and a sync `fetch`. Raises `NoRunError` outside a job, `StoreError`.
        """
        from . import _check
        from ._batches import Batches

        _check.optional_text("key", key)
        return Batches(self.dispatch, fetch, key, _check.seconds("reserve", reserve, zero=True))

    @property
    def store(self) -> Store:
        """The store. It is opened when it is first used, at the latest by its own `open()`."""
        return self.dispatch.chosen_store()

    # -- durable calls

    async def status(self, run_id: str) -> RunStatus | None:
        """Where a run stands: `waiting`, `running`, or how it ended, with what it returned. None
        if nobody knows it, or not any more. `after(job, ...)` returns what has its `run_id`.

        Raises `StoreError`, `EngineError`.
        """
        from ._status import status_of

        return await status_of(self.dispatch, run_id)

    async def cancel(self, run_id: str, reason: str = "cancelled by hand") -> bool:
        """Takes back a durable call that waits: True. One that runs, in whichever process, is asked
        to end, which it sees within a third of `lease`: False. Raises `StoreError`, `EngineError`.
        """
        return await self.dispatch.durable.cancel(run_id, reason)

    async def dead_letters(
        self, *, job: str | Job[..., Any] | None = None, before: str | None = None, limit: int = 100
    ) -> list[DeadLetter]:
        """Durable calls that are over without success, the newest first; `before`: only those with
        smaller ids, for the next page. They are kept until they are retried or deleted. Raises
        `StoreError`."""
        from ._dead_letters import dead_letters

        name = None if job is None else _name(job)
        return await dead_letters(self.dispatch, job=name, before=before, limit=limit)

    async def retry_dead(self, *run_ids: str) -> list[str]:
        """Makes new calls of dead letters, with all their attempts before them, and forgets the old
        ones. Returns the new ids. Raises `StoreError`, `EngineError`."""
        from ._dead_letters import revive

        return await revive(self.dispatch, run_ids)

    async def delete_dead(self, *run_ids: str) -> int:
        """Deletes dead letters for good; returns how many. Raises `StoreError`."""
        from ._dead_letters import delete

        return await delete(self.dispatch, run_ids)

    @property
    def engine(self) -> Engine:
        """The engine that durable calls are given to. Raises `InvalidOptionError` where none was
        given and the store has no journal."""
        return self.dispatch.durable.engine

    @property
    def jobs(self) -> list[Job[..., Any]]:
        """The registered jobs, in that order."""
        return list(self.dispatch.jobs)

    @property
    def dispatch(self) -> Dispatch:
        """The way of jobs into the pipeline."""
        from ._dispatch import Dispatch

        return Dispatch.of(self.pipeline)

    def _registrar(
        self, schedule: Schedule | None, timezone: str, options: Any
    ) -> Callable[[Callable[P, R]], Job[P, R]]:
        from ._job import Job
        from ._job_policy import JobPolicy

        dispatch = self.dispatch
        policy = JobPolicy(schedule, timezone, **options)

        def register(fn: Callable[P, R]) -> Job[P, R]:
            job = Job(fn, policy, dispatch)
            dispatch.jobs.add(job)
            if schedule is not None and self.pipeline.scheduler is None:
                from ._scheduler import Scheduler

                self.pipeline.scheduler = Scheduler(dispatch)
            return job

        return register

    def __repr__(self) -> str:
        return f"<Afterwork on {self.pipeline.host.info.name}>"


def _name(job: str | Job[..., Any]) -> str:
    return job if isinstance(job, str) else job.name
