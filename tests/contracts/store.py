"""The suites that every store passes, a user's own too. They live in the package, for users."""

from afterwork.testing.store_contract import SharedStoreContract, StoreContract

__all__ = ["SharedStoreContract", "StoreContract"]
