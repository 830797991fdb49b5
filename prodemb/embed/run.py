"""One run over a shard set: it records finished shards, and puts the set in place once all are there."""

import time
from contextlib import suppress

from prodemb.cards.readme import README, renewed_readme
from prodemb.catalog.budget import PictureCounts, check_budget
from prodemb.core.errors import CatalogError, OutputError, ProdembError, ShardError
from prodemb.core.progress import ProgressCallback
from prodemb.core.text import counted
from prodemb.embed.plan import Plan
from prodemb.shards.checked import Checked
from prodemb.shards.files import check_listed, remove_unlisted
from prodemb.shards.folder import Held
from prodemb.shards.format import UPDATE_NAME, Changes, Manifest, ShardRecord, ShardSchema
from prodemb.shards.verify import damaged_shards

JOURNAL_SHARE = 0.05
"""Of a run's time, what it takes at most to write the list of finished shards, which grows with each one."""
_PICTURES_ADVICE = "finished shards are kept: fix that and embed again with --retry-failed"


class Run:
    """The shards of one run: those that were done before, and those that its workers make."""

    def __init__(self, plan: Plan, *, held: Held, checked: Checked, on_progress: ProgressCallback | None) -> None:
        self.num_new = 0
        """Products that went to the towers so far."""
        self._plan, self._held, self._checked, self._on_progress = plan, held, checked, on_progress
        self._skipped_rows = plan.catalog.num_skipped()
        self._records = dict(plan.done)
        self._num_old = sum(record.num_products for record in plan.done.values())
        self._pictures = PictureCounts()
        self._is_kept = True
        self._next_journal = 0.0

    def on_start(self, schema: ShardSchema) -> None:
        """From here on the set is one of this schema."""
        self._schema = schema
        if self._plan.todo:
            self._write_journal()

    def on_window(self, index: int, num_products: int, pictures: PictureCounts) -> None:
        """Report progress, and end the run once too many pictures failed.

        Raises:
            ImagesError: more than `[images] max_failure_rate` allows.
        """
        self.num_new += num_products
        self._pictures += pictures
        check_budget(self._pictures, images=self._plan.images, advice=_PICTURES_ADVICE)
        if self._on_progress is not None:
            self._on_progress(self._num_old + self.num_new, self._plan.num_products)

    def on_shard(self, index: int, record: ShardRecord) -> None:
        """Record a shard: from now on it exists.

        Where writing the list takes long, several shards are written down at a time; see `JOURNAL_SHARE`.

        Raises:
            OutputError: the folder was moved or replaced.
            BusyError: another run has taken it over.
        """
        self._held.check()
        try:
            self._checked.note(record)
        except ShardError:
            self._held.check()  # a run that took over meanwhile removes what was not recorded
            raise
        self._records[index] = record
        self._is_kept = False
        if time.monotonic() >= self._next_journal:
            self._write_journal()

    def keep(self) -> None:
        """Write down what is finished and was not yet, also where a run fails; an error in that is not raised."""
        with suppress(ProdembError, OSError):
            if not self._is_kept:
                self._held.check()
                self._write_journal()

    def finish(self) -> Manifest:
        """Put the set in place, and remove shards that it does not hold.

        Raises:
            CatalogError: the shards do not hold as many products as the catalog had.
            OutputError: the folder was moved or replaced, or a recorded shard is not in it.
        """
        plan = self._plan
        num_made = sum(record.num_products for record in self._records.values())
        if num_made != plan.num_products:
            raise CatalogError(
                f"{plan.catalog.name}: changed while it was read: found {counted(num_made, 'product')}, "
                f"{plan.num_products:,} when the run began; run again"
            )
        manifest = self._manifest(complete=True)
        self._held.check()
        self._check_shards(manifest)
        if plan.old != manifest:
            manifest.write(plan.folder)
        self._held.check()
        plan.folder.remove(UPDATE_NAME)
        remove_unlisted(plan.folder, held=self._held, manifest=manifest, old=plan.old)
        self._checked.remember(manifest.shards)
        values = {"manifest": manifest, "schema": manifest.shard_schema, "missing": manifest.null_counts()}
        readme = renewed_readme(lambda: plan.folder.read_own(README), "shards", values, path=plan.folder.place / README)
        if readme is not None:
            plan.folder.write(README, readme)
        return manifest

    def _check_shards(self, manifest: Manifest) -> None:
        """Raise OutputError where a recorded shard is not what it was when it was made."""
        folder = self._plan.folder
        check_listed(folder, manifest=manifest)
        if not folder.is_local:  # a run that was cut off for long may have uploaded another one meanwhile
            for name in damaged_shards(folder, manifest=manifest, checked=self._checked):
                raise OutputError(f"{folder.place / name}: was changed while this run wrote to its folder; run again")

    def _write_journal(self) -> None:
        folder, started = self._plan.folder, time.monotonic()
        self._manifest(complete=False).write(folder, name=self._plan.journal)
        if not folder.is_local:
            self._checked.write()
        ended = time.monotonic()
        self._is_kept = True
        self._next_journal = ended + (ended - started) * (1 / JOURNAL_SHARE - 1)

    def _manifest(self, *, complete: bool) -> Manifest:
        plan = self._plan
        records = [self._records[index] for index in sorted(self._records)]
        if complete:
            records = [record.model_copy(update={"changes": None}) for record in records]
        is_journal = plan.journal == UPDATE_NAME and not complete
        return Manifest(
            shard_schema=self._schema,
            catalog=plan.catalog.name,
            num_rows=plan.num_products + sum(self._skipped_rows.values()),
            skipped_rows=self._skipped_rows,
            shard_size=plan.config.shard_size,
            complete=complete,
            shards=tuple(records),
            changes=self._changes() if complete else None,
            base_checksum=plan.old.checksum() if plan.old is not None and is_journal else None,
        )

    def _changes(self) -> Changes | None:
        """How the set differs from the one before; where it does not, what the manifest of that one says."""
        plan = self._plan
        old = plan.old
        if old is not None and old.complete and list(old.shards) == [self._records[i] for i in sorted(self._records)]:
            return old.changes
        if old is None or plan.reuse is None:
            return None
        total = Changes()
        for index, record in self._records.items():
            if record.changes is not None:
                total += record.changes
                continue
            num_vectors = _num_vectors(record)
            is_kept = record in old.shards and index in plan.done
            made = {"vectors_reused": num_vectors} if is_kept else {"vectors_encoded": num_vectors}
            total += Changes(unchanged=record.num_products, **made)
        unknown = min(plan.num_lost, total.added)
        num_known = old.num_products - plan.num_lost
        return total.model_copy(
            update={
                "added": total.added - unknown,
                "unknown": unknown,
                "removed": max(0, num_known - total.changed - total.unchanged),
            }
        )


def _num_vectors(record: ShardRecord) -> int:
    """Vectors of a shard that are present."""
    return sum(record.num_products - sum(reasons.values()) for reasons in record.null_counts.values())
