"""What DBOS writes for us: JSON. By default it pickles, and reading that runs what it names."""

from __future__ import annotations

import json
from typing import Any

from dbos import Serializer

__all__ = ["JSON", "StepError"]


class StepError(Exception):
    """Stands for the error of a DBOS step of yours that failed before the worker died."""


class JSON(Serializer):
    """Values as JSON, errors as their text."""

    def name(self) -> str:
        """What DBOS notes beside a value."""
        return "afterwork_json"

    def serialize(self, data: Any) -> str:
        """Raises `TypeError` or `ValueError` for what JSON cannot say."""
        if isinstance(data, BaseException):
            return json.dumps({"error": f"{type(data).__name__}: {data}"})
        return json.dumps({"value": data}, allow_nan=False)

    def deserialize(self, serialized_data: str) -> Any:
        """What was written; a `StepError` for an error."""
        found = json.loads(serialized_data)
        return StepError(found["error"]) if "error" in found else found["value"]
