"""The rows of a results folder that are of one question: its model and its structures, not others of the same names."""

from __future__ import annotations

from collections.abc import Mapping

from ncbench.diagnostics import registry
from ncbench.report.read import Results
from ncbench.store.same_names import same_question, without_digits


def own_rows(
    results: Results, *, model: str, model_file: str, system: str | None, structures: Mapping[str, str]
) -> Results:
    """The tables with the rows of this model and these structures alone, under their names without digits of a digest.

    Args:
        results: of the folder.
        model: the label of the model, without its mode.
        model_file: digest of the file that the model comes from; empty if it is installed.
        system: the label of the requested structures; ``None`` for each diagnostic's own, where the folder has rows of them.
        structures: digests of the requested structures, by name.
    """
    tables = {}
    for name, frame in results.tables.items():
        jobs = {
            job: same_question(results.folder, str(job), model=model_file, structures=structures)
            for job in frame["job"].unique()
        }
        models, systems = (without_digits(frame[column]) for column in ("model", "system"))
        kept = (models == model) & frame["job"].map(jobs)
        if system is not None:
            kept &= systems == system
        elif (of_default := systems == _default_system(name)).any():
            kept &= of_default
        if kept.any():
            tables[name] = frame.assign(model=models, system=systems)[kept]
    return Results(results.folder, tables)


def _default_system(table: str) -> str:
    known = registry.diagnostics()
    return known[table].default_system if table in known else ""
