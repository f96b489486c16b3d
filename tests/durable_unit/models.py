"""Classes and functions whose arguments the codec writes. Annotations are texts here."""

from __future__ import annotations

import enum
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, NewType, Optional, TypeVar

from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    RootModel,
    field_validator,
)

if TYPE_CHECKING:
    from types import SimpleNamespace as Missing  # not there when this file runs

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    ROUGE = RED
    BLUE = ("b", 1)


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Level(enum.IntEnum):
    LOW = 1


class Empty(enum.Enum):
    pass


@dataclass
class Line:
    sku: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    id: int
    lines: list[Line] = field(default_factory=list[Line])
    colour: Colour | None = None
    by_sku: dict[str, Line] = field(default_factory=dict[str, Line])
    parent: Optional[Order] = None  # noqa: UP045  # the old way is in many apps
    when: datetime | None = None
    total: int = field(init=False, default=0)
    never_set: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", sum(line.count for line in self.lines))


@dataclass
class NeedsMore:
    id: int
    more: InitVar[int]


@dataclass
class Doubling:
    amount: int

    def __post_init__(self) -> None:
        self.amount *= 2


@dataclass
class Box(Generic[T]):
    value: T


class Child(BaseModel):
    name: str
    at: datetime | None = None


class Model(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: int = Field(alias="ID")
    number: int = Field(default=0, validation_alias="No")
    either: str = Field(default="", validation_alias=AliasChoices("Either", "Or"))
    child: Child | None = None
    children: list[Child] = []
    _secret: str = PrivateAttr(default="kept nowhere")


class Deep(BaseModel):
    inner: int = Field(default=0, validation_alias=AliasPath("a", "b"))


class Names(RootModel[list[str]]):
    pass


class Crate(BaseModel, Generic[T]):
    item: T


class Cents(BaseModel):
    amount: int

    @field_validator("amount")
    @classmethod
    def in_cents(cls, value: int) -> int:
        return value * 100


OrderName = NewType("OrderName", Order)


def takes_all(
    order: Order,
    orders: list[Order] | None = None,
    model: Model | None = None,
    rights: Rights = Rights.READ,
    level: Level = Level.LOW,
    box: Box[Child] | None = None,
    crate: Crate[Line] | None = None,
    names: Names | None = None,
) -> dict[str, Order]:
    return {"order": order}


def takes_refused(
    needs: NeedsMore, doubling: Doubling, cents: Cents, deep: Deep, empty: Empty
) -> None: ...


def partly_missing(order: Order, missing: Missing, named: OrderName) -> None: ...


def takes_anything(*args: Any, **kwargs: Any) -> Any: ...


class Service:
    def method(self, order: Order) -> None: ...

    def __call__(self, order: Order) -> None: ...


class Maker:
    def __init__(self, order: Order) -> None: ...


@dataclass
class HalfKnown:
    """One of its fields has a class that is not there when the code runs."""

    line: Line
    missing: Missing | None = None


def takes_half_known(half: HalfKnown) -> None: ...
