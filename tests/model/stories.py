"""The shortest counterexample of each rule, as a page of docs."""

from tests.model.explorer import Result, counterexample
from tests.model.rules import Rule
from tests.model.scenes import WITHOUT

_HEAD = """# What happens without each rule

`make model` explores the rules of [exactly-once.md](exactly-once.md) as a state machine (`tests/model/`), and again
with one rule switched off at a time. Each story is a shortest run that then goes wrong: its scene has no shorter one.
`python -m tests.model --stories` writes this page; a test compares it with the model.
"""


def counterexamples() -> dict[Rule, Result]:
    """The shortest counterexample by rule."""
    return {rule: counterexample(scene, rule) for rule, scene in WITHOUT.items()}


def page() -> str:
    """All stories in Markdown."""
    parts = [_HEAD]
    for rule, result in counterexamples().items():
        parts.append(f"## Without: {rule.value}\n\n" + "\n".join(_lines(result.story)))
    return "\n".join(f"{part.rstrip()}\n" for part in parts)


def _lines(story: tuple[str, ...]) -> list[str]:
    return [f"{number}. {sentence}" for number, sentence in enumerate(story[:-1], 1)] + ["", f"**{story[-1]}**"]
