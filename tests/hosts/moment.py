"""What time it is on a platform: a stand-in's clock, so that a timer fires at its hour."""

from __future__ import annotations

import os
import time
from datetime import datetime

VARIABLE = "PLATFORM_TIME"


def keep() -> None:
    """From now on it is the moment in `$PLATFORM_TIME`, and goes on from there. To be called before
    anything is imported that takes `time.time` for its own."""
    moment = datetime.fromisoformat(os.environ[VARIABLE]).timestamp()
    real = time.time
    ahead = moment - real()
    time.time = lambda: real() + ahead
