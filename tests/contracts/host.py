"""The suite that every host passes, a user's own too. It lives in the package, for users."""

from afterwork.testing.host_contract import HostContract

__all__ = ["HostContract"]
