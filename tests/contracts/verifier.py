"""The suite that every verifier passes, a user's own too. It lives in the package, for users."""

from afterwork.testing.verifier_contract import VerifierContract

__all__ = ["VerifierContract"]
