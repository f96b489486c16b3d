"""What the codec reads is what was written, or nothing at all."""

from __future__ import annotations

import functools
import json
import math
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from afterwork._codec import MOST_DEPTH, Codec
from afterwork.errors import PayloadError
from tests.durable_unit.models import (
    Box,
    Cents,
    Child,
    Colour,
    Crate,
    Deep,
    Doubling,
    HalfKnown,
    Level,
    Line,
    Maker,
    Model,
    Names,
    NeedsMore,
    Order,
    Rights,
    Service,
    partly_missing,
    takes_all,
    takes_anything,
    takes_half_known,
    takes_refused,
)
from tests.durable_unit.support import Nowhere

ANY = Codec(takes_anything)
ALL = Codec(takes_all)


def again(codec: Codec, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return codec.decode(codec.encode(args, kwargs))


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types at any depth."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    if isinstance(one, (set, frozenset)):
        return {(type(each), each) for each in one} == {(type(each), each) for each in other}
    if isinstance(one, (datetime, time)):
        # A zone has become its offset. Aware times in a fold are equal to none of another zone.
        plain = one.replace(tzinfo=None), one.fold, one.utcoffset()
        return bool(plain == (other.replace(tzinfo=None), other.fold, other.utcoffset()))
    if isinstance(one, Decimal):
        return bool(one.as_tuple() == other.as_tuple())
    if isinstance(one, float):
        return bool(one == other) and math.copysign(1, one) == math.copysign(1, other)
    return bool(one == other)


text = st.text(st.characters(exclude_categories=()))  # lone surrogates, too
offsets = st.integers(-86399, 86399).map(lambda s: timezone(timedelta(seconds=s)))
zones: Any = (
    st.none() | offsets | st.sampled_from(["Europe/Paris", "America/New_York"]).map(ZoneInfo)
)
days = st.datetimes(
    datetime(2, 1, 1), datetime(9998, 12, 31), timezones=zones, allow_imaginary=True
)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    text,
    st.binary(),
    st.uuids(),
    st.decimals(allow_nan=True),
    st.dates(),
    st.times(timezones=st.none() | offsets),
    st.timedeltas(),
    st.builds(lambda moment, fold: moment.replace(fold=fold), days, st.integers(0, 1)),
)
hashable = st.one_of(st.integers(), text, st.binary(), st.uuids(), st.dates(), st.timedeltas())
keys = text | st.sampled_from(["$", "$tuple", "$dict", "$object", "$unknown"])
values = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(keys, inner),
        st.sets(hashable),
        st.frozensets(hashable),
    ),
    max_leaves=12,
)


@given(values, st.dictionaries(st.text(), values, max_size=2))
def test_what_is_read_is_what_was_written(value: Any, named: dict[str, Any]) -> None:
    args, kwargs = again(ANY, value, **named)
    assert same(args, (value,))
    assert same(kwargs, named)
    assert same(ANY.decode_result(ANY.encode_result(value)), value)


def test_the_usual_case_reads_the_same() -> None:
    assert again(ANY, 1, "a", None, True) == ((1, "a", None, True), {})
    assert json.loads(ANY.encode((1, "a"), {})) == [[1, "a"], {}]


def test_objects_are_of_their_class_again_at_any_depth() -> None:
    late = datetime(2026, 11, 1, 1, 30, tzinfo=UTC)
    parent = Order(id=1, colour=Colour.BLUE, when=late)
    order = Order(
        id=2, lines=[Line("a", 3), Line("b")], by_sku={"$b": Line("b")}, parent=parent, when=late
    )
    (read,), named = again(ALL, order, orders=[order, parent])
    assert repr(read.lines) == repr(order.lines)
    assert (read.id, read.total, read.by_sku, read.when) == (2, 4, {"$b": Line("b")}, late)
    assert (type(read), type(read.parent), read.parent.colour) == (Order, Order, Colour.BLUE)
    assert [each.id for each in named["orders"]] == [2, 1]
    result = ALL.decode_result(ALL.encode_result({"order": parent}))
    assert result["order"].id == 1


def test_a_field_outside_of_init_is_as_it_was() -> None:
    order = Order(id=1)
    object.__setattr__(order, "total", 99)
    object.__setattr__(order, "never_set", 7)
    (read,), _ = again(ALL, order)
    assert (read.total, read.never_set) == (99, 7)


def test_enums_and_several_flags_together() -> None:
    order = Order(id=1, colour=Colour.ROUGE)
    both = Rights.READ | Rights.WRITE
    (read,), named = again(ALL, order, rights=both, level=Level.LOW)
    assert read.colour is Colour.RED
    assert named == {"rights": both, "level": Level.LOW}
    assert type(named["level"]) is Level
    assert again(ALL, order, rights=Rights(0))[1]["rights"] == Rights(0)


def test_models_keep_aliases_extras_and_what_was_set() -> None:
    model = Model.model_validate({"ID": 1, "No": 2, "Or": "x", "child": Child(name="a"), "more": 3})
    _, named = again(ALL, Order(id=1), model=model)
    read = named["model"]
    assert (type(read), read) == (Model, model)
    assert (read.number, read.either, read.child, read.model_extra) == (
        2,
        "x",
        Child(name="a"),
        {"more": 3},
    )
    assert read.model_dump(exclude_unset=True) == model.model_dump(exclude_unset=True)
    assert "children" not in read.model_fields_set


def test_generic_classes_and_root_models() -> None:
    box, crate = Box(Child(name="a")), Crate[Line](item=Line("a"))
    names = Names(["a", "b"])
    _, named = again(ALL, Order(id=1), box=box, crate=crate, names=names)
    assert named == {"box": box, "crate": crate, "names": names}
    assert type(named["crate"]) is Crate[Line]


@pytest.mark.parametrize(
    "refused",
    [NeedsMore(1, 2), Doubling(1), Cents(amount=1), Deep.model_validate({"a": {"b": 5}})],
)
def test_an_object_that_its_fields_do_not_make_again_is_refused_at_the_call(refused: Any) -> None:
    with pytest.raises(PayloadError, match="'needs' must be an object that its fields make again"):
        Codec(takes_refused).encode((refused, 0, 0, 0, 0), {})


class OfMine:
    pass


class SubInt(int):
    pass


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (object(), "of type object"),
        (OfMine(), "of type OfMine"),
        (SubInt(1), "of type SubInt"),
        (OrderedDict(), "of type OrderedDict"),
        (bytearray(), "of type bytearray"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        ({1: 2}, "one with int keys"),
        ([[{None: 2}]], "one with NoneType keys"),
        (Line("a"), r"of type Line. Annotate the parameter: `value: Line`, with a name that"),
        (time(12, tzinfo=ZoneInfo("Europe/Paris")), "in a zone that gives it none"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_the_name_of_its_argument(
    value: Any, found: str
) -> None:
    def job(first: int, value: Any, *rest: Any, other: Any = None) -> None: ...

    codec = Codec(job)
    for args, kwargs, name in (
        ((1, value), {}, "value"),
        ((1, [(value,)]), {}, "value"),
        ((1, 2, 3, value), {}, "rest"),
        ((1, 2), {"other": {"$a": value}}, "other"),
    ):
        with pytest.raises(PayloadError, match=found.replace("value:", f"{name}:")) as caught:
            codec.encode(args, kwargs)
        assert caught.value.where == f"the argument {name!r}"


def test_a_result_is_refused_by_that_name() -> None:
    with pytest.raises(PayloadError, match=r"^the result must be"):
        ANY.encode_result(object())


def test_a_datetime_whose_zone_knows_no_offset_is_refused() -> None:
    with pytest.raises(PayloadError, match="offset"):
        ANY.encode((datetime(2026, 1, 1, tzinfo=Nowhere()),), {})


@pytest.mark.parametrize("make", [lambda n: n, lambda n: [n]])
def test_an_int_of_thousands_of_digits_is_refused_at_the_call(make: Any) -> None:
    with pytest.raises(PayloadError, match="thousands of digits"):
        ANY.encode((make(10**5000),), {})
    with pytest.raises(PayloadError, match="JSON"):
        ANY.decode(f"[[{'9' * 5000}], {{}}]")
    assert again(ANY, 2**200) == ((2**200,), {})


def nested(depth: int, wrap: Any) -> Any:
    value: Any = 1.5
    for _ in range(depth):
        value = wrap(value)
    return value


@pytest.mark.parametrize(
    "wrap",
    [lambda v: [v], lambda v: {"a": v}, lambda v: {"$a": v}, lambda v: (v,), Box],
)
def test_depth_has_a_limit_and_what_is_below_it_can_be_read(wrap: Any) -> None:
    def job(value: Box[Any]) -> None: ...

    codec = Codec(functools.partial(job))
    codec.classes["Box"] = Box
    value = nested(MOST_DEPTH, wrap)
    assert repr(again(codec, value)[0][0]) == repr(value)
    with pytest.raises(PayloadError, match="at most 100 levels deep"):
        codec.encode((nested(MOST_DEPTH + 1, wrap),), {})


def test_what_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(PayloadError, match="deeper"):
        ANY.encode((endless,), {})


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"$tuple":[', '{"$dict":[["a",'])
@pytest.mark.parametrize("depth", [203, 5000, 200_000])
def test_what_is_too_deep_to_have_been_written_is_not_read(opening: str, depth: int) -> None:
    closing = "".join({"[": "]", "{": "}"}[c] for c in reversed(opening) if c in "[{")
    with pytest.raises(PayloadError):
        ANY.decode("[[" + opening * depth + "1" + closing * depth + "], {}]")


# -- annotations


def test_a_name_that_only_type_checkers_know_does_not_hide_the_others() -> None:
    codec = Codec(partly_missing)
    order = Order(id=1, lines=[Line("a")])
    (read, *_), _ = again(codec, order, None, order)
    assert read.lines == order.lines
    assert "Line" in codec.classes
    half = HalfKnown(Line("a"))
    assert again(Codec(takes_half_known), half) == ((half,), {})


ANY_FUNCTION: Any = partly_missing


@pytest.mark.parametrize(
    "fn",
    [
        Service().method,
        Service(),
        functools.partial(Service().method),
        functools.partial(functools.partial(ANY_FUNCTION, missing=1), named=None),
        Maker,
        functools.wraps(Service().method)(lambda *a, **k: None),
    ],
)
def test_methods_objects_partials_classes_and_wrapped_functions(fn: Any) -> None:
    (read,), _ = again(Codec(fn), Order(id=5))
    assert (type(read), read.id) == (Order, 5)


def test_a_wrapped_function_with_a_missing_name() -> None:
    @functools.wraps(partly_missing)
    def wrapped(*args: Any, **kwargs: Any) -> None: ...

    assert again(Codec(wrapped), Order(id=5), 1, 2)[0][0].id == 5


def test_local_classes_and_those_of_one_name() -> None:
    from dataclasses import dataclass

    def make() -> Any:
        @dataclass
        class Local:
            a: int

        return Local

    one, other = make(), make()

    def job(value: Any) -> None: ...

    job.__annotations__ = {"value": one, "second": other}
    assert again(Codec(job), one(1)) == ((one(1),), {})
    with pytest.raises(PayloadError, match="Local"):
        Codec(job).encode((other(1),), {})


def test_functions_in_c() -> None:
    assert again(Codec(max), 1, (2,)) == ((1, (2,)), {})
    with pytest.raises(PayloadError, match="argument 2 must be"):
        Codec(max).encode((1, object()), {})
    assert not Codec(max).takes("key")
    assert Codec(max).names == []
    assert Codec(takes_all).takes("order")
    assert not Codec(takes_all).takes("nothing")
    assert Codec(max).classes == {}


def test_arguments_that_do_not_fit_are_a_type_error_at_the_call_and_refused_when_read() -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'order'"):
        ALL.encode((), {})
    with pytest.raises(PayloadError, match="must be what the job takes; it is missing"):
        ALL.decode("[[], {}]")
    with pytest.raises(PayloadError, match="too many positional arguments"):
        ALL.decode(json.dumps([list(range(20)), {}]))


# -- what was not written by the codec

OBJECTS = [
    '{"$object": ["Order", {"id": 1}]}',
    '{"$enum": ["Colour", "RED"]}',
    '{"$object": ["Model", {"ID": 1}]}',
]
tags = st.sampled_from(
    [
        "$tuple", "$set", "$frozenset", "$datetime", "$date", "$time", "$timedelta", "$uuid",
        "$decimal", "$bytes", "$object", "$enum", "$dict", "$nothing", "a",
    ]
)  # fmt: skip
names = st.sampled_from(["Order", "Colour", "Rights", "Model", "Names", "Box", "Line", "os.system"])
fields = st.sampled_from(["id", "lines", "value", "ID", "root", "colour", "total", "sku"])
foreign = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | names,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(tags | fields, inner, max_size=3),
        st.builds(lambda tag, value: {tag: value}, tags, inner),
        st.builds(
            lambda tag, name, *rest: {tag: [name, *rest]},
            st.sampled_from(["$object", "$enum"]),
            names,
            st.dictionaries(fields, inner, max_size=2) | inner,
        ),
    ),
    max_leaves=15,
)
known = (
    type(None), bool, int, float, str, list, dict, tuple, set, frozenset, datetime, date, time,
    timedelta, UUID, Decimal, bytes, Order, Line, Colour, Rights, Level, Model, Names, Box, Child,
    Crate[Line],
)  # fmt: skip


def _all_known(value: Any) -> bool:
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        inner = value
    return type(value) in known and all(map(_all_known, inner))


@given(foreign)
@example({"$enum": ["Box", "T"]})
@example({"$enum": ["Line", "x"]})
@example({"$object": ["Colour", {"value": "red"}]})
@example({"$object": ["Order", {"id": 1}, {"os": 1}]})
@example({"$object": ["Order", {"id": 1}, {"total": 3}]})
@example({"$object": ["Order", {"id": 1}, {}, {}]})
@example({"$tuple": "abc"})
@example({"$dict": {"ab": 1}})
@example({"$dict": [[1, 2]]})
@example({"$enum": [[], []]})
@example({"$a": 1, "b": 2})
@example({})
def test_any_json_is_read_as_known_types_or_refused(value: Any) -> None:
    body = json.dumps([[value], {}])
    for read in (ALL.decode, lambda text: ANY.decode(text)):
        try:
            args, _ = read(body)
        except PayloadError:
            continue
        assert all(map(_all_known, args))


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_refused_or_read(body: str) -> None:
    for read in (ANY.decode, ANY.decode_result):
        try:
            read(body)
        except PayloadError:
            pass


@given(st.data())
def test_a_written_text_that_was_changed_is_refused_or_read_as_known_types(
    data: st.DataObject,
) -> None:
    order = Order(id=1, lines=[Line("a")], colour=Colour.BLUE, when=datetime(2026, 1, 1))
    body = ALL.encode(
        (order,),
        {"model": Model.model_validate({"ID": 1, "more": [UUID(int=1)]}), "names": Names(["x"])},
    )
    at = data.draw(st.integers(0, len(body) - 1))
    end = data.draw(st.integers(at, min(len(body), at + 12)))
    changed = body[:at] + data.draw(st.text('"{}[]$,:0123eE-.ab', max_size=4)) + body[end:]
    try:
        args, kwargs = ALL.decode(changed)
    except PayloadError:
        return
    assert all(map(_all_known, (*args, *kwargs.values())))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "1",
        "[]",
        "[[]]",
        "[{}, {}]",
        "[[], []]",
        "[[], {}, 1]",
        "[[NaN], {}]",
        "[[Infinity], {}]",
    ],
)
def test_another_shape_is_no_payload(body: str) -> None:
    with pytest.raises(PayloadError):
        ANY.decode(body)


@pytest.mark.parametrize("body", ["NaN", "{", '{"$uuid": 1}', '{"$bytes": "!"}', '{"$x": 1}'])
def test_a_result_that_was_not_written_is_refused(body: str) -> None:
    with pytest.raises(PayloadError, match=r"^the result must be as it was written"):
        ANY.decode_result(body)


def test_the_cause_of_a_refused_object_is_kept_and_its_value_is_in_no_message() -> None:
    with pytest.raises(PayloadError) as caught:
        ANY.decode('[[{"$uuid": "top secret"}], {}]')
    assert isinstance(caught.value.__cause__, ValueError)
    assert "secret" not in str(caught.value)


def test_a_class_that_the_job_does_not_name_is_never_made() -> None:
    with pytest.raises(PayloadError, match="of a class that the job names; it is a 'Order'"):
        ANY.decode('[[{"$object": ["Order", {"id": 1}]}], {}]')
