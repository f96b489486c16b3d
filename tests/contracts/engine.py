"""The suites that every engine passes, a user's own too. They live in the package, for users."""

from afterwork.testing.engine_contract import (
    EngineContract,
    PushEngineContract,
    SharedEngineContract,
)

__all__ = ["EngineContract", "PushEngineContract", "SharedEngineContract"]
