"""The rules of what is known of jobs, and of notes."""

from __future__ import annotations

from ._store_tests import LONG, SHORT, StoreTests, claimed, holding, in_threads


class JobTests(StoreTests):
    """Part of `StoreContract`."""

    def test_a_job_is_registered_once(self) -> None:
        """F4: slots before the first time were never due."""
        store = self.opened()
        assert store.jobs() == {}
        before = store.now()
        store.register(["a", "b"])
        first = store.jobs()
        assert set(first) == {"a", "b"}
        assert before <= first["a"].registered_at <= store.now()
        assert first["a"].name == "a"
        assert (first["a"].last_run, first["a"].counts, first["a"].pause) == (None, {}, None)

        self.advance(store, SHORT)
        store.register(["b", "c"])
        store.register([])
        after = store.jobs()
        assert after["b"] == first["b"]
        assert after["c"].registered_at > first["b"].registered_at

    def test_one_job_may_be_asked_for(self) -> None:
        """Then the others are not read."""
        store = self.opened()
        store.register(["a"])
        claimed(store, "b", state="failed")
        store.pause("b")
        for name, state in store.jobs().items():
            assert store.jobs(name) == {name: state}
        assert store.jobs("b")["b"].counts == {"failed": 1}
        assert store.jobs("c") == {}

    def test_a_job_that_has_run_or_is_paused_is_known(self) -> None:
        store = self.opened()
        claimed(store, "ran")
        store.pause("paused")
        first = store.jobs()
        assert set(first) == {"ran", "paused"}
        self.advance(store, SHORT)
        store.register(["ran", "paused"])
        assert store.jobs() == first, "it was first seen before"

    def test_a_pause_lasts_until_somebody_ends_it(self) -> None:
        """F9."""
        store = self.opened()
        store.register(["job"])
        assert not store.resume("job")
        assert not store.resume("unknown")
        before = store.now()
        store.pause("job", note="holidays")
        pause = store.jobs()["job"].pause
        assert pause is not None
        assert before <= pause.since <= store.now()
        assert (pause.until, pause.note) == (None, "holidays")
        assert store.resume("job")
        assert not store.resume("job")
        assert store.jobs()["job"].pause is None

    def test_a_pause_may_end_by_itself(self) -> None:
        store = self.opened()
        store.pause("a", note="replaced")
        store.pause("a", seconds=SHORT)
        store.pause("b", note="replaced")
        store.pause("b", seconds=100)
        first = store.jobs()
        assert first["b"].pause is not None
        assert first["b"].pause.note is None
        until = first["b"].pause.until
        assert until is not None
        assert abs(until - first["b"].pause.since - 100) < 0.01
        self.advance(store, 2 * SHORT)
        assert store.jobs()["a"].pause is None
        assert not store.resume("a")
        assert store.jobs()["b"].pause == first["b"].pause


class NoteTests(StoreTests):
    """Part of `StoreContract`."""

    def test_notes_are_put_got_and_deleted(self) -> None:
        store = self.opened()
        assert store.get("k") is None
        store.put("k", "1")
        store.put("k", "2 é😀\n'\"")
        assert store.get("k") == "2 é😀\n'\""
        assert store.delete("k")
        assert not store.delete("k")
        assert store.get("k") is None
        store.put("empty", "")
        assert store.get("empty") == ""

    def test_adding_never_replaces(self) -> None:
        store = self.opened()
        assert store.add("k", "1")
        assert not store.add("k", "2")
        assert store.get("k") == "1"
        added: list[bool] = []
        in_threads(lambda index: added.append(store.add("race", str(index))))
        assert sorted(added)[-2:] == [False, True]

    def test_notes_are_gone_after_their_time(self) -> None:
        store = self.opened()
        for key in ("a", "b", "c", "d"):
            store.put(key, "old", ttl=SHORT)
        store.put("a", "for good")
        store.put("b", "longer", ttl=LONG)
        self.advance(store, 2 * SHORT)

        assert store.notes("") == {"a": "for good", "b": "longer"}
        assert store.get("c") is None
        assert not store.delete("c")
        assert store.add("c", "new", ttl=LONG)
        store.prune(age=LONG, keep=10)
        assert store.notes("") == {"a": "for good", "b": "longer", "c": "new"}

    def test_notes_are_found_by_how_their_key_begins(self) -> None:
        """Each character means itself."""
        store = self.opened()
        for beginning in ("w:", "w%", "w_", "w*", "w?", "w[a]", "w\\", "W:", "é:", "😀"):
            store.put(beginning + "1", beginning)
            store.put(beginning + "2", beginning)
        assert len(store.notes("")) == 20
        for beginning in ("w:", "w%", "w_", "w*", "w?", "w[a]", "w\\", "W:", "é:", "😀"):
            expected = {beginning + "1": beginning, beginning + "2": beginning}
            assert store.notes(beginning) == expected
        assert store.notes("w:1") == {"w:1": "w:"}
        assert store.notes("nothing") == {}

    def test_all_of_it_survives_closing_and_opening(self) -> None:
        store = self.opened()
        store.open()
        run = holding(store, "a", slot=60)
        store.put("k", "v")
        before = store.jobs()
        store.close()
        store.close()
        store.open()
        assert store.jobs() == before
        assert store.get("k") == "v"
        assert store.acquire(claimed(store), "a", ttl=LONG).holder == run
        assert store.renew(run, ttl=LONG) is None
