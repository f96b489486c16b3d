"""What you need to write an engine of your own: the protocol and the envelope that goes through it;
and what `Afterwork.status` and `dead_letters` return.

```
from afterwork.engines import Capabilities, Engine, Envelope
```

Run the contract suite of `afterwork.testing.engine_contract` against it.
"""

from __future__ import annotations

from ._dead_letters import DeadLetter
from ._engine import Capabilities, Engine
from ._envelope import MOST_CRASHES, Envelope
from ._status import RunStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._engine import RunEnvelope as RunEnvelope
    from ._engine import RunUntil as RunUntil

__all__ = ["MOST_CRASHES", "Capabilities", "DeadLetter", "Engine", "Envelope", "RunStatus"]
